"""How many events an SLO sees: what the configured schedule makes at one relay."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.config.probe import SESSION_REUSE
from monitor.config.slo import produces
from monitor.scenarios import SPECS
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.config.model import Config
    from monitor.config.probe import ProbeConfig
    from monitor.config.slo import SloConfig


RETRY: Final = 22.5
"""Seconds until a pairing that failed again is tried once more: the back-off at its longest, its jitter halfway."""

STEP: Final = 5.0
"""Seconds between two bookings of connected time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One regular source of events: `count` of them at once every `period` seconds.

    A good event is booked `takes` after its start, when its last message comes; a failed one `timeout` after that, or
    after its start where its first message failed already and the last one `answers` it. `retry` is how long after that
    it is tried again, None: not before the next period. Seconds.
    """

    probe: str
    period: float
    count: int
    takes: float = 0.0
    timeout: float = 0.0
    answers: bool = False
    retry: float | None = None

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.count / self.period


def sources(config: Config, slo: SloConfig, relay: str) -> tuple[Source, ...]:
    """What feeds an SLO at a relay; each standing pair is a source of its own, since each has its own place in time."""
    return tuple(
        source
        for probe in config.probes
        if probe.name in slo.probe and relay in probe.relays and produces(probe, slo.sli)
        for source in made_by(probe, slo.sli)
    )


def rate(parts: Sequence[Source]) -> float:
    """Events a second of several sources together."""
    return sum(part.rate for part in parts)


def within(probe: ProbeConfig, sli: Sli, seconds: float) -> float:
    """How many events a healthy probe makes for an SLI in so long: on average, a cron line's nights included."""
    sparse = 1.0 if probe.period is None else probe.period / probe.average_gap
    return rate(made_by(probe, sli)) * sparse * seconds


def shortest_span(probe: ProbeConfig, sli: Sli, events: int) -> float:
    """Seconds from the first to the last of so many failures in a row, where the schedule has them closest together."""
    if probe.is_continuous:
        if sli in {Sli.PAIRING, Sli.STABILITY}:
            return 0.0  # a pair that cannot be is tried again and again, and seconds follow one another
        return (events - 1) * probe.shortest_span(2) / len(made_by(probe, sli))
    a_run = sum(source.count for source in made_by(probe, sli))
    return probe.shortest_span(math.ceil(events / a_run))


def made_by(probe: ProbeConfig, sli: Sli) -> list[Source]:
    """What a probe makes for an SLI at each of its relays."""
    if sli is Sli.STABILITY:
        # Its events are seconds; a few at a time, since they come whenever the account of a pair is made up.
        return [Source(probe=probe.name, period=STEP, count=int(STEP) * _held(probe))]
    if probe.is_continuous:
        return _continuous(probe, sli)
    assert probe.period is not None
    volume = probe.volume
    takes = probe.delay if SPECS[probe.scenario].offline and sli is not Sli.PAIRING else 0.0
    reused = sli is Sli.PAIRING and probe.reuses_sessions
    return [
        Source(
            probe=probe.name,
            period=max(probe.period, SESSION_REUSE) if reused else probe.period,
            count=volume.pairs if sli is Sli.PAIRING else volume.exchanges,
            takes=takes,
            timeout=probe.timeout,
        )
    ]


def _continuous(probe: ProbeConfig, sli: Sli) -> list[Source]:
    if sli is Sli.PAIRING:
        # A standing pair is paired anew at its age; one that cannot be is tried again and again meanwhile.
        made = Source(probe=probe.name, period=probe.max_age, count=1, timeout=probe.timeout, retry=RETRY)
    elif not SPECS[probe.scenario].paired:
        made = Source(probe=probe.name, period=probe.hold, count=1)
    else:
        # The slot begins with the request; the answer goes out an interval later. What is too slow comes nevertheless.
        made = Source(
            probe=probe.name,
            period=probe.cycle,
            count=1,
            takes=probe.message_interval,
            timeout=0.0 if sli is Sli.LATENCY else probe.timeout,
            answers=sli is not Sli.LATENCY,
        )
    return [made] * _held(probe)


def _held(probe: ProbeConfig) -> int:
    """The pairs or connections of a continuous probe."""
    return probe.pairs if SPECS[probe.scenario].paired else probe.connections
