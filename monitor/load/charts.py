"""Line charts as inline SVG: colours by class, so that the page's style sheet adapts them to light and dark."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

WIDTH, HEIGHT = 460, 250
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 36
"""Margins in the units of the view box; a letter is about 7 wide and 13 high."""

MIN_X_GAP, MIN_Y_GAP = 8, 20
"""Space between the labels of an axis, so that they do not touch."""

LETTER: Final = 7
MANY: Final = 500
"""Ratio of both ends of a logarithmic axis from which on it has a mark at each power of ten only."""

FAR: Final = 2.5
"""A threshold at more than so many times the highest value is not drawn: it would flatten the lines."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points; `style` is its class."""

    name: str
    style: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis: its title, range and marks; logarithmic if `log`."""

    title: str
    low: float
    high: float
    ticks: Sequence[Tick]
    log: bool = False

    def share(self, value: float) -> float:
        """Return where a value is between both ends, from 0 to 1."""
        if self.log:
            low, high, value = (math.log(max(each, 1e-9)) for each in (self.low, self.high, value))
        else:
            low, high = self.low, self.high
        return (value - low) / (high - low) if high > low else 0.0


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with a threshold on its vertical axis, drawn if it is not too far above the lines."""

    title: str
    x: Axis
    y: Axis
    lines: Sequence[Line]
    threshold: Line | None = None
    note: str = ""

    def svg(self) -> str:
        """Return the SVG element."""
        drawn = [*self.lines, *([self.threshold] if self.threshold is not None else [])]
        label = escape(f"{self.title}: {', '.join(line.name for line in drawn)}")
        parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">']
        parts += _horizontal(self.y)
        parts += _vertical(self.x)
        for line in drawn:
            points = " ".join(f"{_x(self.x, x):.1f},{_y(self.y, y):.1f}" for x, y in line.points)
            parts.append(f'<polyline class="line {line.style}" points="{points}"/>')
        return "".join([*parts, "</svg>"])


def _x(axis: Axis, value: float) -> float:
    return LEFT + axis.share(value) * (WIDTH - LEFT - RIGHT)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - axis.share(value) * (HEIGHT - TOP - BOTTOM)


def _horizontal(axis: Axis) -> Iterator[str]:
    """Yield the lines and labels of the vertical axis, from below."""
    last = math.inf
    for tick in axis.ticks:
        y = _y(axis, tick.at)
        if last - y < MIN_Y_GAP:
            continue
        last = y
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(tick.label)}</text>'


def _vertical(axis: Axis) -> Iterator[str]:
    """Yield the labels of the horizontal axis, as far as they have room, and its title."""
    y = HEIGHT - BOTTOM + 15
    last = -math.inf
    for tick in axis.ticks:
        half = LETTER * len(tick.label) / 2
        x = min(_x(axis, tick.at), WIDTH - half)
        if x - half - last < MIN_X_GAP:
            continue
        last = x + half
        yield f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{escape(tick.label)}</text>'
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    text = escape(axis.title)
    yield f'<text class="title" x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">{text}</text>'


def linear(title: str, high: float, *, unit: Callable[[float], str] = "{:g}".format) -> Axis:
    """Return an axis from 0 to a round number at or above `high`, with at most six marks."""
    step = _step(high / 5 if high > 0 else 0.2)
    marks = math.ceil(high / step - 1e-9) or 1
    return Axis(
        title, 0.0, step * marks, [Tick(step * number, unit(round(step * number, 9))) for number in range(marks + 1)]
    )


def _step(least: float) -> float:
    """Return the smallest of 1, 2, 5, 10 … at or above `least`."""
    size = 10.0 ** math.floor(math.log10(least))
    return next(size * factor for factor in (1, 2, 5, 10) if size * factor >= least * (1 - 1e-9))


def logarithmic(title: str, low: float, high: float) -> Axis:
    """Return an axis from a round number at or below `low` to one at or above `high`: 1, 2, 5 and so on."""
    marks = [
        factor * 10.0**power
        for power in range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
        for factor in (1, 2, 5)
    ]
    first = max(mark for mark in marks if mark <= low * (1 + 1e-9))
    last = min(mark for mark in marks if mark >= high * (1 - 1e-9) and mark > first)
    decades = first * MANY <= last  # then only powers of ten have room
    shown = [mark for mark in marks if first <= mark <= last and not (decades and f"{mark:e}"[0] != "1")]
    ticks = [Tick(mark, f"{mark:.9g}") for mark in shown]
    return Axis(title, first, last, ticks, log=True)


def highest(lines: Iterable[Line]) -> float:
    """Return the highest value of some lines."""
    return max(y for line in lines for _, y in line.points)
