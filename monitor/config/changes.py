"""What is different between two configurations, for a monitor that goes from one to the other while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from monitor.errors import Fault

if TYPE_CHECKING:
    from monitor.config.model import Config
    from monitor.config.probe import ProbeConfig
    from monitor.config.relay import RelayConfig

Place: TypeAlias = tuple[str, str]
"""A relay's name, and that of a probe that watches it."""

_TAKEN_UP: Final = ("limits", "labels", "max_severity", "centrifugo_selector")
"""What may change of a relay under connections that stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The way from one configuration to another. Whatever is named in none of these goes on untouched.

    `opened` are relays that are new or reached in another way, `closed` the names of those that are gone or were
    reached in another way, `adjusted` those under whose connections something changed. `stopped` and `started` are
    probes at relays; one that changed is in both. Of `forgotten` ones the series end: gone, or of another kind now.
    """

    opened: tuple[RelayConfig, ...]
    closed: frozenset[str]
    adjusted: tuple[RelayConfig, ...]
    stopped: frozenset[Place]
    started: tuple[tuple[str, ProbeConfig], ...]
    forgotten: frozenset[Place]


def changes(old: Config, new: Config) -> Changes:
    """What has to be done to go from `old` to `new`; see `refusals` for what cannot be done."""
    before = {relay.name: relay for relay in old.relays}
    opened = tuple(
        relay for relay in new.relays if relay.name not in before or not _same_way(before[relay.name], relay)
    )
    other = {relay.name for relay in opened}
    closed = frozenset(before.keys() - ({relay.name for relay in new.relays} - other))
    adjusted = tuple(relay for relay in new.relays if relay.name not in other and relay != before[relay.name])
    ran, runs = _places(old), _places(new)
    same = {place for place in ran.keys() & runs.keys() if place[0] not in other and _same(ran[place], runs[place])}
    return Changes(
        opened=opened,
        closed=closed,
        adjusted=adjusted,
        stopped=frozenset(ran.keys() - same),
        started=tuple((relay, probe) for (relay, name), probe in runs.items() if (relay, name) not in same),
        forgotten=frozenset(place for place in ran if place not in runs or _kind(ran[place]) != _kind(runs[place])),
    )


def refusals(old: Config, new: Config) -> list[Fault]:
    """What cannot change while a monitor runs; each says so."""
    kept = {
        "location": (old.location, new.location),
        "server.listen": (old.server.listen, new.server.listen),
        "state_dir": (old.state_dir, new.state_dir),
    }
    return [
        Fault(0, key, f"cannot change from {was} to {wanted} while the monitor runs: restart it")
        for key, (was, wanted) in kept.items()
        if was != wanted
    ]


def _same_way(old: RelayConfig, new: RelayConfig) -> bool:
    """Whether connections to a relay are made alike, so that those that stand may go on."""
    taken_up = list(_TAKEN_UP)
    if new.url != "embedded":
        taken_up.append("history")  # what somebody else's relay keeps is its own business
    return old.model_copy(update={name: getattr(new, name) for name in taken_up}) == new


def _places(config: Config) -> dict[Place, ProbeConfig]:
    return {(relay, probe.name): probe for probe in config.probes for relay in probe.relays}


def _kind(probe: ProbeConfig) -> tuple[str, bool]:
    """What decides which series a probe has."""
    return probe.scenario.value, probe.is_continuous


def _same(old: ProbeConfig, new: ProbeConfig) -> bool:
    """Whether a probe does the same, wherever else it does it."""
    return old.model_copy(update={"relays": new.relays}) == new
