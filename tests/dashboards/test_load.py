"""The dashboard of load tests, over a real test against a relay, scraped by a real Prometheus."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
import yaml

from monitor.config import load
from monitor.load.load_metrics import LATENCIES
from monitor.load.verdict import COLOURS, DEFAULT_LIMITS, Aim
from monitor.slo.dashboards import files
from monitor.slo.dashboards.load import PERCENTILES, ROUND_TRIP, SHARES, SUCCESS
from tests.dashboards.bars import sums, wrong
from tests.dashboards.frames import Frame, Response
from tests.dashboards.markup import View
from tests.dashboards.page import Settings, draw
from tests.dashboards.prometheus import Prometheus
from tests.dashboards.tables import draw_table
from tests.dashboards.time_range import TimeRange
from tests.e2e.programs import PROMETHEUS, Program, find
from tests.relays import BUILD_TIMEOUT, ENGINE, ROOT, Engine
from tests.sockets import closed_port

if TYPE_CHECKING:
    from pathlib import Path

FLAGS = (
    *("--scenario", "steady-messaging", "--connection-pairs", "6", "--ramp-up", "2", "--duration", "600"),
    *("--message-interval", "0.5", "--timeout", "5"),
)
ENOUGH = 30
"""Exchanges from which on the dashboard is drawn."""

BEHIND = 5.0
"""Seconds from the end of the range to now: all samples until then were scraped."""

FAILURES = "Failures by step and reason"
"""The panel that is empty if nothing fails."""


def test_limits_are_those_of_the_report() -> None:
    assert DEFAULT_LIMITS[Aim.ROUND_TRIP] == ROUND_TRIP
    assert COLOURS[Aim.SUCCESS] == SUCCESS
    assert {COLOURS[aim] for aim in (Aim.DELIVERY, Aim.RECOVERY, Aim.STABILITY)} == {SHARES}


@pytest.mark.required_counterpart("prometheus")
@pytest.mark.required_counterpart(ENGINE)
@pytest.mark.slow
@pytest.mark.timeout(BUILD_TIMEOUT)
async def test_a_running_test_fills_every_panel(tmp_path: Path, engine_program: Path) -> None:
    ports = {part: closed_port() for part in ("load", "prometheus")}
    target = f"127.0.0.1:{ports['load']}"
    scraped = {"job_name": "load", "static_configs": [{"targets": [target]}]}
    config = {"global": {"scrape_interval": "2s"}, "scrape_configs": [scraped]}
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
    async with AsyncExitStack() as stack:
        engine = await Engine.start(engine_program, "-listen", f"127.0.0.1:{closed_port()}")
        stack.push_async_callback(engine.stop)
        program = await stack.enter_async_context(
            Program(
                *(find(PROMETHEUS), f"--config.file={tmp_path / 'prometheus.yml'}"),
                *(f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address=127.0.0.1:{ports['prometheus']}"),
                ready=f"http://127.0.0.1:{ports['prometheus']}/-/ready",
                log=tmp_path / "prometheus.log",
            )
        )
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "monitor", "load", "--target", engine.url, *FLAGS, "--metrics", target),
            *("--output", str(tmp_path / "results.json")),
            cwd=ROOT,
            stderr=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            with Prometheus(program.url) as prometheus:
                await _exchanges(prometheus, running)
                dashboard = json.loads(files(load(ROOT / "config.yaml", {}))["dashboards/load-test.json"])
                settings = Settings(start="now-2m", end=f"{time.time() - BEHIND}", scrape=2.0)
                page = await asyncio.to_thread(draw, dashboard, prometheus, settings)
                counted = [item for panel in page.panels for item in sums(panel, prometheus)]
        finally:
            running.send_signal(signal.SIGINT)
            await running.wait()
    complaints = [text for panel in page.panels for text in panel.complaints]
    assert (page.problems, complaints) == ([], [])
    assert wrong(counted) == []
    shown = {item.panel for item in counted if item.counted}
    failed = shown & {FAILURES}  # exchanges of five seconds on a busy machine
    assert {panel.title for panel in page.panels if panel.empty} == {FAILURES} - failed
    assert shown == {"Connects", "Exchanges"} | failed


def test_the_longest_values_fit_their_columns() -> None:
    """Latencies of hundreds of milliseconds, and the counts of an hour."""
    dashboard = json.loads(files(load(ROOT / "config.yaml", {}))["dashboards/load-test.json"])
    (panel,) = (each for each in dashboard["panels"] if each["type"] == "table")
    responses = [
        Response(
            target,
            target["expr"],
            None,
            tuple(Frame(name, {"latency": name}, (0.0,), (value,)) for name in LATENCIES.values()),
        )
        for target, value in zip(panel["targets"], (999_999.0, *[0.8888] * len(PERCENTILES)), strict=True)
    ]
    width = Settings().width * panel["gridPos"]["w"] / 24 - 12
    drawn = draw_table(panel, responses, (width, 400), View(TimeRange(0.0, 1.0), []))
    assert drawn.complaints == []


async def _exchanges(prometheus: Prometheus, running: asyncio.subprocess.Process) -> None:
    """Wait until enough exchanges were scraped at the end of the range, and three times."""
    scraped = f'relay_load_exchanges_total{{outcome="ok"}}[9s] offset {BEHIND:g}s'
    expr = f"min_over_time({scraped}) >= {ENOUGH} and count_over_time({scraped}) >= 3"
    async with asyncio.timeout(90):
        while not await asyncio.to_thread(prometheus.at, expr, time.time()):
            assert running.returncode is None, "the test ended"
            await asyncio.sleep(0.5)  # Prometheus has no notifications
