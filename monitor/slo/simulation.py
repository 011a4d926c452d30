"""What the alerts will do, before they do it: the configured schedule, the generated conditions, and chance.

A fault begins at a random moment. Its events become counters, counters are scraped, ratios are recorded, the long ones
less often, alerts are evaluated, and Alertmanager waits for its group: each with a phase of its own, drawn anew for
every trial from a seeded generator. The conditions are those of `monitor.burn_rate`, over counters as Prometheus sees
them: what was scraped last before the evaluation, against the first scrape inside the window.

Like the rules, it judges each probe by itself: what many events of one probe dilute can be plain in another's few.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from monitor.burn_rate import MIN_FAILURES
from monitor.slo.rules.recorded import LONG, LONG_INTERVAL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    from numpy.typing import NDArray

    from monitor.burn_rate import BurnCondition
    from monitor.config.traffic import Source

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Prometheus' intervals, in seconds."""

    scrape: float
    evaluation: float

    @property
    def seldom(self) -> float:
        """Seconds between two evaluations of the long windows."""
        return max(LONG_INTERVAL, self.evaluation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Times in seconds over many trials: the 5th, 50th and 95th percentile of those that paged, and their share."""

    low: float
    median: float
    high: float
    paged: float

    @classmethod
    def of(cls, times: Floats) -> Spread | None:
        """The spread of times, of which those that never came are infinite; None where none came."""
        came = times[np.isfinite(times)]
        if not len(came):
            return None
        low, median, high = (float(value) for value in np.percentile(came, (5, 50, 95)))
        return cls(low=low, median=median, high=high, paged=len(came) / len(times))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One SLO's condition, ready to be evaluated: `objective` as a ratio; the failures are to be more than `least`."""

    burn: BurnCondition
    objective: Decimal
    least: float = 0.0


Judged: TypeAlias = "tuple[Track, Sequence[Rule]]"
"""One probe's events, and the conditions that they are held against."""


@dataclass(frozen=True, slots=True)
class Track:
    """When the good and the bad events of one probe are booked, in order; seconds."""

    good: Floats
    bad: Floats

    @property
    def first(self) -> float:
        """When the first of them is booked; infinite without one."""
        return float(min((times[0] for times in (self.good, self.bad) if len(times)), default=np.inf))


def events(
    sources: Sequence[Source],
    start: float,
    end: float,
    bad: Callable[[Floats], NDArray[np.bool_]],
    rng: np.random.Generator,
) -> Track:
    """The events of one probe between two times; `bad` tells which fail, by the times when their messages come.

    So a fault meets those that are on their way when it begins: an exchange whose answer has yet to be sent, a message
    whose wallet has yet to come back.
    """
    good_at, bad_at = [], []
    for source in sources:
        begins = np.arange(start - rng.uniform(0, source.period), end, source.period)
        begins = np.repeat(begins, source.count)
        until = begins + source.period
        while len(begins):
            fails = bad(begins + source.takes)
            good_at.append(begins[~fails] + source.takes)
            waited = np.full(len(begins), source.takes)
            if source.answers:
                waited[bad(begins)] = 0.0
            failed = (begins + waited + source.timeout)[fails]
            bad_at.append(failed)
            if source.retry is None:
                break
            # What was not made until its successor is due is that one's business.
            begins, until = failed + source.retry, until[fails]
            due = begins < np.minimum(until, end)
            begins, until = begins[due], until[due]
    return Track(_sorted(good_at, start, end), _sorted(bad_at, start, end))


def first_page(judged: Sequence[Judged], start: float, end: float, pace: Pace, rng: np.random.Generator) -> float:
    """When, from `start` on, the first rule fires about any probe; infinite: none before `end`."""
    earliest = min(start, *(track.first for track, _ in judged))
    scrapes = np.arange(earliest - rng.uniform(0, pace.scrape), end, pace.scrape)
    evaluations = Evaluations(start, end, pace, rng)
    fires = np.zeros(len(evaluations.alerts), dtype=bool)
    for track, rules in judged:
        counters = Counters(scrapes, track)
        for rule in rules:
            fires |= _fires(rule, counters, evaluations)
    hits = np.flatnonzero(fires)
    return float(evaluations.alerts[hits[0]]) if len(hits) else float("inf")


def pages_in(judged: Sequence[Judged], start: float, end: float, pace: Pace, rng: np.random.Generator) -> int:
    """How often an SLO's alert begins to fire between two times: any rule of it about any probe, one group."""
    scrapes = np.arange(start - rng.uniform(0, pace.scrape), end, pace.scrape)
    evaluations = Evaluations(start, end, pace, rng)
    fires = np.zeros(len(evaluations.alerts), dtype=bool)
    each = ((rule, counters) for track, rules in judged for counters in [Counters(scrapes, track)] for rule in rules)
    for rule, counters in each:
        firing = _fires(rule, counters, evaluations)
        kept = max(1, round(rule.burn.keep_firing_for / pace.evaluation))
        # What fires goes on firing for `keep_firing_for`: a gap shorter than that is no second page.
        ends = np.cumsum(firing)
        before = np.concatenate((np.zeros(kept, dtype=ends.dtype), ends[:-kept])) if kept < len(ends) else 0
        fires |= ends > before
    return int(np.count_nonzero(fires[1:] & ~fires[:-1])) + int(len(fires) > 0 and fires[0])


class Evaluations:
    """When alerts are evaluated, and when what they find recorded then was."""

    def __init__(self, start: float, end: float, pace: Pace, rng: np.random.Generator) -> None:
        self.alerts: Floats = np.arange(start + rng.uniform(0, pace.evaluation), end, pace.evaluation)
        self._short, self._long = (
            interval * np.floor((self.alerts - phase) / interval) + phase
            for interval in (pace.evaluation, pace.seldom)
            for phase in (start + rng.uniform(0, interval),)
        )

    def of(self, window: float) -> Floats:
        """When the ratio over a window was recorded, for each evaluation of the alerts."""
        return self._short if window < LONG else self._long


class Counters:
    """The two counters of an SLO at one probe as they were scraped."""

    def __init__(self, scrapes: Floats, track: Track) -> None:
        self.scrapes = scrapes
        self._bad = np.searchsorted(track.bad, scrapes, side="right").astype(np.float64)
        self._good = np.searchsorted(track.good, scrapes, side="right").astype(np.float64)

    def increases(self, evaluations: Floats, window: float) -> tuple[Floats, Floats]:
        """The increase of bad and of all events over a window, at each evaluation; extrapolated as PromQL does."""
        last = np.searchsorted(self.scrapes, evaluations, side="right") - 1
        first = np.searchsorted(self.scrapes, evaluations - window, side="right")
        usable = last > first
        first, last = np.where(usable, first, 0), np.where(usable, last, 0)
        covered = np.where(usable, self.scrapes[last] - self.scrapes[first], 1.0)
        gap = covered / np.maximum(last - first, 1)
        lead, tail = self.scrapes[first] - (evaluations - window), evaluations - self.scrapes[last]
        # Up to the window's edges where the next scrape was due about there, else half a gap further.
        lead, tail = np.where(lead < 1.1 * gap, lead, gap / 2), np.where(tail < 1.1 * gap, tail, gap / 2)
        bad, good = (
            np.where(usable, _stretched(values[first], values[last], covered, lead, tail), 0.0)
            for values in (self._bad, self._good)
        )
        return bad, bad + good


def _stretched(first: Floats, last: Floats, covered: Floats, lead: Floats, tail: Floats) -> Floats:
    """A counter's growth over what is covered, stretched to the window; not to before it can have been zero."""
    grown = last - first
    zero = np.where(grown > 0, covered * first / np.maximum(grown, 1.0), np.inf)
    stretched: Floats = grown * (covered + np.minimum(lead, zero) + tail) / covered
    return stretched


def _fires(rule: Rule, counters: Counters, evaluations: Evaluations) -> NDArray[np.bool_]:
    limit = float(rule.burn.factor * (1 - rule.objective))
    # Failures are counted when the alert is evaluated, ratios when they are recorded.
    burn = rule.burn
    fires = counters.increases(evaluations.alerts, burn.count_window or burn.long_window)[0] > MIN_FAILURES - 0.5
    fires &= counters.increases(evaluations.alerts, burn.long_window)[0] > rule.least
    if burn.severity == "critical":
        fires &= counters.increases(evaluations.alerts, burn.recent_window)[0] > 0
    for window in (burn.long_window, burn.short_window):
        at = evaluations.of(window)
        bad, every = counters.increases(at, window)
        over = (every > 0) & (bad > limit * every)
        if burn.short_window == window < burn.recent_window:
            # What has no events in this window is judged by the last one that had some, if that was as recent.
            last = np.maximum.accumulate(np.where(every > 0, np.arange(len(at)), 0))
            over = over[last] & (evaluations.alerts - at[last] < burn.recent_window)
        fires &= over
    return fires


def _sorted(parts: list[Floats], start: float, end: float) -> Floats:
    # Stable: it takes the sorted runs that the sources are as they are.
    every = np.sort(np.concatenate(parts), kind="stable") if parts else np.empty(0)
    return every[(every >= start) & (every < end)]
