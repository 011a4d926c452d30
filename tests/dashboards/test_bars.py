"""The bars of every dashboard add up to what the counters counted, whatever the zoom.

The series are those of a simulated monitor: one relay is down for a while and another one loses messages, the monitor
is restarted (its counters begin at 0), two scrapes fail, a relay is added (its series are new), and rare causes get
their series when they first occur.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from monitor.config import parse
from monitor.slo.dashboards import files
from tests.dashboards.backfill import Series, fail, opened, scrape, write
from tests.dashboards.bars import is_bars, sums, wrong
from tests.dashboards.page import Settings, draw
from tests.dashboards.prometheus import Prometheus
from tests.dashboards.simulated import Fault, SimulatedMonitor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from monitor.config import Config

START = 1_790_000_010.0
SCRAPE = 15.0
LENGTH = 3600.0
RESTART, ADDED = 1500.0, 2400.0
"""Seconds after the start."""

FAILED = (41, RESTART // SCRAPE)
"""Numbers of the scrapes that fail: amid an outage, and at the restart."""

RANGES = ((60.0, 3600.0, 1600), (300.0, 1200.0, 800), (1200.0, 3600.0, 400))
"""Starts, ends and pixels of the graphs; bars do not know what was counted before the first scrape of all."""

MISSED = 0.02
"""Share of the runs that are missed."""

CONFIG = """
relays:
  - {{name: tokyo, url: embedded}}
  - {{name: dublin, url: embedded, centrifugo_selector: job="centrifugo"}}
{more}
probes:
  - {{name: steady, scenario: steady-messaging, pairs: 2, message_interval: 2s, timeout: 2s}}
  - {{name: idle, scenario: steady-state, connections: 2}}
  - {{name: offline, scenario: async-delivery, schedule: {{every: 1m}}, delay: 10s}}
slos:
  - {{name: delivery, probe: steady, sli: availability, objective: 99%, window: 30d}}
"""


def config(*, with_third: bool) -> Config:
    more = "  - {name: oregon, url: embedded}" if with_third else ""
    return parse(CONFIG.format(more=more), "config.yaml", {})


def series() -> Series:
    found: Series = {}
    faults = {
        "tokyo": Fault(START + 600, START + 1800),
        "dublin": Fault(START + 200, START + LENGTH, 0.1),
        "oregon": Fault(START + ADDED + 200, START + LENGTH, 0.3),
    }
    monitor = SimulatedMonitor(config(with_third=False), START, faults, missed=MISSED)
    rng = random.Random(7)
    for number in range(int(LENGTH / SCRAPE)):
        at = START + number * SCRAPE + rng.uniform(0, 0.01)
        if number == RESTART // SCRAPE:
            monitor = SimulatedMonitor(config(with_third=False), at - 5, faults, seed=1, missed=MISSED)
        if number == ADDED // SCRAPE:
            monitor = SimulatedMonitor(config(with_third=True), at - 5, faults, seed=2, missed=MISSED)
        monitor.advance(at)
        if number in FAILED:
            fail(found, at)
        else:
            scrape(found, monitor.metrics.registry, at, wanted=_is_wanted)
    return found


def _is_wanted(name: str) -> bool:
    return name.startswith(("relay_probe_", "relay_monitor_", "relay_state", "relay_maint")) and "seconds" not in name


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a Prometheus with the series."""
    folder = tmp_path_factory.mktemp("bars")
    write(series(), folder)
    return folder


@pytest.mark.required_counterpart("prometheus")
@pytest.mark.parametrize(
    ("file", "least"),
    [
        ("relays-overview.json", 3),
        ("relay-detail.json", 4),
        ("monitor-health.json", 1),
    ],
)
async def test_bars_add_up_to_the_counters(written: Path, file: str, least: int) -> None:
    made = config(with_third=True)
    dashboard = json.loads(files(made)[f"dashboards/{file}"])
    dashboard["panels"] = list(_bars(dashboard["panels"]))
    found = []
    async with opened(written) as program:
        with Prometheus(program.url) as prometheus:
            for start, end, width in RANGES:
                settings = Settings(
                    variables={"relay": "dublin"} if file == "relay-detail.json" else {},
                    start=f"{START + start}",
                    end=f"{START + end}",
                    scrape=SCRAPE,
                    width=width,
                )
                page = draw(dashboard, prometheus, settings)
                found += [item for panel in page.panels for item in sums(panel, prometheus)]
    assert wrong(found) == []
    assert len({(item.panel, item.labels) for item in found if item.counted}) >= least


def _bars(panels: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for panel in panels:
        yield from _bars(panel.get("panels") or [])
        if panel["type"] == "timeseries" and is_bars(panel):
            yield panel
