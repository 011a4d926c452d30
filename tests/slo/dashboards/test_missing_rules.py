"""Without the recording rules the overview says so: no number is green, and no budget is taken for one of 100 %."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from monitor.config import parse
from monitor.slo.dashboards import files
from monitor.slo.dashboards.slo_panels import NO_RULES, RULES_MISSING
from tests.dashboards.backfill import Series, opened, scrape, write
from tests.dashboards.page import DrawnPanel, Settings, draw
from tests.dashboards.prometheus import Prometheus
from tests.dashboards.simulated import SimulatedMonitor

if TYPE_CHECKING:
    from pathlib import Path

START, SCRAPE, SCRAPES = 1_790_000_010.0, 15.0, 12

CONFIG = """
relays:
  - {name: eu-1, url: embedded}
  - {name: eu.1, url: embedded}
probes:
  - {name: steady, scenario: steady-messaging, pairs: 1, message_interval: 2s, timeout: 2s}
slos:
  - {name: delivery, probe: steady, sli: availability, objective: 99%, window: 30d}
"""


def numbers(panel: DrawnPanel) -> set[float]:
    """Return the last value of each series of a panel."""
    return {frame.numbers[-1] for response in panel.responses for frame in response.frames if frame.numbers}


def labels(panel: DrawnPanel) -> set[str]:
    """Return the values of all labels of a panel's series."""
    frames = (frame for response in panel.responses for frame in response.frames)
    return {value for frame in frames for value in frame.labels.values()}


@pytest.mark.required_counterpart("prometheus")
async def test_missing_rules_are_named(tmp_path: Path) -> None:
    config = parse(CONFIG, "config.yaml", {})
    monitor = SimulatedMonitor(config, START)
    series: Series = {}
    for number in range(SCRAPES):
        monitor.advance(START + number * SCRAPE)
        scrape(series, monitor.metrics.registry, START + number * SCRAPE)
    write(series, tmp_path)
    settings = Settings(variables={}, start=f"{START}", end=f"{START + SCRAPES * SCRAPE}", scrape=SCRAPE)
    async with opened(tmp_path) as program:
        with Prometheus(program.url) as prometheus:
            page = draw(json.loads(files(config)["dashboards/relays-overview.json"]), prometheus, settings)
    panels = {panel.title: panel for panel in page.panels}
    assert numbers(panels["Relays down"]) == {0}
    assert numbers(panels["Alerts firing"]) == set()  # NaN: unknown, not none
    assert numbers(panels["Lowest error budget"]) == {NO_RULES}
    assert numbers(panels["Monitor"]) == {-1}
    assert labels(panels["Firing alerts"]) == {"Prometheus does not evaluate the rules"}
    assert labels(panels["Remaining error budget"]) == {RULES_MISSING}
    assert RULES_MISSING in labels(panels["SLO status"])
    assert {"eu-1", "eu.1"} <= labels(panels["Relays"])
