"""The ruler against the cases that promtool judges: the same alerts at the same times."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from monitor.config import load
from monitor.config.units import parse_duration
from monitor.simulation.promql import Series, Store
from monitor.simulation.ruler import Ruler
from monitor.slo.rules import groups
from tests.relays import ROOT
from tests.slo.rules import monitor_cases
from tests.slo.rules.relay_cases import CASES, SLOW
from tests.slo.rules.series import SCRAPE

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    ruler = Ruler(groups(shipped), float(scrape), lambda *_: 0.0)
    end = max(parse_duration(time) for time, *_ in case.expect)
    firing = ruler.run(store, 0.0, end)
    for time, alert, severity, number in case.expect:
        at = parse_duration(time)
        at -= at % scrape  # the last evaluation
        there = [each for each in firing if each.alert == alert and each.severity == severity]
        assert sum(each.start <= at < each.end for each in there) == number, f"{alert} {severity} at {time}"
