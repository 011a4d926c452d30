"""Each alert fires for its fault and none pages for a blip, at any scrape and evaluation interval."""

from __future__ import annotations

import pytest

from tests.simulation.windows import problems
from tests.simulation.windows_config import alerts_of, draw_config
from tests.simulation.windows_faults import EXCLUDED, burns, faults, key_of
from tests.simulation.windows_promtool import judge
from tests.slo.rules.promtool import promtool_3

pytestmark = pytest.mark.slow

CONFIGURATIONS = 200
PARTS = 8
SHORT = 14
"""Seed of a configuration that promtool judges within seconds."""


@pytest.mark.parametrize("part", range(PARTS))
def test_each_alert_fires_for_its_fault_and_none_pages_for_a_blip(part: int) -> None:
    """A message has the seed: `python -m tests.simulation.windows 1 SEED` repeats it."""
    wrong = [line for seed in range(part, CONFIGURATIONS, PARTS) for line in problems(seed)[0]]
    assert wrong == []


def test_every_generated_alert_has_a_fault_or_a_reason_why_not() -> None:
    seeds = range(40)
    generated = {key_of(alert) for seed in seeds for alert in alerts_of(seed)}
    checked = {each.key for seed in seeds for of in (faults, burns) for each in of(draw_config(seed), seed)}
    assert generated == checked | EXCLUDED.keys()
    assert not checked & EXCLUDED.keys()


@pytest.mark.parametrize("program", ["promtool", "promtool 3"])
def test_promtool_judges_alike(program: str) -> None:
    assert judge(promtool_3() if program == "promtool 3" else program, [SHORT]) > 0


def test_configurations_differ() -> None:
    drawn = [draw_config(seed) for seed in range(40)]
    assert len({(each.prometheus.scrape_interval, each.prometheus.evaluation_interval) for each in drawn}) > 25
    assert {len(each.locations) for each in drawn} == {1, 2, 3}
    assert len({alert.name for seed in range(40) for alert in alerts_of(seed)}) > 10
