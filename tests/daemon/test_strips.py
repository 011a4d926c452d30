"""Strips and charts without gaps, of several probes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from monitor.daemon.strips import LATENCY_POINTS, latencies, strip, with_present
from monitor.journal import Cell, Histogram
from monitor.journal.values import bucket_of
from monitor.vocabulary import BUCKETS, Outcome

NOW = datetime(2024, 5, 1, 12, 9, 5, tzinfo=UTC)
MINUTE = datetime(2024, 5, 1, 12, 9, tzinfo=UTC)


def histogram(latency: float, count: int = 100) -> Histogram:
    counts = [0] * (len(BUCKETS) + 1)
    counts[bucket_of(latency)] = count
    return Histogram(tuple(counts))


def test_a_strip_without_runs_has_empty_cells_up_to_now() -> None:
    cells = strip([], NOW, 60, 3)
    assert [cell.start for cell in cells] == [MINUTE - timedelta(minutes=2), MINUTE - timedelta(minutes=1), MINUTE]
    assert {(cell.ok, cell.worst) for cell in cells} == {(0, None)}


def test_cells_of_several_probes_are_one_with_the_worst_outcome() -> None:
    good = Cell(start=MINUTE, ok=5, worst=Outcome.OK, run_id="good")
    bad = Cell(start=MINUTE, ok=1, failed=2, lost=3, worst=Outcome.FAILED, run_id="bad")
    other = Cell(start=MINUTE, excluded=1, aborted=1, worst=Outcome.ABORTED, run_id="other")
    *_, cell = strip([[good], [bad], [other]], NOW, 60, 3)
    assert (cell.ok, cell.failed, cell.aborted, cell.excluded, cell.lost) == (6, 2, 1, 1, 3)
    assert (cell.worst, cell.run_id) == (Outcome.FAILED, "bad")


def test_cells_before_the_strip_are_left_out() -> None:
    old = Cell(start=MINUTE - timedelta(minutes=3), ok=1, worst=Outcome.OK)
    assert not any(cell.ok for cell in strip([[old]], NOW, 60, 3))


def test_the_last_cell_of_a_day_is_as_new_as_the_hour() -> None:
    quarter = datetime(2024, 5, 1, 12, tzinfo=UTC)
    bad = Cell(start=MINUTE, failed=2, worst=Outcome.FAILED, run_id="bad")
    old = Cell(start=quarter - timedelta(minutes=1), failed=9, worst=Outcome.FAILED)
    hour = strip([[old, bad]], NOW, 60, 60)
    for before in (strip([], NOW, 900, 4), strip([], NOW - timedelta(minutes=15), 900, 4)):
        day = with_present(before, hour, NOW, 900)
        assert [cell.start for cell in day] == [quarter - timedelta(minutes=15 * number) for number in (3, 2, 1, 0)]
        assert (day[-1].failed, day[-1].worst, day[-1].run_id) == (2, Outcome.FAILED, "bad")
        assert with_present(before, strip([], NOW, 60, 60), NOW, 900)[-1] == Cell(start=quarter)


def test_a_chart_has_all_points_and_the_quantiles_of_all_probes() -> None:
    at = datetime(2024, 5, 1, 12, 5, tzinfo=UTC)
    trip = latencies([[(at, histogram(0.35))], [(at, histogram(0.006, 300))]], NOW, 300, threshold=0.4)
    assert len(trip.series) == LATENCY_POINTS
    assert trip.series[-1].start == at
    assert trip.series[-1].p50 == trip.p50
    assert trip.p50 is not None
    assert trip.p99 is not None
    assert 0.005 < trip.p50 < 0.0075
    assert 0.3 < trip.p99 <= 0.4
    assert trip.series[0].p50 is None
    assert trip.threshold == 0.4


def test_a_chart_without_round_trips_has_no_quantiles() -> None:
    trip = latencies([], NOW, 300, threshold=None)
    assert (trip.p50, trip.p99, {point.p99 for point in trip.series}) == (None, None, {None})
