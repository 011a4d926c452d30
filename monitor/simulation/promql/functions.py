"""PromQL's functions of ranges, and of numbers, each at many times at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from monitor.simulation.promql.series import Floats, Series

NEAR: Final = 1.1
"""Average distances of samples within which one is expected at the edge of a window."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """The samples of a series in a window that ends at each of `at`: those from `first` to `last`, both included.

    version: Prometheus' major version.
    """

    at: Floats
    window: float
    first: NDArray[np.intp]
    last: NDArray[np.intp]
    version: int = 3

    @classmethod
    def of(cls, times: Floats, at: Floats, window: float, *, version: int, seen: Floats | None = None) -> Ranges:
        """Find the samples; Prometheus 3 leaves out one exactly at a window's start, 2 does not.

        Samples later than `seen` cannot be queried yet.
        """
        first = np.searchsorted(times, at - window, side="right" if version >= 3 else "left")  # noqa: PLR2004
        last = np.searchsorted(times, at if seen is None else seen, side="right") - 1
        return cls(at, window, first, last, version)

    @property
    def count(self) -> NDArray[np.intp]:
        """The number of samples in each window."""
        count: NDArray[np.intp] = np.maximum(self.last - self.first + 1, 0)
        return count


def increase(series: Series, found: Ranges) -> Floats:
    """Return the increase of a counter, extrapolated as Prometheus does; NaN below two samples."""
    times, values = series.samples
    usable = found.last > found.first
    if not usable.any():
        return np.full(len(found.at), np.nan)
    first, last = np.where(usable, found.first, 0), np.where(usable, found.last, 0)
    covered = np.where(usable, times[last] - times[first], 1.0)
    grown = series.total[last] - series.total[first]
    average = covered / np.maximum(last - first, 1)
    lead, tail = times[first] - (found.at - found.window), found.at - times[last]
    zero = np.where(grown > 0, covered * values[first] / np.maximum(grown, 1e-300), np.inf)
    if found.version < 3:  # noqa: PLR2004 - Prometheus' major version
        lead = np.minimum(lead, zero)
        lead = np.where(lead < NEAR * average, lead, average / 2)
    else:
        lead = np.minimum(np.where(lead < NEAR * average, lead, average / 2), zero)
    tail = np.where(tail < NEAR * average, tail, average / 2)
    result: Floats = np.where(usable, grown * (covered + lead + tail) / covered, np.nan)
    return result


def _rate(series: Series, found: Ranges) -> Floats:
    return increase(series, found) / found.window


def _reduce(reduce: np.ufunc, series: Series, found: Ranges) -> Floats:
    values = series.samples[1]
    there = found.count > 0
    result = np.full(len(found.at), np.nan)
    if there.any():
        edges = np.column_stack((found.first[there], found.last[there] + 1)).ravel()
        padded = np.append(values, 0.0)  # the last edge may be the end
        result[there] = reduce.reduceat(padded, edges)[::2]
    return result


def _sum(series: Series, found: Ranges) -> Floats:
    there = found.count > 0
    first, after = np.where(there, found.first, 0), np.where(there, found.last + 1, 0)
    return np.where(there, series.sums[after] - series.sums[first], np.nan)


def _of_last(series: Series, found: Ranges) -> Floats:
    values = series.samples[1]
    there = found.count > 0
    return (
        np.where(there, values[np.where(there, found.last, 0)], np.nan) if len(values) else np.full(len(there), np.nan)
    )


def _changes(series: Series, found: Ranges) -> Floats:
    there = found.count > 0
    if not there.any():
        return np.full(len(there), np.nan)
    first, last = np.where(there, found.first, 0), np.where(there, found.last, 0)
    return np.where(there, series.changed[last] - series.changed[first], np.nan)


def _count(_: Series, found: Ranges) -> Floats:
    return np.where(found.count > 0, found.count.astype(np.float64), np.nan)


def _present(_: Series, found: Ranges) -> Floats:
    return np.where(found.count > 0, 1.0, np.nan)


def quantile(q: Floats, buckets: Sequence[tuple[float, Floats]]) -> Floats:
    """Return a quantile of a histogram: upper edges and counts of its buckets, by edge."""
    counts = np.stack([value for _, value in buckets])
    edges = np.array([edge for edge, _ in buckets])
    target = q * counts[-1]
    bucket = np.argmax(counts >= target, axis=0)
    column = np.arange(counts.shape[1])
    below = np.where(bucket > 0, counts[bucket - 1, column], 0.0)
    low = np.where(bucket > 0, edges[bucket - 1], 0.0)
    inside = np.maximum(counts[bucket, column] - below, 1e-300)
    found = np.where(np.isinf(edges[bucket]), edges[-2], low + (edges[bucket] - low) * (target - below) / inside)
    result: Floats = np.where(counts[-1] > 0, found, np.nan)
    return result


RANGES: Final[dict[str, Callable[[Series, Ranges], Floats]]] = {
    "increase": increase,
    "rate": _rate,
    "changes": _changes,
    "count_over_time": _count,
    "present_over_time": _present,
    "last_over_time": _of_last,
    "max_over_time": lambda series, found: _reduce(np.maximum, series, found),
    "min_over_time": lambda series, found: _reduce(np.minimum, series, found),
    "sum_over_time": _sum,
    "avg_over_time": lambda series, found: _sum(series, found) / np.maximum(found.count, 1),
}
"""Functions of a range; all but `last_over_time` drop the series' name."""

NUMBERS: Final[dict[str, Callable[..., Floats]]] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "floor": np.floor,
    "round": lambda value, to=1.0: np.floor(value / to + 0.5) * to,
    "clamp_min": np.maximum,
    "clamp_max": np.minimum,
}
"""Functions of each value of a vector."""

OPERATIONS: Final[dict[str, Callable[[Floats, Floats], Floats]]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
}
COMPARE: Final[dict[str, Callable[[Floats, Floats], NDArray[np.bool_]]]] = {
    "==": np.equal,
    "!=": np.not_equal,
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
}
