"""Each alert fires for its fault and none pages for a blip, at any scrape and evaluation interval."""

from __future__ import annotations

import pytest

from tests.simulation.windows import alerts_of, draw_config, problems

pytestmark = pytest.mark.slow

CONFIGURATIONS = 200
PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
def test_each_alert_fires_for_its_fault_and_none_pages_for_a_blip(part: int) -> None:
    """A message has the seed: `python -m tests.simulation.windows 1 SEED` repeats it."""
    wrong = [line for seed in range(part, CONFIGURATIONS, PARTS) for line in problems(seed)[0]]
    assert wrong == []


def test_configurations_differ() -> None:
    drawn = [draw_config(seed) for seed in range(40)]
    assert len({(each.prometheus.scrape_interval, each.prometheus.evaluation_interval) for each in drawn}) > 25
    assert {len(each.locations) for each in drawn} == {1, 2, 3}
    assert len({alert.name for each in drawn for alert in alerts_of(each)}) > 10
