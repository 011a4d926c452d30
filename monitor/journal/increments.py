"""What is added to the roll-ups by the next commit: sums of runs and reports by minute, cause and SLO."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from monitor.journal.schema import HOUR, MINUTE, OUTCOMES, QUARTER
from monitor.journal.values import bucket_of
from monitor.results import MessagesJudged
from monitor.sli import slo_events
from monitor.vocabulary import BUCKETS, Outcome, Verdict

if TYPE_CHECKING:
    from monitor.results import Report, Run
    from monitor.sli import CountedSlo

MAX_ROWS: Final = 50_000
"""Largest number of sums that wait while nothing can be written; new ones are dropped above it."""

_SEVERITIES: Final = {outcome: severity for severity, outcome in enumerate(OUTCOMES)}


class MinuteKey(NamedTuple):
    """A minute of one probe at one relay; `start` in Unix time."""

    start: int
    relay: str
    probe: str


class CauseKey(NamedTuple):
    """A cause of failures of one probe at one relay in a quarter of an hour."""

    start: int
    relay: str
    probe: str
    step: str
    reason: str
    status: str


class SloKey(NamedTuple):
    """An hour of one SLO at one relay."""

    start: int
    relay: str
    slo: str


@dataclass(slots=True)
class Minute:
    """What is added to one minute. `worst` is an index of `OUTCOMES`, and `run` the id of a stored run with it."""

    counts: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    lost: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    worst: int = -1
    run: str | None = None


@dataclass(slots=True)
class Cause:
    """What is added to the failures of one cause: those of the last are kept."""

    count: int
    first: float
    last: float
    run: str
    detail: str


@dataclass(slots=True)
class Increments:
    """Sums that are not written yet. `dropped`: how many were lost because too many waited."""

    minutes: dict[MinuteKey, Minute] = field(default_factory=dict)
    causes: dict[CauseKey, Cause] = field(default_factory=dict)
    slos: dict[SloKey, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0.0]))
    begun: float = math.inf  # when the first of the SLO events was counted
    dropped: int = 0

    def __bool__(self) -> bool:
        return bool(self.minutes or self.causes or self.slos)

    def add_run(self, run: Run, at: float, slos: tuple[CountedSlo, ...], now: float, *, stored: bool) -> None:
        """Add a run that counts in the minute of `at`. stored: whether it can be found by its id."""
        minute = self._minute(at, run.relay, run.probe)
        if minute is None:
            return
        for exchange in run.exchanges:
            minute.counts[exchange.outcome] += 1
            if exchange.outcome is Outcome.OK and exchange.round_trip is not None:
                minute.buckets[bucket_of(exchange.round_trip)] += 1
        if not run.exchanges:
            minute.counts[run.outcome] += 1
        severity = _SEVERITIES[run.outcome]
        if severity > minute.worst or (severity == minute.worst and minute.run is None):
            minute.worst, minute.run = severity, run.id if stored else None
        if run.outcome is Outcome.FAILED:
            self._add_cause(run, at)
        self.add_events(run, slos, now)

    def add_report(self, report: Report, slos: tuple[CountedSlo, ...], now: float) -> None:
        """Add what is not a run."""
        if isinstance(report, MessagesJudged):
            if report.verdict is Verdict.LOST and (minute := self._minute(now, report.relay, report.probe)):
                minute.lost += report.messages
        else:
            self.add_events(report, slos, now)

    def add_events(self, report: Run | Report, slos: tuple[CountedSlo, ...], now: float) -> None:
        """Add the events of a report for its SLOs, in the hour in which they are counted."""
        start, self.begun = int(now // HOUR * HOUR), min(self.begun, now)
        for event in slo_events(report, slos):
            self.slos[SloKey(start, report.relay, event.slo)][not event.good] += event.amount

    def _add_cause(self, run: Run, at: float) -> None:
        failure = run.failure
        if failure is None:
            return
        key = CauseKey(int(at // QUARTER * QUARTER), run.relay, run.probe, failure.step, failure.reason, failure.status)
        cause = self.causes.get(key)
        if cause is None:
            self.causes[key] = Cause(1, at, at, run.id, failure.detail)
            return
        cause.count += 1
        cause.first = min(cause.first, at)
        if at >= cause.last:
            cause.last, cause.run, cause.detail = at, run.id, failure.detail

    def _minute(self, at: float, relay: str, probe: str) -> Minute | None:
        key = MinuteKey(int(at // MINUTE * MINUTE), relay, probe)
        minute = self.minutes.get(key)
        if minute is None:
            if len(self.minutes) >= MAX_ROWS:
                self.dropped += 1
                return None
            minute = self.minutes[key] = Minute()
        return minute
