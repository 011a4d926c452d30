from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from monitor.journal import Cell
from monitor.vocabulary import Outcome
from monitor.web.model import LatencyPoint, RoundTripView
from monitor.web.strips import CHART_HEIGHT, chart, strip
from tests.web.views import NOW, cells, run_id, series

KINDS = (
    Cell(start=NOW, ok=3),
    Cell(start=NOW, ok=3, failed=1, lost=1, worst=Outcome.FAILED, run_id=run_id(1)),
    Cell(start=NOW, failed=2),
    Cell(start=NOW, aborted=1, excluded=2),
    Cell(start=NOW),
)


class TestStrip:
    def test_each_kind_of_cell_has_its_own_height(self) -> None:
        bars = strip(KINDS, "5 minutes").bars
        assert [bar.kind for bar in bars] == ["ok", "partial", "failed", "excluded", "none"]
        assert len({bar.height for bar in bars}) == 5
        assert all(bar.y + bar.height == 16 for bar in bars)

    def test_a_bar_says_its_counts_and_links_to_its_worst_run(self) -> None:
        bars = strip(KINDS, "5 minutes").bars
        assert bars[1].title == "03:10 UTC: 1 failed, 3 ok, 1 messages lost"
        assert (bars[1].run_id, bars[0].run_id) == (run_id(1), None)
        assert bars[4].title == "03:10 UTC: no runs"

    def test_the_label_names_the_failures(self) -> None:
        assert strip(KINDS, "5 minutes").label == "Last 5 minutes: 3 failed, last in the span from 03:10 UTC"
        assert strip(cells(60, 60), "60 minutes").label == "Last 60 minutes: no failures"
        assert strip((), "60 minutes").label == "Last 60 minutes: no runs"

    def test_neighbours_of_one_kind_are_one_path(self) -> None:
        paths = strip(cells(60, 60, failed=[0, 1]), "60 minutes").paths
        assert paths == [("ok", "M0 7h58v9h-58z"), ("failed", "M58 0h2v16h-2z")]


class TestChart:
    def test_without_a_round_trip_there_is_no_chart(self) -> None:
        assert chart(RoundTripView(threshold=0.4)) is None
        assert chart(RoundTripView(series=(LatencyPoint(start=NOW, p50=None, p99=None),))) is None

    def test_the_threshold_is_between_what_is_below_and_above_it(self) -> None:
        points = tuple(
            LatencyPoint(start=NOW + timedelta(minutes=number), p50=p50, p99=p99)
            for number, (p50, p99) in enumerate([(0.1, 0.2), (0.1, 0.9)])
        )
        shown = chart(RoundTripView(threshold=0.4, series=points))
        assert shown is not None
        first, last = (float(part.split()[1].removesuffix("h0")) for part in shown.p99[1:].split("L"))
        assert shown.threshold_y is not None
        assert 0 < last < shown.threshold_y < first < CHART_HEIGHT

    def test_a_gap_is_not_bridged(self) -> None:
        points = series()
        gap = (*points[:20], *(replace(point, p50=None, p99=None) for point in points[20:40]), *points[40:])
        shown = chart(RoundTripView(series=gap))
        assert shown is not None
        assert (shown.p50.count("M"), shown.p99.count("M")) == (2, 2)
        assert shown.threshold_y is None

    def test_equal_latencies_have_a_scale(self) -> None:
        shown = chart(RoundTripView(series=(LatencyPoint(start=NOW, p50=0.1, p99=0.1),)))
        assert shown is not None
        assert shown.p50 == "M0.0 40.0h0"
        assert shown.high / shown.low > 9
