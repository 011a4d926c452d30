"""A daemon as a process or as a monitor in this process, and the series that it shows."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from prometheus_client.parser import text_string_to_metric_families as parse_text

from monitor.config import Config, parse
from monitor.daemon.app import Monitor
from tests.relays import ROOT
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from monitor.journal import StoredEvent

CONFIG = """
location: here
server: {{listen: "127.0.0.1:{port}"}}
state_dir: state
relays: [{{name: demo, url: embedded, limits: {{messages_per_minute: 6000, connects_per_minute: 600}}}}]
probes:
  - {{name: steady, scenario: steady-messaging, message_interval: 200ms, settle: 0s, timeout: 1s}}
  - {{name: offline, scenario: async-delivery, schedule: {{every: 2m}}, delay: 60s}}
slos:
  - {{name: delivery, probe: steady, sli: availability, objective: 99%}}
  - {{name: stability, probe: steady, sli: stability, objective: 99%}}
  - {{name: pairing, probe: steady, sli: pairing, objective: 99%}}
"""

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(page: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse_text(page)
        for sample in family.samples
    }


def total(found: Samples, name: str, **labels: str) -> float:
    """Return the sum of the series of that name with those labels; there must be one."""
    values = [value for (its, own), value in found.items() if its == name and labels.items() <= dict(own).items()]
    assert values, f"no {name} with {labels}"
    return sum(values)


class Daemon:
    """A process of `relay-monitor run`; `arguments` are added."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        port = closed_port()
        self.url = f"http://127.0.0.1:{port}"
        self.state = folder / "state"
        self.path = path = folder / "monitor.yaml"
        path.write_text(CONFIG.format(port=port))
        self.log = folder / "log.jsonl"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "monitor", "run", "--config", str(path), "--log-format", "json", *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
            )

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=5)

    def until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        """Wait until a condition on its pages holds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(httpx.TransportError):
                if condition():
                    return
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds} s: {self.log.read_text()}")

    def exchanged(self, probe: str, outcome: str) -> float:
        return total(samples(self.get("/metrics").text), "relay_probe_exchanges_total", probe=probe, outcome=outcome)


def config(text: str = "", folder: Path | None = None) -> Config:
    read = parse(CONFIG.format(port=0) + text, str((folder or Path("/nowhere")) / "monitor.yaml"), {})
    return read if folder is not None else read.model_copy(update={"state_dir": None})


@contextlib.asynccontextmanager
async def running(config: Config) -> AsyncIterator[Monitor]:
    monitor = Monitor(config)
    await monitor.start()
    try:
        yield monitor
    finally:
        # Do not wait for bounded runs.
        for task in list(monitor.schedule._tasks):
            task.cancel()
        await monitor.stop()


def page(monitor: Monitor, *names: str) -> Samples:
    """Return the samples of a monitor in this process, or only those of these names, without rendering a page."""
    registry = monitor.metrics.registry
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in (registry.restricted_registry(names) if names else registry).collect()
        for sample in family.samples
    }


def shown(monitor: Monitor, name: str, **labels: str) -> float:
    """Return the sum of the series of that name with those labels."""
    return total(page(monitor, name), name, **labels)


def exchanged(monitor: Monitor, outcome: str) -> float:
    return shown(monitor, "relay_probe_exchanges_total", probe="steady", outcome=outcome)


async def stored_events(monitor: Monitor, kind: str, number: int) -> list[StoredEvent]:
    """Return the events of one kind in the journal, the newest first, once there are `number` of them."""
    async with asyncio.timeout(20):
        while len(found := await asyncio.to_thread(monitor.journal.events_log, kind=kind)) < number:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.05)
    return found


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.02)
