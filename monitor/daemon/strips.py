"""Strips and charts: the cells and latencies of a relay's probes as one series without gaps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from monitor.journal import Cell, Histogram
from monitor.vocabulary import Outcome
from monitor.web.model import LatencyPoint, RoundTripView

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ORDER: Final = (Outcome.FAILED, Outcome.EXCLUDED, Outcome.ABORTED, Outcome.OK)
"""Worst first."""

LATENCY_POINTS: Final = 12


def strip(probes: Iterable[Sequence[Cell]], now: datetime, seconds: int, number: int) -> tuple[Cell, ...]:
    """Return the last `number` cells of all probes together, oldest first; the last one contains `now`."""
    by_start: dict[int, list[Cell]] = {}
    for cells in probes:
        for cell in cells:
            by_start.setdefault(int(cell.start.timestamp()) // seconds, []).append(cell)
    last = int(now.timestamp()) // seconds
    return tuple(_merged(index * seconds, by_start.get(index, ())) for index in range(last - number + 1, last + 1))


def _merged(start: int, cells: Sequence[Cell]) -> Cell:
    at = datetime.fromtimestamp(start, UTC)
    if not cells:
        return Cell(start=at)
    worst = min((cell for cell in cells if cell.worst is not None), key=_badness, default=None)
    return Cell(
        start=at,
        ok=sum(cell.ok for cell in cells),
        failed=sum(cell.failed for cell in cells),
        aborted=sum(cell.aborted for cell in cells),
        excluded=sum(cell.excluded for cell in cells),
        lost=sum(cell.lost for cell in cells),
        worst=None if worst is None else worst.worst,
        run_id=None if worst is None else worst.run_id,
    )


def _badness(cell: Cell) -> int:
    return len(_ORDER) if cell.worst is None else _ORDER.index(cell.worst)


def latencies(
    probes: Iterable[Sequence[tuple[datetime, Histogram]]], now: datetime, seconds: int, *, threshold: float | None
) -> RoundTripView:
    """Return the round trips of all probes together, as points of `seconds` each."""
    by_start: dict[int, list[Histogram]] = {}
    for points in probes:
        for start, histogram in points:
            by_start.setdefault(int(start.timestamp()) // seconds, []).append(histogram)
    last = int(now.timestamp()) // seconds
    indexes = range(last - LATENCY_POINTS + 1, last + 1)
    merged = {index: _sum(by_start.get(index, ())) for index in indexes}
    total = _sum(tuple(merged.values()))
    return RoundTripView(
        p50=total.quantile(0.5),
        p99=total.quantile(0.99),
        threshold=threshold,
        series=tuple(
            LatencyPoint(
                start=datetime.fromtimestamp(index * seconds, UTC), p50=each.quantile(0.5), p99=each.quantile(0.99)
            )
            for index, each in merged.items()
        ),
    )


def _sum(histograms: Sequence[Histogram]) -> Histogram:
    if not histograms:
        return Histogram()
    return Histogram(tuple(map(sum, zip(*(each.counts for each in histograms), strict=True))))
