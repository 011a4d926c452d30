"""Rules evaluated in parts of any length, against one evaluation of all and against promtool."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from monitor.simulation.notifications import Alertmanager
from monitor.simulation.promql import PromqlError, Series, labels
from monitor.simulation.replay.rolling import RollingRuler
from monitor.simulation.replay.rule_set import RuleSet
from monitor.slo.rules import Alert, Group
from monitor.slo.rules.rule import Record
from tests.simulation.replay import world
from tests.simulation.replay.judged import PARTS, SPAN, draw, firing, judge, since

JUDGED = 1
"""Seed of the case that promtool judges; `make replay` judges others by both versions."""


@pytest.mark.parametrize("seed", [3])
def test_parts_of_any_length_fire_the_same_alerts(seed: int) -> None:
    config, store = draw(seed)
    rules = RuleSet.of_config("config.yaml", config)
    series = since(store, world.DAY)
    complete = firing(rules, series, SPAN, 3)
    assert complete
    assert all(firing(rules, series, part, 3) == complete for part in PARTS)


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.required_counterpart("promtool")
def test_promtool_has_the_same_alerts_firing_at_each_evaluation() -> None:
    assert judge("promtool", 2, [JUDGED]) > 0


def rules(*made: Record | Alert) -> RuleSet:
    return RuleSet(
        name="rules.yml",
        groups=[Group(name="group", rules=made)],
        interval=15.0,
        common_labels={},
        alertmanager=Alertmanager("route: {receiver: pages}"),
        config=None,
    )


def alert(expr: str, **changes: Any) -> Alert:
    return Alert(name="Alert", severity="critical", expr=expr, summary="", description="", dashboard="relay", **changes)


def fired(made: RuleSet, series: list[Series], end: float, part: float, **skipped: float) -> list[tuple[float, float]]:
    ruler = RollingRuler(made)
    for start in np.arange(0.0, end, part):
        ruler.advance(series, start, start + part, [(skipped["first"], skipped["last"])] if skipped else ())
    return [(each.start, each.end) for each in ruler.firing()]


def gauge(*spans: tuple[float, float], end: float = 1800.0) -> Series:
    """Return a series that is 1 in these times, and 0 otherwise."""
    times = np.arange(0.0, end, 15.0, dtype=np.float64)
    values = sum((np.where((times >= begin) & (times < stop), 1.0, 0.0) for begin, stop in spans), np.zeros(len(times)))
    return Series("scraped", labels(relay="a"), times, values)


@pytest.mark.parametrize("part", [60.0, 300.0, 1800.0])
def test_waits_go_on_from_one_part_to_the_next(part: float) -> None:
    waiting = alert("scraped == 1", pending_for=120.0, keep_firing_for=60.0)
    assert fired(rules(waiting), [gauge((270.0, 500.0), (800.0, 860.0))], 1800.0, part) == [(390.0, 570.0)]


@pytest.mark.parametrize("part", [60.0, 300.0, 1800.0])
def test_a_rule_that_reads_its_own_samples_reads_those_of_earlier_parts(part: float) -> None:
    counted = Record(name="counted", expr="scraped + (counted or scraped * 0)")
    assert fired(rules(counted, alert("counted > 5")), [gauge((300.0, 390.0))], 1800.0, part) == [(375.0, math.inf)]


@pytest.mark.parametrize("part", [60.0, 1800.0])
def test_a_recorded_series_that_ends_is_gone_at_once(part: float) -> None:
    present = Record(name="present", expr="scraped == 1")
    assert fired(rules(present, alert("present")), [gauge((285.0, 315.0))], 1800.0, part) == [(285.0, 315.0)]


def test_no_rule_is_evaluated_while_prometheus_is_down() -> None:
    absent = alert("absent(scraped)", pending_for=180.0)
    series = gauge(end=600.0)
    assert fired(rules(absent), [series], 1800.0, 1800.0) == [(1065.0, math.inf)]
    assert fired(rules(absent), [series], 1800.0, 1800.0, first=610.0, last=1700.0) == []


def test_an_expression_that_is_not_known_names_its_rule() -> None:
    with pytest.raises(PromqlError, match="rule Alert of group group: function deriv is not known"):
        fired(rules(alert("deriv(scraped[5m]) > 0")), [gauge()], 60.0, 60.0)
