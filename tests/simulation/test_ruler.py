"""The ruler against the cases that promtool judges: the same alerts at the same times."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml

from monitor.config import load
from monitor.config.units import parse_duration
from monitor.simulation.promql import Series, Store
from monitor.simulation.ruler import Ruler, at_one_interval
from monitor.slo.rules import Alert, Group, group_to_dict, groups
from monitor.slo.rules.rule import Record, dump
from tests.relays import ROOT
from tests.slo.rules import monitor_cases
from tests.slo.rules.promtool import promtool_3, run
from tests.slo.rules.relay_cases import CASES, SLOW
from tests.slo.rules.series import SCRAPE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from monitor.config import Config
    from tests.slo.rules.series import Case

PART = re.compile(r"(?P<start>-?[\d.]+|_|stale|NaN)(?:(?P<step>[-+][\d.]+))?(?:x(?P<times>\d+))?")
SELECTOR = re.compile(r"(?P<name>[\w:]+)(?:\{(?P<labels>.*)\})?")
LABEL = re.compile(r'(\w+)="([^"]*)"')


def samples(text: str) -> Iterator[float]:
    """Yield the values of promtool's notation, NaN for a stale marker and infinity for a missing sample."""
    for part in text.split():
        match = PART.fullmatch(part)
        assert match is not None, part
        times = int(match["times"]) if match["times"] else 0
        if match["start"] == "_":
            yield from [np.inf] * max(times, 1)
        elif match["start"] in {"stale", "NaN"}:
            yield np.nan
        else:
            start, step = float(match["start"]), float(match["step"] or 0)
            yield from (start + step * index for index in range(times + 1))


def series(selector: str, text: str, scrape: float) -> Series:
    match = SELECTOR.fullmatch(selector)
    assert match is not None, selector
    values = np.array(list(samples(text)))
    there = ~np.isinf(values)
    times = scrape * np.arange(len(values), dtype=np.float64)
    return Series(match["name"], tuple(sorted(LABEL.findall(match["labels"] or ""))), times[there], values[there])


@pytest.fixture(scope="module")
def shipped() -> Config:
    return load(ROOT / "config.yaml", {})


EVERY = [
    (case, scrape)
    for scrape, cases in ((SCRAPE, (*CASES, *monitor_cases.CASES)), (60, SLOW))
    for case in cases
    if "pages once, and not again" not in case.name and "that paged" not in case.name  # these read ALERTS
]


@pytest.mark.parametrize(("case", "scrape"), EVERY, ids=[case.name for case, _ in EVERY])
def test_the_ruler_agrees_with_promtool(shipped: Config, case: Case, scrape: int) -> None:
    store = Store(series(selector, text, scrape) for selector, text in case.inputs().items())
    ruler = Ruler(at_one_interval(groups(shipped)), float(scrape), lambda *_: 0.0)
    end = max(parse_duration(time) for time, *_ in case.expect)
    firing = ruler.run(store, 0.0, end)
    for time, alert, severity, number in case.expect:
        at = parse_duration(time)
        at -= at % scrape  # the last evaluation
        there = [each for each in firing if each.alert == alert and each.severity == severity]
        assert sum(each.start <= at < each.end for each in there) == number, f"{alert} {severity} at {time}"


ABOVE_4 = Alert(
    name="Above4", severity="critical", expr="recorded > 4", summary="above 4", description="", dashboard="relay"
)
INFREQUENT = [
    Group(name="infrequent", rules=[Record(name="recorded", expr="scraped")], interval=60.0),
    Group(name="frequent", rules=[ABOVE_4]),
]
"""A series recorded every minute, and an alert on it that is evaluated every 15 s."""


def first_firing(ruled: list[Group]) -> float:
    """Return when the alert fires first on a series that is above 4 from 75 s on."""
    times = np.arange(0.0, 300.0, 15.0, dtype=np.float64)
    firing = Ruler(ruled, 15.0, lambda *_: 0.0).run(Store([Series("scraped", (), times, times / 15)]), 0.0, 285.0)
    return firing[0].start


def test_a_group_is_evaluated_at_its_own_interval() -> None:
    assert first_firing(INFREQUENT) == 120.0


@pytest.mark.integration
@pytest.mark.required_counterpart("promtool")
@pytest.mark.parametrize("version", [2, 3])
def test_promtool_evaluates_a_group_at_every_evaluation(shipped: Config, version: int, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_bytes(dump({"groups": [group_to_dict(shipped, group) for group in INFREQUENT]}))
    start = first_firing(at_one_interval(INFREQUENT))
    expected = [(start - 15.0, 0), (start, 1)]
    made = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "15s",
        "group_eval_order": [group.name for group in INFREQUENT],
        "tests": [
            {
                "interval": "15s",
                "input_series": [{"series": "scraped", "values": "0+1x19"}],
                "promql_expr_test": [
                    {
                        "expr": 'count(ALERTS{alertstate="firing"}) or vector(0)',
                        "eval_time": f"{at:.0f}s",
                        "exp_samples": [{"labels": "{}", "value": number}],
                    }
                    for at, number in expected
                ],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(made), encoding="utf-8")
    run("promtool" if version == 2 else promtool_3(), "test", "rules", tmp_path / "test.yml")
