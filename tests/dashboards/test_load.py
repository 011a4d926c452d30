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
from monitor.load.verdict import COLOURS, DEFAULT_LIMITS, Aim
from monitor.slo.dashboards import files
from monitor.slo.dashboards.load import ROUND_TRIP, SHARES, SUCCESS
from tests.dashboards.bars import sums, wrong
from tests.dashboards.page import Settings, draw
from tests.dashboards.prometheus import Prometheus
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

EMPTY = {"Failures by step and reason"}
"""Panels that are empty since nothing fails."""


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
                settings = Settings(start="now-2m", scrape=2.0)
                page = await asyncio.to_thread(draw, dashboard, prometheus, settings)
                counted = [item for panel in page.panels for item in sums(panel, prometheus)]
        finally:
            running.send_signal(signal.SIGINT)
            await running.wait()
    complaints = [text for panel in page.panels for text in panel.complaints]
    assert (page.problems, complaints) == ([], [])
    assert {panel.title for panel in page.panels if panel.empty} == EMPTY
    assert wrong(counted) == []
    assert {item.panel for item in counted if item.counted} == {"Connects", "Exchanges"}


async def _exchanges(prometheus: Prometheus, running: asyncio.subprocess.Process) -> None:
    """Wait until enough exchanges were scraped, and two times."""
    expr = f'min_over_time(relay_load_exchanges_total{{outcome="ok"}}[9s]) >= {ENOUGH}'
    async with asyncio.timeout(90):
        while not await asyncio.to_thread(prometheus.at, expr, time.time()):
            assert running.returncode is None, "the test ended"
            await asyncio.sleep(0.5)  # Prometheus has no notifications
