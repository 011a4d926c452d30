"""The HTML report: what it says once, what it leaves out, and that it is one harmless file."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING

from monitor.load.conversion import result_of
from monitor.load.plan import Plan
from monitor.load.report import page
from monitor.load.verdict import Aim, judge, objectives
from monitor.scenarios import Scenario
from tests.load.sample import finished_with, plan_of, totals_of_samples

if TYPE_CHECKING:
    from monitor.load.totals import Totals


def report(totals: Totals, plan: Plan | None = None, **limits: float) -> str:
    plan = plan or plan_of()
    finished = finished_with(totals)
    judged = judge(plan.scenario, totals, objectives(plan.scenario, None, {Aim[name]: limits[name] for name in limits}))
    return page(plan, finished, judged, result_of(plan, finished, judged, version="1.2.3", passed=False))


def slower() -> Totals:
    """Thirty round trips of 10 to 300 ms in three windows, and three lost messages."""
    totals = totals_of_samples([(float(at), 0.01 * (at + 1)) for at in range(30)])
    totals.reasons["deliver/lost"] = 3
    totals.reasons["tcp/refused"] = 1
    return totals


def words(made: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", made.partition("<body>")[2])))


def test_the_page_is_self_contained_and_the_same_result_gives_the_same_bytes() -> None:
    made = report(slower())
    assert not re.search(r"""(src|href)\s*=|url\(|@import|<script|<link|javascript:""", made)
    assert made == report(slower())
    assert '<meta name="viewport"' in made
    assert "prefers-color-scheme: dark" in made


def test_the_parameters_of_the_test_are_on_the_page() -> None:
    text = words(report(slower(), plan_of(connection_pairs=7, duration=90.0, seed=3)))
    for part in ("--connection-pairs 7 ", "--duration 90 s", "--message-interval 5 s", "--timeout 10 s", "--seed 3 "):
        assert part in text
    assert "--delay" not in text
    assert "relay-monitor 1.2.3" in text
    assert "cost of the test 1.5 s of CPU, 80 MB at most" in text


def test_nothing_is_said_twice() -> None:
    text = words(report(slower()))
    for part in ("30 of 30 delivered", "deliver/lost", "at most 400 ms", "Round trip 30 "):
        assert text.count(part) == 1, part
    assert "deliver/lost 3 75.0 %" in text


def test_a_threshold_is_a_line_if_it_is_near_and_a_note_if_it_is_far_above() -> None:
    near, far = report(slower(), ROUND_TRIP=0.25), report(slower(), ROUND_TRIP=25.0)
    assert near.count('<polyline class="line limit"') == 2
    assert far.count('<polyline class="line limit"') == 0
    assert words(far).count("objective 25000 ms: above this chart") == 2


def test_a_chart_without_anything_to_show_is_left_out() -> None:
    assert report(slower()).count("<figure>") == 2
    one_window = report(totals_of_samples([(1.0, 0.01)] * 5))
    assert one_window.count("<figure>") == 1
    assert "Round trip over time" not in one_window
    nothing = report(totals_of_samples([]), plan_of(Scenario.CONNECTION_STORM))
    assert "<figure>" not in nothing
    assert "<h2>Latency" not in nothing
    assert "FAIL no connection succeeded" in words(nothing)


def test_what_a_target_is_called_cannot_become_html() -> None:
    made = report(slower(), Plan(target="ws://x/<script>alert(1)</script>", scenario=Scenario.STEADY_MESSAGING))
    assert "<script>" not in made
    assert "&lt;script&gt;" in made
