"""Compares two results: what changed, with confidence intervals, and whether it got worse.

Latencies with sketches: the interval of the ratio of two quantiles is computed from order statistics. Of n samples, the
number below the true q-quantile is binomial in n and q (normal approximation for many), so the quantile lies between
the samples of that rank and the next. Ranks are drawn for both sketches; the interval goes from the 2.5 % point of the
least ratios to the 97.5 % point of the greatest. Nothing is known beyond the last sample: a P99 of fewer than 368
exchanges has no upper bound. Shares: Newcombe's interval of a difference, from Wilson's intervals.

A merged result has the sum of its workers' peaks of connections that were away, which were not at one moment: the share
of stable connections is not compared then.

Results of the Node tool have whole milliseconds and no interval; a change that rounding can explain is not worse.
A figure that A has and B does not (nothing succeeded) is a regression.

A figure that is not worse is undecided if its interval, for lack of samples, does not rule out a regression: that of a
latency reaches beyond the ratio; that of a share reaches 5 percentage points below A, or its failures grew beyond the
ratio, which may be chance.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from math import inf, isfinite, sqrt
from typing import TYPE_CHECKING, Any, Final

from monitor.errors import StartupError
from monitor.load.conversion import sketches_of
from monitor.load.result import LoadResult

if TYPE_CHECKING:
    from monitor.load.result_file import NodeResult
    from monitor.load.sketch import Sketch

DRAWS: Final = 4000
CONFIDENCE: Final = 0.95
_Z: Final = 1.959963984540054  # 97.5 % point of the normal distribution
_ROUNDING: Final = 0.5  # ms that rounding to whole milliseconds can add or remove
_MAX_BERNOULLI_SAMPLES: Final = 200  # up to which a rank is drawn by Bernoulli trials

LATENCIES: Final = {
    "connect": "connectTime",
    "handshake": "handshake",
    "round trip": "messages",
    "recovery": "recovery",
}
"""The latencies that are compared, and the keys of their sketches."""

MIN_RESOLUTION: Final = 5.0
"""Percentage points: a share whose interval reaches further below A has too few samples."""

SHARES: Final = ("connected", "delivered", "recovered", "stable")
"""The shares that are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One figure of A and B: a latency in milliseconds or a share in percent.

    `effect` is B over A for a latency, and B minus A in percentage points for a share; `interval` is its confidence
    interval, if there is one. `after` and `effect` are None if B has no such figure. `worse`: beyond the given ratio,
    and not by chance; or B has no such figure. `undecided`: not worse, but too few samples to rule it out.
    """

    name: str
    before: float
    after: float | None
    effect: float | None
    interval: tuple[float, float] | None
    worse: bool
    undecided: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return JSON; infinity, which JSON does not have, is null."""
        interval = None if self.interval is None else [_finite(bound) for bound in self.interval]
        effect = None if self.effect is None else _finite(self.effect)
        return asdict(self) | {"effect": effect, "interval": interval}


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def compare(
    before: LoadResult | NodeResult,
    after: LoadResult | NodeResult,
    *,
    ratio: float,
    seed: int = 1,
    names: tuple[str, str] = ("A", "B"),
) -> list[Change]:
    """Return the changes from A to B. A latency, or a share of failures, is worse if it grew beyond `ratio`.

    If it has an interval, all of that must be on the worse side, too. `names` are those of the files. Raises
    `StartupError` for results of different scenarios, for an incomplete one, and if A has no figures.
    """
    _check_complete(before, names[0])
    _check_complete(after, names[1])
    if before.scenario != after.scenario:
        raise StartupError(f"cannot compare {before.scenario} with {after.scenario}")
    figures = _Figures(before, names[0]), _Figures(after, names[1])
    changes = _latencies(*figures, ratio, random.Random(seed))  # noqa: S311 - draws ranks
    changes += _shares(before, after, ratio)
    if not changes:
        raise StartupError(f"{names[0]}: nothing to compare: no connection was attempted")
    return changes


def _check_complete(result: LoadResult | NodeResult, name: str) -> None:
    """Raise `StartupError` if the test was interrupted, or lacks a worker."""
    if not isinstance(result, LoadResult):
        return
    if missing := result.meta.missing_workers:
        raise StartupError(f"{name}: not a complete result: it lacks worker {', '.join(map(str, missing))}")
    if result.meta.interrupted:
        raise StartupError(f"{name}: not a complete result: the test was interrupted")


class _Figures:
    """The latencies of a result: sketches, or of the Node tool whole milliseconds."""

    def __init__(self, result: LoadResult | NodeResult, name: str) -> None:
        self.sketches: dict[str, Sketch] = {}
        self._rounded: dict[str, Any] = {}
        if isinstance(result, LoadResult):
            try:
                self.sketches = sketches_of(result)
            except ValueError as error:
                raise StartupError(f"{name}: not a complete result: {error}") from error
        else:
            results = result.results
            parts = {"handshake": results.handshake, "messages": results.messages, "recovery": results.recovery}
            self._rounded = {key: part.latency for key, part in parts.items() if part is not None}
            self._rounded["connectTime"] = results.connect_time

    def quantile(self, key: str, percentile: int) -> float | None:
        """Return a percentile in milliseconds; None if nothing was measured."""
        if (sketch := self.sketches.get(key)) is not None:
            return sketch.quantile(percentile / 100) * 1e3 if sketch.counts else None
        rounded = self._rounded.get(key)
        return None if rounded is None else float(getattr(rounded, f"p{percentile}"))


