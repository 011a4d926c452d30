"""The dashboards over data without recording rules, and of relays whose names differ by a dot.

Without the rules the overview says so: no number is green, and no budget is taken for that of an objective of 100 %.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from monitor.config import parse
from monitor.slo.dashboards import files
from monitor.slo.dashboards.relay_table import states
from monitor.slo.dashboards.slo_panels import NO_RULES, RULES_MISSING
from tests.dashboards.backfill import Series, opened, scrape, write
from tests.dashboards.page import DrawnPanel, Settings, draw
from tests.dashboards.prometheus import Prometheus
from tests.dashboards.simulated import Fault, SimulatedMonitor

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


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a Prometheus that scraped two relays; eu.1 is down, in maintenance."""
    faults = {"eu.1": Fault(START, START + 1e6)}
    monitor = SimulatedMonitor(parse(CONFIG, "config.yaml", {}), START, faults)
    monitor.metrics.set_relay_maintenance("eu.1", active=True)
    series: Series = {}
    for number in range(SCRAPES):
        monitor.advance(START + number * SCRAPE)
        scrape(series, monitor.metrics.registry, START + number * SCRAPE)
    folder = tmp_path_factory.mktemp("without-rules")
    write(series, folder)
    return folder


async def drawn(data: Path, file: str, **variables: str) -> dict[str, DrawnPanel]:
    """Return the panels of a dashboard by their titles."""
    dashboard = json.loads(files(parse(CONFIG, "config.yaml", {}))[f"dashboards/{file}"])
    settings = Settings(variables=variables, start=f"{START}", end=f"{START + SCRAPES * SCRAPE}", scrape=SCRAPE)
    async with opened(data) as program:
        with Prometheus(program.url) as prometheus:
            return {panel.title: panel for panel in draw(dashboard, prometheus, settings).panels}


@pytest.mark.required_counterpart("prometheus")
async def test_missing_rules_are_named(data: Path) -> None:
    panels = await drawn(data, "relays-overview.json")
    assert numbers(panels["Relays down"]) == {1}
    assert numbers(panels["Alerts firing"]) == set()  # NaN: unknown, not none
    assert numbers(panels["Lowest error budget"]) == {NO_RULES}
    assert numbers(panels["Monitor"]) == {-1}
    assert labels(panels["Firing alerts"]) == {"Prometheus does not evaluate the rules"}
    assert labels(panels["Remaining error budget"]) == {RULES_MISSING}
    assert RULES_MISSING in labels(panels["SLO status"])


@pytest.mark.required_counterpart("prometheus")
async def test_a_relay_in_maintenance_is_told_apart(data: Path) -> None:
    panels = await drawn(data, "relays-overview.json")
    found = {frame.labels["relay"]: frame.numbers for frame in panels["Relays"].responses[0].frames}
    texts = {state.value: state.text for state in states()}
    assert {relay: texts[value] for relay, (value,) in found.items()} == {"eu-1": "up", "eu.1": "down, in maintenance"}


@pytest.mark.required_counterpart("prometheus")
async def test_the_dot_of_a_name_is_no_pattern(data: Path) -> None:
    """All exchanges over eu.1 fail; those that succeed are of eu-1."""
    overview = await drawn(data, "relays-overview.json", relay="eu.1")
    assert "eu.1" in labels(overview["Relays"])
    assert "eu-1" not in {label for panel in overview.values() for label in labels(panel)}
    detail = await drawn(data, "relay-detail.json", relay="eu.1")
    outcomes = [frame for response in detail["Exchanges by outcome"].responses for frame in response.frames]
    counts = {frame.labels["outcome"]: sum(frame.numbers) for frame in outcomes}
    assert (counts["failed"] > 0, counts.get("ok", 0.0)) == (True, 0.0)
