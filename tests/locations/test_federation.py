"""A monitor that is gone is gone at once for the central Prometheus too, which federates that of its location."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from tests.daemon.harness import Daemon
from tests.e2e.programs import PROMETHEUS, Program, find
from tests.locations.reference import FOLDER
from tests.sockets import closed_port

if TYPE_CHECKING:
    from pathlib import Path

INTERVAL = 1.0
TIMEOUT = 30.0

STALE = 15.0
"""Seconds within which a series must be gone; Prometheus looks back for 300."""


def changed(name: str, target: str) -> dict[str, Any]:
    """Return a configuration of the example with one target and a short interval, without rules."""
    made: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text("utf-8"))
    made["global"]["scrape_interval"] = f"{INTERVAL:g}s"
    made["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
    return {key: value for key, value in made.items() if key not in {"rule_files", "alerting"}}


def prometheus(folder: Path, config: dict[str, Any]) -> Program:
    folder.mkdir()
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{closed_port()}"
    return Program(
        find(PROMETHEUS),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        ready=f"http://{address}/-/ready",
        log=folder / "log",
    )


async def until(condition: Any, seconds: float) -> float:
    """Wait until `condition()` holds and return the seconds that this took."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        if await condition():
            return time.monotonic() - started
        await asyncio.sleep(0.2)
    raise AssertionError(f"not within {seconds} s")


@pytest.mark.integration
@pytest.mark.slow
async def test_the_series_of_a_monitor_that_is_gone_end_with_the_next_scrapes(tmp_path: Path) -> None:
    find(PROMETHEUS)
    daemon = await asyncio.to_thread(Daemon, tmp_path)
    target = daemon.url.removeprefix("http://")
    local = prometheus(tmp_path / "local", changed("prometheus-local.yml", target))
    central = prometheus(
        tmp_path / "central", changed("prometheus-federated.yml", httpx.URL(local.url).netloc.decode())
    )
    try:
        await asyncio.gather(local.start(), central.start())
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:

            async def series() -> list[dict[str, str]]:
                response = await client.get(f"{central.url}/api/v1/query", params={"query": "relay_up"})
                return [each["metric"] for each in response.json()["data"]["result"]]

            async def gone() -> bool:
                return await series() == []

            await until(series, TIMEOUT)
            (found,) = await series()
            assert (found["job"], found["prometheus"], found["relay"]) == ("relay-monitor", "fra", "demo")
            daemon.process.kill()
            await until(gone, STALE)
    finally:
        daemon.process.kill()
        await asyncio.to_thread(daemon.process.communicate)
        await asyncio.gather(local.stop(), central.stop())
