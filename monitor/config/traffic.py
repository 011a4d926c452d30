"""The events that an SLO counts at one relay, computed from the schedules of its probes."""

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


PAIRING_RETRY: Final = 22.5
"""Seconds between attempts to pair while all fail: the longest back-off with half its jitter."""

UPTIME_INTERVAL: Final = 5.0
"""Seconds between two reports of connected time."""


TREND_EVENTS: Final = 100
"""Round trips within an hour that a trend of the P99 requires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A regular source of events: `count` of them at once every `period`. All times are seconds.

    takes: from the start of an event to when a good one is counted.
    timeout: from there to when a failed one is counted; from its start if `answers` and the request has failed already.
    answers: whether the last message answers the first.
    retry: from a failure to the next attempt; None if that is the next period.
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
        """Events per second."""
        return self.count / self.period


def sources(config: Config, slo: SloConfig, relay: str) -> tuple[Source, ...]:
    """The sources of an SLO at a relay; each continuous pair is one, since pairs start at different times."""
    return tuple(
        source
        for probe in config.probes
        if probe.name in slo.probe and relay in probe.relays and produces(probe, slo.sli)
        for source in sources_of(probe, slo.sli)
    )


def rate(parts: Sequence[Source]) -> float:
    """Events per second of several sources together."""
    return sum(part.rate for part in parts)


def within(probe: ProbeConfig, sli: Sli, seconds: float) -> float:
    """The average number of events that a healthy probe produces for an SLI in `seconds`."""
    sparse = 1.0 if probe.period is None else probe.period / probe.average_gap
    return rate(sources_of(probe, sli)) * sparse * seconds


def shortest_span(probe: ProbeConfig, sli: Sli, events: int) -> float:
    """The shortest time from the first to the last of `events` consecutive failures, in seconds."""
    if probe.is_continuous:
        if sli in {Sli.PAIRING, Sli.STABILITY}:
            return 0.0  # pairings that fail are retried at once, and stability counts seconds
        return (events - 1) * probe.shortest_span(2) / len(sources_of(probe, sli))
    a_run = sum(source.count for source in sources_of(probe, sli))
    return probe.shortest_span(math.ceil(events / a_run))


def sources_of(probe: ProbeConfig, sli: Sli) -> list[Source]:
    """The sources of a probe for an SLI at each of its relays."""
    if sli is Sli.STABILITY:
        # Its events are seconds, reported several at a time.
        return [Source(probe=probe.name, period=UPTIME_INTERVAL, count=int(UPTIME_INTERVAL) * _size(probe))]
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
        # A continuous pair is replaced at its maximum age; a pairing that fails is retried earlier.
        source = Source(probe=probe.name, period=probe.max_age, count=1, timeout=probe.timeout, retry=PAIRING_RETRY)
    elif not SPECS[probe.scenario].paired:
        source = Source(probe=probe.name, period=probe.hold, count=1)
    else:
        # The slot begins with the request; the answer is sent an interval later. A slow exchange still ends well.
        source = Source(
            probe=probe.name,
            period=probe.cycle,
            count=1,
            takes=probe.message_interval,
            timeout=0.0 if sli is Sli.LATENCY else probe.timeout,
            answers=sli is not Sli.LATENCY,
        )
    return [source] * _size(probe)


def _size(probe: ProbeConfig) -> int:
    """The number of pairs or connections of a continuous probe."""
    return probe.pairs if SPECS[probe.scenario].paired else probe.connections
