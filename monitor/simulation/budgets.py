"""Simulation of the alerts on simulated events: from the configured schedule to the evaluation that fires.

A fault starts at a random time. Its events become counters, counters are scraped, ratios are recorded (those of long
windows less often) and alerts are evaluated; each step has a phase that is drawn for every trial from a seeded
generator. The conditions are those of `monitor.burn_rate`, on counters as Prometheus sees them: the last scrape before
the evaluation against the first scrape inside the window. As in the rules, each probe is judged apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from monitor.burn_rate import MIN_FAILURES
from monitor.slo.rules.recorded import LONG_INTERVAL, LONG_WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    from numpy.typing import NDArray

    from monitor.burn_rate import BurnCondition
    from monitor.config.traffic import Source

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """Prometheus' scrape and evaluation interval, in seconds."""

    scrape: float
    evaluation: float

    @property
    def long_evaluation(self) -> float:
        """Seconds between two evaluations of the recording rules of long windows."""
        return max(LONG_INTERVAL, self.evaluation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Times over many trials: 5th, 50th and 95th percentile of the finite ones in seconds, and their share."""

    low: float
    median: float
    high: float
    paged: float

    @classmethod
    def of(cls, times: Floats) -> Spread | None:
        """Return the spread of times, of which those without a page are infinite; None if no trial paged."""
        finite = times[np.isfinite(times)]
        if not len(finite):
            return None
        low, median, high = (float(value) for value in np.percentile(finite, (5, 50, 95)))
        return cls(low=low, median=median, high=high, paged=len(finite) / len(times))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A burn-rate condition of one SLO.

    `objective` is a ratio; the failures in the long window must exceed `min_failures` (stability SLOs).
    """

    condition: BurnCondition
    objective: Decimal
    min_failures: float = 0.0


@dataclass(frozen=True, slots=True)
class EventTimes:
    """Times at which the good and the bad events of one probe are counted, ascending; seconds."""

    good: Floats
    bad: Floats

    @property
    def first(self) -> float:
        """Time of the first event; infinite without any."""
        return float(min((times[0] for times in (self.good, self.bad) if len(times)), default=np.inf))


ProbeRules: TypeAlias = "tuple[EventTimes, Sequence[Rule]]"
"""The events of one probe and the rules that are evaluated on them."""


def simulate_events(
    sources: Sequence[Source],
    start: float,
    end: float,
    fails: Callable[[Floats], NDArray[np.bool_]],
    rng: np.random.Generator,
) -> EventTimes:
    """Return the events of one probe from `start` to `end`; `fails` says which of the messages due at these times fail.

    A fault also affects exchanges in flight when it starts: a response that is not sent yet, a message to a wallet that
    is offline.
    """
    good_at, bad_at = [], []
    for source in sources:
        begins = np.arange(start - rng.uniform(0, source.period), end, source.period)
        begins = np.repeat(begins, source.count)
        until = begins + source.period
        while len(begins):
            failed = fails(begins + source.takes)
            good_at.append(begins[~failed] + source.takes)
            duration = np.full(len(begins), source.takes)
            if source.answers:
                duration[fails(begins)] = 0.0
            failed_at = (begins + duration + source.timeout)[failed]
            bad_at.append(failed_at)
            if source.retry is None:
                break
            # Retries end when the source's next event is due.
            begins, until = failed_at + source.retry, until[failed]
            due = begins < np.minimum(until, end)
            begins, until = begins[due], until[due]
    return EventTimes(_sorted_between(good_at, start, end), _sorted_between(bad_at, start, end))


def first_page(
    probes: Sequence[ProbeRules], start: float, end: float, intervals: Intervals, rng: np.random.Generator
) -> float:
    """Return when the first rule of any probe fires, between `start` and `end`; infinite if none does."""
    earliest = min(start, *(times.first for times, _ in probes))
    scrapes = np.arange(earliest - rng.uniform(0, intervals.scrape), end, intervals.scrape)
    evaluations = Evaluations(start, end, intervals, rng)
    fires = np.zeros(len(evaluations.alerts), dtype=bool)
    for times, rules in probes:
        counters = Counters(scrapes, times)
        for rule in rules:
            fires |= _fires(rule, counters, evaluations)
    hits = np.flatnonzero(fires)
    return float(evaluations.alerts[hits[0]]) if len(hits) else float("inf")


def count_pages(
    probes: Sequence[ProbeRules], start: float, end: float, intervals: Intervals, rng: np.random.Generator
) -> int:
    """Return how often an SLO's alert starts to fire between two times; all rules of all probes are one group."""
    scrapes = np.arange(start - rng.uniform(0, intervals.scrape), end, intervals.scrape)
    evaluations = Evaluations(start, end, intervals, rng)
    fires = np.zeros(len(evaluations.alerts), dtype=bool)
    for times, rules in probes:
        counters = Counters(scrapes, times)
        for rule in rules:
            firing = _fires(rule, counters, evaluations)
            # `keep_firing_for` bridges shorter gaps: they are not a second page.
            kept = max(1, round(rule.condition.keep_firing_for / intervals.evaluation))
            total = np.cumsum(firing)
            before = np.concatenate((np.zeros(kept, dtype=total.dtype), total[:-kept])) if kept < len(total) else 0
            fires |= total > before
    return count_starts(fires)


def count_starts(fires: NDArray[np.bool_]) -> int:
    """Return how often an alert starts to fire, given whether it fires at each evaluation."""
    return int(np.count_nonzero(fires[1:] & ~fires[:-1])) + int(len(fires) > 0 and fires[0])


class Evaluations:
    """The times at which alerts are evaluated, and at which the ratios that they read were recorded."""

    def __init__(self, start: float, end: float, intervals: Intervals, rng: np.random.Generator) -> None:
        self.alerts: Floats = np.arange(start + rng.uniform(0, intervals.evaluation), end, intervals.evaluation)
        self._short, self._long = (
            interval * np.floor((self.alerts - phase) / interval) + phase
            for interval in (intervals.evaluation, intervals.long_evaluation)
            for phase in (start + rng.uniform(0, interval),)
        )

    def recorded_at(self, window: float) -> Floats:
        """Return when the ratio over a window was last recorded before each evaluation of the alerts."""
        return self._short if window < LONG_WINDOW else self._long


class Counters:
    """The scraped counters of one SLO and probe."""

    def __init__(self, scrapes: Floats, times: EventTimes) -> None:
        self.scrapes = scrapes
        self._bad = np.searchsorted(times.bad, scrapes, side="right").astype(np.float64)
        self._good = np.searchsorted(times.good, scrapes, side="right").astype(np.float64)

    def increases(self, evaluations: Floats, window: float) -> tuple[Floats, Floats]:
        """Return the increase of bad and of all events over a window at each evaluation, as PromQL extrapolates it."""
        last = np.searchsorted(self.scrapes, evaluations, side="right") - 1
        first = np.searchsorted(self.scrapes, evaluations - window, side="right")
        usable = last > first
        first, last = np.where(usable, first, 0), np.where(usable, last, 0)
        covered = np.where(usable, self.scrapes[last] - self.scrapes[first], 1.0)
        gap = covered / np.maximum(last - first, 1)
        lead, tail = self.scrapes[first] - (evaluations - window), evaluations - self.scrapes[last]
        # Extrapolate to the window's edges if a scrape is due near them, otherwise by half a scrape interval.
        lead, tail = np.where(lead < 1.1 * gap, lead, gap / 2), np.where(tail < 1.1 * gap, tail, gap / 2)
        bad, good = (
            np.where(usable, _extrapolated(values[first], values[last], covered, lead, tail), 0.0)
            for values in (self._bad, self._good)
        )
        return bad, bad + good


def _extrapolated(first: Floats, last: Floats, covered: Floats, lead: Floats, tail: Floats) -> Floats:
    """Return a counter's increase, extrapolated to the window but not to before the counter can have been zero."""
    increase = last - first
    zero = np.where(increase > 0, covered * first / np.maximum(increase, 1.0), np.inf)
    extrapolated: Floats = increase * (covered + np.minimum(lead, zero) + tail) / covered
    return extrapolated


def _fires(rule: Rule, counters: Counters, evaluations: Evaluations) -> NDArray[np.bool_]:
    """Return whether the condition holds at each evaluation of the alerts."""
    limit = float(rule.condition.limit(1 - rule.objective))
    condition = rule.condition
    # Failures are counted when the alert is evaluated, ratios when they are recorded.
    counted = condition.count_window or condition.long_window
    fires = counters.increases(evaluations.alerts, counted)[0] > MIN_FAILURES - 0.5
    fires &= counters.increases(evaluations.alerts, condition.long_window)[0] > rule.min_failures
    if condition.severity == "critical":
        fires &= counters.increases(evaluations.alerts, condition.recent_window)[0] > 0
    for window in (condition.long_window, condition.short_window):
        at = evaluations.recorded_at(window)
        bad, total = counters.increases(at, window)
        exceeds = (total > 0) & (bad > limit * total)
        if condition.short_window == window < condition.recent_window:
            # Without events in this window the last recorded ratio counts, if it is recent.
            last = np.maximum.accumulate(np.where(total > 0, np.arange(len(at)), 0))
            exceeds = exceeds[last] & (evaluations.alerts - at[last] < condition.recent_window)
        fires &= exceeds
    return fires


def _sorted_between(parts: list[Floats], start: float, end: float) -> Floats:
    # Each source's times are sorted already; a stable sort merges such runs without sorting them again.
    times = np.sort(np.concatenate(parts), kind="stable") if parts else np.empty(0)
    return times[(times >= start) & (times < end)]