def _latencies(before: _Figures, after: _Figures, ratio: float, rng: random.Random) -> list[Change]:
    changes = []
    for name, key in LATENCIES.items():
        one, two = before.sketches.get(key), after.sketches.get(key)
        for percentile in (50, 95, 99):
            old, new = before.quantile(key, percentile), after.quantile(key, percentile)
            if old is None:
                continue
            if new is None:
                changes.append(_absent_in_b(f"{name} p{percentile}", old))
                continue
            share = percentile / 100
            interval = _interval(one, two, share, rng) if one is not None and two is not None else None
            effect = new / old if old else (1.0 if not new else inf)
            # The true values of whole milliseconds may lie closer to each other.
            grew = new - (_ROUNDING if two is None else 0.0) > ratio * (old + (_ROUNDING if one is None else 0.0))
            worse = grew and (interval is None or interval[0] > 1.0)
            changes.append(
                Change(
                    name=f"{name} p{percentile}",
                    before=old,
                    after=new,
                    effect=effect,
                    interval=interval,
                    worse=worse,
                    undecided=not worse and interval is not None and interval[1] > ratio,
                )
            )
    return changes


def _absent_in_b(name: str, before: float) -> Change:
    return Change(name=name, before=before, after=None, effect=None, interval=None, worse=True)


def _interval(one: Sketch, two: Sketch, share: float, rng: random.Random) -> tuple[float, float]:
    """Return the 95 % interval of the ratio of a quantile of two sketches."""
    drawn = list(zip(_drawn(one, share, rng), _drawn(two, share, rng), strict=True))
    lows = sorted(after[0] / before[1] for before, after in drawn)
    highs = sorted(after[1] / before[0] if before[0] else inf for before, after in drawn)
    tail = (1.0 - CONFIDENCE) / 2
    return lows[int(tail * len(lows))], highs[int((1.0 - tail) * len(highs))]


def _drawn(sketch: Sketch, share: float, rng: random.Random) -> list[tuple[float, float]]:
    """Return, for each draw of a rank, the two values between which the quantile lies."""
    count = sketch.count
    spread = sqrt(count * share * (1.0 - share))
    known: dict[int, tuple[float, float]] = {}
    values = []
    for _ in range(DRAWS):
        if count <= _MAX_BERNOULLI_SAMPLES:
            rank = sum(rng.random() < share for _ in range(count))
        else:
            rank = min(count, max(0, round(rng.gauss(count * share, spread))))
        if rank not in known:
            below = sketch.ranked(rank) if rank else 0.0
            known[rank] = below, sketch.ranked(rank + 1) if rank < count else inf
        values.append(known[rank])
    return values


def _shares(before: LoadResult | NodeResult, after: LoadResult | NodeResult, ratio: float) -> list[Change]:
    changes = []
    ones, twos = _counts(before), _counts(after)
    if not (_knows_stability(before) and _knows_stability(after)):
        ones.pop("stable", None)
    for name, one in ones.items():
        two = twos.get(name)
        if two is None:
            changes.append(_absent_in_b(name, one[0] / one[1] * 100))
            continue
        rates = one[0] / one[1], two[0] / two[1]
        interval = _difference(one, two)
        grew = 1.0 - rates[1] > (1.0 - rates[0]) * ratio
        worse = grew and interval[1] < 0.0
        changes.append(
            Change(
                name=name,
                before=rates[0] * 100,
                after=rates[1] * 100,
                effect=(rates[1] - rates[0]) * 100,
                interval=(interval[0] * 100, interval[1] * 100),
                worse=worse,
                undecided=not worse and (grew or interval[0] * 100 < -MIN_RESOLUTION),
            )
        )
    return changes


def _counts(result: LoadResult | NodeResult) -> dict[str, tuple[int, int]]:
    """Return the good ones and all of each share that was measured."""
    results = result.results
    counts = {}
    if (connections := results.connections) is not None:
        counts["connected"] = connections.successful, connections.attempted
    if (messages := results.messages) is not None:
        counts["delivered"] = messages.received, messages.sent
    if (recovery := results.recovery) is not None:
        counts["recovered"] = recovery.received, recovery.attempted
    if connections is not None and (dropped := _dropped(result)) is not None:
        counts["stable"] = connections.successful - dropped, connections.successful
    return {name: (min(every, max(0, good)), every) for name, (good, every) in counts.items() if every}


def _knows_stability(result: LoadResult | NodeResult) -> bool:
    """Return whether the dropped connections of a result are those of one moment, or are counted one by one."""
    if not isinstance(result, LoadResult) or result.results.steady_state is None:
        return True
    return len(result.meta.included_workers or (0,)) == 1


def _dropped(result: LoadResult | NodeResult) -> int | None:
    """Return the connections that did not stay connected: pairs that dropped, or the most away during a hold."""
    results = result.results
    if results.steady_state is not None:
        return results.steady_state.peak_disconnects
    return None if results.steady_messaging is None else results.steady_messaging.disconnects


def _wilson(good: int, count: int) -> tuple[float, float]:
    share, square = good / count, _Z * _Z
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = _Z * sqrt(share * (1 - share) / count + square / (4 * count * count)) / (1 + square / count)
    return middle - half, middle + half


def _difference(one: tuple[int, int], two: tuple[int, int]) -> tuple[float, float]:
    """Return Newcombe's hybrid score interval of the second share minus the first."""
    before, after = one[0] / one[1], two[0] / two[1]
    (low1, high1), (low2, high2) = _wilson(*one), _wilson(*two)
    below = sqrt(max(0.0, after - low2) ** 2 + max(0.0, high1 - before) ** 2)
    above = sqrt(max(0.0, high2 - after) ** 2 + max(0.0, before - low1) ** 2)
    return after - before - below, after - before + above
