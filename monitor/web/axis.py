"""The time axis of a run: seconds to percent of the width, with long waits folded.

A run of a minute has steps of a millisecond. A pause in which no step is under way is folded: it takes a fixed small
width, and the rest belongs to the steps. So is a step that takes much longer than all others together, as one that
waits for a message until its deadline.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SHORTEST_FOLD: Final = 0.05
"""Shortest time that is folded, in seconds."""

FOLD_FACTOR: Final = 3.0
"""A part of a step is folded if it is this much longer than all shorter ones together."""

FOLD_WIDTH: Final = 7.0
"""Width of a fold, in percent."""

MAX_FOLDED: Final = 50.0
"""Largest width of all folds, in percent."""

MAX_INTERVALS: Final = 2_000
"""Largest number of times that an axis distinguishes."""


@dataclass(frozen=True, slots=True)
class Interval:
    """One part of an axis: seconds from `start` to `end`, drawn from `left` to `right` percent."""

    start: float
    end: float
    left: float
    right: float
    folded: bool

    @property
    def seconds(self) -> float:
        """Its length in seconds."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar, in percent of the width."""

    left: float
    width: float
    folded: bool


class Axis:
    """Maps seconds to percent.

    `steps` are the times from which to which steps are under way, `instants` further times at which something happens.
    """

    def __init__(self, steps: Sequence[tuple[float, float]], instants: Iterable[float] = ()) -> None:
        steps = [(_rounded(start), _rounded(end)) for start, end in steps]
        edges = sorted({0.0, *chain.from_iterable(steps), *map(_rounded, instants)})[:MAX_INTERVALS]
        if len(edges) == 1:
            edges.append(1e-6)
        parts = list(pairwise(edges))
        folded = _folded(parts, steps)
        width = min(FOLD_WIDTH, MAX_FOLDED / sum(folded)) if any(folded) else 0.0
        shown = sum(end - start for (start, end), hidden in zip(parts, folded, strict=True) if not hidden)
        scale = (100 - width * sum(folded)) / shown if shown else 0.0
        intervals: list[Interval] = []
        left = 0.0
        for (start, end), hidden in zip(parts, folded, strict=True):
            right = left + (width if hidden else (end - start) * scale)
            intervals.append(Interval(start, end, left, right, hidden))
            left = right
        self.intervals = tuple(intervals)
        self._edges = edges

    @property
    def folds(self) -> tuple[Interval, ...]:
        """The folded parts."""
        return tuple(interval for interval in self.intervals if interval.folded)

    def at(self, time: float) -> float:
        """Return where a time is, in percent; those outside the axis are at its ends."""
        if time <= 0:
            return 0.0
        interval = self.intervals[min(bisect_right(self._edges, time), len(self.intervals)) - 1]
        share = min(1.0, (time - interval.start) / interval.seconds)
        return round(interval.left + (interval.right - interval.left) * share, 3)

    def segments(self, start: float, end: float) -> tuple[Segment, ...]:
        """Return the parts of a bar from `start` to `end`, split where the axis is folded."""
        left, right = self.at(start), self.at(end)
        edges = [left]
        edges += [edge for fold in self.folds for edge in (fold.left, fold.right) if left < edge < right]
        edges.append(right)
        folds = self.folds
        return tuple(
            Segment(round(a, 3), round(b - a, 3), any(fold.left <= a and b <= fold.right for fold in folds) and b > a)
            for a, b in pairwise(edges)
        )


def _rounded(time: float) -> float:
    """Return a time in whole microseconds, since equal times may differ by their rounding."""
    return round(max(0.0, time), 6)


def _folded(parts: Sequence[tuple[float, float]], steps: Sequence[tuple[float, float]]) -> list[bool]:
    """Return which parts of an axis are folded; never all of them."""
    busy = [any(start <= a and b <= end for start, end in steps) for a, b in parts]
    minimum, shorter = float("inf"), 0.0
    for length in sorted(b - a for (a, b), under_way in zip(parts, busy, strict=True) if under_way):
        if shorter and length >= SHORTEST_FOLD and length > FOLD_FACTOR * shorter:
            minimum = length
            break
        shorter += length
    folded = [
        b - a >= minimum if under_way else b - a >= SHORTEST_FOLD for (a, b), under_way in zip(parts, busy, strict=True)
    ]
    return folded if not all(folded) else [False] * len(parts)
