"""The daemon as a process: it measures, serves, stops in time, and reports errors at its start."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import httpx
import pytest

from monitor.config import Config, parse
from monitor.daemon.process import serve
from tests.daemon.harness import CONFIG, Daemon, samples, total
from tests.journal.files import stored_runs
from tests.relays import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.mark.integration
class TestProcess:
    @pytest.mark.slow
    def test_it_measures_serves_and_stops_in_time(self, daemon: Daemon) -> None:
        daemon.until(lambda: daemon.get("/-/ready").status_code == 200)
        daemon.until(lambda: daemon.exchanged("steady", "ok") >= 6)
        found = samples(daemon.get("/metrics").text)
        assert total(found, "relay_probe_exchanges_total", outcome="failed") == 0
        assert total(found, "relay_up", relay="demo") == 1
        assert total(found, "relay_monitor_healthy") == 1
        assert total(found, "relay_slo_events_total", slo="stability", outcome="good") > 0
        assert daemon.get("/").status_code == 200
        # The first slot of the bounded probe is within five seconds; its run then waits for a minute.
        daemon.until(
            lambda: (
                total(
                    samples(daemon.get("/metrics").text), "relay_monitor_runs_total", probe="offline", result="started"
                )
                == 1
            )
        )
        daemon.process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        stdout, _ = daemon.process.communicate(timeout=15)
        assert time.monotonic() - started < 10
        assert (daemon.process.returncode, stdout) == (0, b"")
        logged = [json.loads(line) for line in daemon.log.read_text().splitlines()]
        assert [line["event"] for line in logged if line["level"] in {"error", "critical"}] == []
        assert logged[-1]["event"] == "monitor stopped"
        runs = stored_runs(daemon.state)
        assert {run["outcome"] for run in runs} <= {"ok", "aborted"}
        assert [run["outcome"] for run in runs if run["probe"] == "offline"] == ["aborted"]

    @pytest.mark.alone
    @pytest.mark.slow
    async def test_fifty_concurrent_scrapers_do_not_disturb_measurements(self, daemon: Daemon) -> None:
        await asyncio.to_thread(daemon.until, lambda: daemon.exchanged("steady", "ok") >= 2)
        statuses: Counter[int] = Counter()
        end_at = time.monotonic() + 5

        async def scrape(client: httpx.AsyncClient) -> None:
            while time.monotonic() < end_at:
                statuses[(await client.get(f"{daemon.url}/metrics")).status_code] += 1

        limits = httpx.Limits(max_connections=50)
        async with httpx.AsyncClient(timeout=30, limits=limits) as client, asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(scrape(client))
        assert set(statuses) == {200, 503}  # one is rendered at a time, some are queued, the others get 503
        ok = daemon.exchanged("steady", "ok")
        await asyncio.to_thread(daemon.until, lambda: daemon.exchanged("steady", "ok") >= ok + 2)
        found = samples(daemon.get("/metrics").text)
        assert total(found, "relay_probe_exchanges_total", outcome="failed") == 0
        assert total(found, "relay_probe_exchanges_total", outcome="aborted") == 0
        assert total(found, "relay_monitor_healthy") == 1

    def test_a_port_in_use_is_one_line_on_stderr(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            (line,) = self.startup_error(tmp_path, CONFIG.format(port=port))
        assert line.startswith(f"relay-monitor: cannot listen on 127.0.0.1:{port}: ")
        assert "server.listen" in line

    def test_an_invalid_configuration_is_reported_with_its_line(self, tmp_path: Path) -> None:
        (line,) = self.startup_error(tmp_path, CONFIG.format(port=9464) + "relayz: []\n")
        assert re.search(r"monitor\.yaml:\d+: relayz: is not a key here; did you mean relays\?$", line)

    def startup_error(self, folder: Path, text: str) -> list[str]:
        """Return the lines on stderr of a daemon that does not start."""
        path = folder / "monitor.yaml"
        path.write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "monitor", "run", "--config", str(path)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            cwd=ROOT,
        )
        assert (done.returncode, done.stdout) == (2, "")
        return done.stderr.splitlines()


@pytest.mark.alone
class TestSignalsAtTheEndOfTheCreation:
    """The loop has created the daemon, and `serve` has not continued yet. Such a signal was lost."""

    @pytest.fixture(autouse=True)
    def _restored(self) -> Iterator[None]:
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
        threshold = gc.get_threshold()
        yield
        for number, handler in handlers.items():
            signal.signal(number, handler)
        gc.set_threshold(*threshold)
        gc.unfreeze()

    def config(self, folder: Path) -> Config:
        return parse(CONFIG.format(port=0).replace("state_dir: state\n", ""), str(folder / "monitor.yaml"), {})

    async def send_once_created(self, number: signal.Signals) -> None:
        """Send a signal to this process in the turn of the event loop in which the creation ends."""
        before = asyncio.all_tasks()
        while not (created := asyncio.all_tasks() - before):  # noqa: ASYNC110 - each turn of the loop counts
            await asyncio.sleep(0)
        (creation,) = created
        while not creation.done():  # noqa: ASYNC110
            await asyncio.sleep(0)
        os.kill(os.getpid(), number)

    async def test_sigterm_stops(self, tmp_path: Path) -> None:
        sending = asyncio.create_task(self.send_once_created(signal.SIGTERM))
        await asyncio.sleep(0)
        async with asyncio.timeout(15):
            await serve(self.config(tmp_path))
        await sending

    async def test_sighup_reloads(self, tmp_path: Path) -> None:
        config = self.config(tmp_path)

        def read() -> Config:
            os.kill(os.getpid(), signal.SIGTERM)
            return config

        sending = asyncio.create_task(self.send_once_created(signal.SIGHUP))
        await asyncio.sleep(0)
        async with asyncio.timeout(15):
            await serve(config, source=read)
        await sending
