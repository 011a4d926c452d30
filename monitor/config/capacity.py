"""The footprint of a configuration on each relay: connections, connects, messages, channels and history keys.

It is that of a healthy relay. Confirmations and reconnects come on top when something fails, within the relay's
limits. A pairing creates two channels, for handshake and session, and publishes one offer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

from monitor.config.probe import SESSION_REUSE
from monitor.scenarios import SPECS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.config.model import Config
    from monitor.config.probe import ProbeConfig
    from monitor.config.relay import RelayConfig

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayFootprint:
    """The footprint of this monitor on one relay.

    connections: persistent connections.
    run_connections: those of bounded probes, if all of them run at the same time.
    connects, messages: average connects and publishes per minute.
    peak_connects, peak_messages: the same in a minute in which every bounded probe starts a run.
    channels: channels created per hour.
    history_keys: channels in the relay's history at a time; each stays until its TTL after the last message.
    """

    relay: str
    connections: int
    run_connections: int
    connects: float
    peak_connects: float
    messages: float
    peak_messages: float
    channels: float
    history_keys: int


@dataclass(frozen=True, slots=True)
class _Load:
    """The load of one probe on one relay. Rates are per minute; `sessions` are kept as long as the probe runs."""

    connections: float = 0.0
    run_connections: float = 0.0
    connects: float = 0.0
    peak_connects: float = 0.0
    messages: float = 0.0
    peak_messages: float = 0.0
    pairings: float = 0.0
    sessions: float = 0.0


def footprint(config: Config) -> tuple[RelayFootprint, ...]:
    """The footprint on each relay, in the configuration's order."""
    return tuple(
        footprint_of(relay, [probe for probe in config.probes if relay.name in probe.relays]) for relay in config.relays
    )


def footprint_of(relay: RelayConfig, probes: Iterable[ProbeConfig]) -> RelayFootprint:
    """The footprint of `probes`, all of which watch `relay`."""
    loads = [_load(probe, relay.history.ttl) for probe in probes]
    total = {field.name: math.fsum(getattr(load, field.name) for load in loads) for field in fields(_Load)}
    created = 2 * total["pairings"]
    return RelayFootprint(
        relay=relay.name,
        connections=round(total["connections"]),
        run_connections=round(total["run_connections"]),
        connects=total["connects"],
        peak_connects=total["peak_connects"],
        messages=total["messages"],
        peak_messages=total["peak_messages"],
        channels=created * _HOUR / _MINUTE,
        history_keys=math.ceil(total["sessions"] + created / _MINUTE * relay.history.ttl),
    )


def _load(probe: ProbeConfig, ttl: float) -> _Load:
    if probe.period is None:
        return _continuous(probe)
    volume = probe.volume
    connects, messages = volume.cost
    runs = _MINUTE / probe.period
    # A run starts only if the limits admit all of it, so a whole run counts even if it takes longer than a minute.
    peak = max(1.0, runs)
    reuses = probe.reuses_sessions
    pairings = volume.pairs * (min(1.0, probe.period / SESSION_REUSE) if reuses else 1.0)
    return _Load(
        # A probe without pairs holds each of its connections until the run ends.
        run_connections=2 * volume.pairs or connects,
        connects=connects * runs,
        peak_connects=connects * peak,
        messages=(volume.messages + pairings) * runs,
        peak_messages=messages * peak,
        pairings=pairings * runs,
        sessions=1.0 if reuses and probe.period < ttl else 0.0,
    )


def _continuous(probe: ProbeConfig) -> _Load:
    """The load of a continuous probe. Its pairs are replaced evenly over `max_age`."""
    if not SPECS[probe.scenario].paired:
        return _Load(connections=probe.connections)
    renewals = probe.pairs * _MINUTE / probe.max_age
    volume = probe.volume
    messages = probe.pairs * volume.messages / volume.exchanges * _MINUTE / probe.longest_gap + renewals
    return _Load(
        connections=2 * probe.pairs,
        connects=2 * renewals,
        peak_connects=2 * renewals,
        messages=messages,
        peak_messages=messages,
        pairings=renewals,
        sessions=probe.pairs,
    )
