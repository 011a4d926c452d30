"""Strips and charts: the cells and latencies of a relay's probes as one series without gaps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from monitor.journal import Cell, Histogram
from monitor.vocabulary import Outcome
from monitor.web.model import LatencyPoint, RoundTripView

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ORDER: Final = {
    each: number for number, each in enumerate((Outcome.FAILED, Outcome.ABORTED, Outcome.EXCLUDED, Outcome.OK, None))
}
"""Worst first, as in the journal's cells; None is a cell without a run."""

LATENCY_POINTS: Final = 12


def strip(probes: Iterable[Sequence[Cell]], now: datetime, seconds: int, number: int) -> tuple[Cell, ...]:
    """Return the last `number` cells of all probes together, oldest first; the last one contains `now`.

    The cells of the journal start at multiples of `seconds`.
    """
    by_start: dict[int, list[Cell]] = {}
    for cells in probes:
        for cell in cells:
            by_start.setdefault(int(cell.start.timestamp()) // seconds, []).append(cell)
    last = int(now.timestamp()) // seconds
    return tuple(
        _sum_of(by_start[index]) if index in by_start else Cell(start=datetime.fromtimestamp(index * seconds, UTC))
        for index in range(last - number + 1, last + 1)
    )


def with_present(day: tuple[Cell, ...], hour: Sequence[Cell], now: datetime, seconds: int) -> tuple[Cell, ...]:
    """Return the strip of a day with its last cell made of the strip of an hour, which was read more recently."""
    start = datetime.fromtimestamp(int(now.timestamp()) // seconds * seconds, UTC)
    recent = [cell for cell in hour if cell.start >= start and cell.worst is not None]
    last = replace(_sum_of(recent), start=start) if recent else Cell(start=start)
    before = day[:-1] if day[-1].start == start else day[1:]
    return (*before, last)


def _sum_of(cells: Sequence[Cell]) -> Cell:
    worst = cells[0]
    if len(cells) == 1:
        return worst
    ok = failed = aborted = excluded = lost = 0
    for cell in cells:
        ok += cell.ok
        failed += cell.failed
        aborted += cell.aborted
        excluded += cell.excluded
        lost += cell.lost
        if _ORDER[cell.worst] < _ORDER[worst.worst]:
            worst = cell
    return Cell(
        start=worst.start,
        ok=ok,
        failed=failed,
        aborted=aborted,
        excluded=excluded,
        lost=lost,
        worst=worst.worst,
        run_id=worst.run_id,
    )


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
    merged = {index: _histogram(by_start.get(index, ())) for index in indexes}
    total = _histogram(tuple(merged.values()))
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


def _histogram(histograms: Sequence[Histogram]) -> Histogram:
    if not histograms:
        return Histogram()
    return Histogram(tuple(map(sum, zip(*(each.counts for each in histograms), strict=True))))
