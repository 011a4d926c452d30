"""Strips and charts: cells and latencies as shapes of inline SVG."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitor.journal import Cell
    from monitor.web.model import LatencyPoint, RoundTripView

HEIGHT: Final = 16
"""Height of a strip in units of its view box; a cell is one unit wide."""

_TOPS: Final = {"failed": 0, "partial": 3, "ok": 7, "excluded": 11, "none": 15}
"""Kind of a cell → upper edge of its bar: the height says the same as the colour."""

CHART_WIDTH: Final = 300
CHART_HEIGHT: Final = 80

_MIN_DECADES: Final = 1.0
"""Smallest range of the logarithmic axis of a chart."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One cell of a strip. `kind` is failed, partial (some failed), ok, excluded or none."""

    x: int
    y: int
    height: int
    kind: str
    title: str
    run_id: str | None


@dataclass(frozen=True, slots=True)
class Strip:
    """Cells as bars and, with neighbours of one kind merged, as paths: pairs of kind and path data."""

    label: str
    width: int
    cells: Sequence[Cell]
    kinds: tuple[str, ...]

    @property
    def paths(self) -> list[tuple[str, str]]:
        """One path for each run of cells of one kind."""
        found: list[tuple[str, str]] = []
        x = 0
        for kind, group in groupby(self.kinds):
            length, top = len(list(group)), _TOPS[kind]
            found.append((kind, f"M{x} {top}h{length}v{HEIGHT - top}h-{length}z"))
            x += length
        return found

    @property
    def bars(self) -> list[Bar]:
        """One bar for each cell."""
        return [
            Bar(x, _TOPS[kind], HEIGHT - _TOPS[kind], kind, _title(cell), cell.run_id)
            for x, (kind, cell) in enumerate(zip(self.kinds, self.cells, strict=True))
        ]


def strip(cells: Sequence[Cell], period: str) -> Strip:
    """Return the strip of cells, oldest first; `period` names the time that they cover: "60 minutes"."""
    kinds = tuple(map(_kind, cells))
    bad = [cell for cell, kind in zip(cells, kinds, strict=True) if kind in {"failed", "partial"}]
    if bad:
        failed = sum(cell.failed for cell in bad)
        what = f"{failed} failed, last in the span from {bad[-1].start:%H:%M} UTC"
    else:
        what = "no failures" if "ok" in kinds else "no runs"
    return Strip(f"Last {period}: {what}", len(cells), cells, kinds)


def _kind(cell: Cell) -> str:
    if cell.failed:
        return "partial" if cell.ok else "failed"
    if cell.ok:
        return "ok"
    return "excluded" if cell.excluded or cell.aborted else "none"


def _title(cell: Cell) -> str:
    counts = {"failed": cell.failed, "ok": cell.ok, "excluded": cell.excluded, "aborted": cell.aborted}
    parts = [f"{count} {name}" for name, count in counts.items() if count]
    if cell.lost:
        parts.append(f"{cell.lost} messages lost")
    return f"{cell.start:%H:%M} UTC: {', '.join(parts) or 'no runs'}"


@dataclass(frozen=True, slots=True)
class Chart:
    """Round trips on a logarithmic axis: path data of the medians and of the 99th percentiles.

    threshold_y: None without a threshold. low, high: the latencies at the lower and upper edge, in seconds.
    """

    p50: str
    p99: str
    threshold_y: float | None
    low: float
    high: float


def chart(view: RoundTripView) -> Chart | None:
    """Return the chart of a relay's round trips, or None without any."""
    values = [value for point in view.series for value in (point.p50, point.p99) if value]
    if not values:
        return None
    limits = [*values, view.threshold] if view.threshold else values
    low, high = math.log10(min(limits)) - 0.1, math.log10(max(limits)) + 0.1
    if high - low < _MIN_DECADES:
        middle = (low + high) / 2
        low, high = middle - _MIN_DECADES / 2, middle + _MIN_DECADES / 2

    def height(value: float) -> float:
        return round(CHART_HEIGHT * (high - math.log10(value)) / (high - low), 1)

    def path(points: Iterable[float | None]) -> str:
        parts: list[str] = []
        step = CHART_WIDTH / max(1, len(view.series) - 1)
        drawing = False
        for number, value in enumerate(points):
            if value:
                x = round(number * step, 1)
                # A point without neighbours is drawn as a dot, by the round cap of the line.
                parts.append(f"{'L' if drawing else 'M'}{x} {height(value)}" + ("" if drawing else "h0"))
            drawing = bool(value)
        return "".join(parts)

    return Chart(
        p50=path(_column(view.series, "p50")),
        p99=path(_column(view.series, "p99")),
        threshold_y=height(view.threshold) if view.threshold else None,
        low=10**low,
        high=10**high,
    )


def _column(series: Iterable[LatencyPoint], name: str) -> list[float | None]:
    return [point.p50 if name == "p50" else point.p99 for point in series]
