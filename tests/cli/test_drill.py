"""`relay-monitor drill` against a daemon in this process; tests/drill has it with Prometheus and Alertmanager."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from typer.testing import CliRunner

from monitor.cli import app
from monitor.drill import Result
from monitor.web import WebServer, build_app
from tests.daemon.harness import config, running, until
from tests.sockets import closed_port
from tests.web.test_drill import PROMETHEUS, notification

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from typer.testing import Result as Run

    from monitor.daemon.app import Monitor


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Monitor, str]]:
    """Run a monitor. Yield it, and its URL."""
    async with running(config()) as daemon:
        server = WebServer(build_app(daemon.web_state(), daemon.auth), "127.0.0.1", 0, daemon.auth)
        await server.start()
        try:
            yield daemon, f"http://127.0.0.1:{server.port}"
        finally:
            await server.stop()


def run(url: str, *words: str) -> Run:
    return CliRunner().invoke(app, ["drill", "--url", url, "--by", "ana", *words])


async def deliver(daemon: Monitor, url: str, *, fires_seen: asyncio.Event | None = None) -> None:
    """Scrape and notify once a drill runs, as Prometheus and Alertmanager do.

    With `fires_seen`, Prometheus says 100 ms later that the alert fires, and the notification waits for the event.
    """
    await until(lambda: daemon.drills.running is not None)
    drill = daemon.drills.running
    assert drill is not None
    async with httpx.AsyncClient(trust_env=False) as client:
        page = await client.get(f"{url}/metrics", headers=PROMETHEUS)
        assert f'relay_monitor_drill_relay_up{{drill="{drill.id}"' in page.text
        body = notification(drill=drill.id)
        body["alerts"][0]["startsAt"] = datetime.now(UTC).isoformat()
        if fires_seen is not None and (scraped := daemon.drills.running) is not None:
            assert scraped.scraped is not None
            daemon.drills.newest = scraped.see_firing(scraped.scraped + 0.1)
            await fires_seen.wait()
        (await client.post(f"{url}/-/drill", json=body)).raise_for_status()


async def test_each_link_is_printed_with_its_time() -> None:
    async with served() as (daemon, url):
        done, _ = await asyncio.gather(asyncio.to_thread(run, url, "--timeout", "90s"), deliver(daemon, url))
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("Drill "))
    shown = [line for line in lines[first:] if line.startswith(("Drill", "  ", "The page"))]
    assert "a page must arrive within 90 s" in shown[0]
    assert [line.split()[0] for line in shown[1:4]] == ["broken", "scraped", "firing"]
    assert shown[2].endswith("by Prometheus/2.42.0")
    assert shown[4].startswith("  received")
    assert re.fullmatch(
        r"The page chain works: [\d.]+ s, of which [\d.]+ s to the scrape, [\d.]+ s to the alert and [\d.]+ s to the "
        r"notification\.",
        shown[5],
    )


@pytest.mark.integration
async def test_what_prometheus_was_asked_for_is_a_limit_and_the_notification_has_the_time() -> None:
    seen = asyncio.Event()
    async with served() as (daemon, url):
        command = [sys.executable, "-m", "monitor", "drill", "--url", url]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        delivered = asyncio.create_task(deliver(daemon, url, fires_seen=seen))
        assert process.stdout is not None
        async with asyncio.timeout(30):
            while "firing" not in (line := (await process.stdout.readline()).decode()):
                assert line
            seen.set()
            remainder, _ = await process.communicate()
        await delivered
        assert daemon.drills.newest is not None
    limit = re.fullmatch(r"  firing +≤ ([\d.]+) s   the alert RelayMonitorDrill, seen at Prometheus\n", line)
    assert limit is not None
    scraped, firing = daemon.drills.newest.scraped, daemon.drills.newest.firing
    assert scraped is not None
    assert firing is not None
    assert firing < float(limit[1]) + 0.05
    assert f"{scraped:.1f} s to the scrape, {firing - scraped:.1f} s to the alert" in remainder.decode()


async def test_a_link_that_is_missing_is_named_and_exits_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.daemon.drills.min_drill_timeout", lambda _: 0.0)
    async with served() as (daemon, url):
        done = await asyncio.to_thread(run, url, "--timeout", "1s")
        assert done.exit_code == 1
        assert "  scraped   not within 1 s\nThe drill failed: Prometheus has not scraped this monitor" in done.stdout
        assert daemon.drills.last is not None
        assert (daemon.drills.last.result, daemon.drills.last.author) == (Result.FAILED, "ana")


async def test_the_drill_as_json() -> None:
    async with served() as (daemon, url):
        words = ("--timeout", "90s", "--output", "json")
        done, _ = await asyncio.gather(asyncio.to_thread(run, url, *words), deliver(daemon, url))
    (found,) = [line for line in done.stdout.splitlines() if line.startswith('{"id"')]
    drill: dict[str, Any] = json.loads(found)
    assert (drill["result"], drill["by"], drill["missing"]) == ("ok", "ana", None)
    assert [each["link"] for each in drill["links"]] == ["broken", "scraped", "firing", "received"]


async def test_a_second_drill_and_a_wrong_timeout_are_one_line() -> None:
    async with served() as (daemon, url):
        assert "more than 35s" in str((await asyncio.to_thread(run, url, "--timeout", "5s")).exception)
        daemon.drills.start(60, "ben")
        assert "of ben runs" in str((await asyncio.to_thread(run, url)).exception)


def test_a_monitor_that_does_not_run_is_said() -> None:
    assert "cannot be reached" in str(run(f"http://127.0.0.1:{closed_port()}").exception)


async def test_a_restarted_monitor_is_said() -> None:
    async with served() as (daemon, url):
        waiting = asyncio.create_task(asyncio.to_thread(run, url, "--timeout", "90s"))
        await until(lambda: daemon.drills.running is not None)
        daemon.drills.stop()
        daemon.drills.newest = None
        assert "does not know drill" in str((await waiting).exception)


@pytest.mark.integration
async def test_ctrl_c_ends_the_drill() -> None:
    async with served() as (daemon, url):
        command = [sys.executable, "-m", "monitor", "drill", "--url", url]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        async with asyncio.timeout(30):
            while b"broken" not in await process.stdout.readline():
                pass
            process.send_signal(signal.SIGINT)
            _, errors = await process.communicate()
        assert (process.returncode, errors) == (130, b"The drill is cancelled.\n")
        assert daemon.drills.newest is not None
        assert daemon.drills.newest.result is Result.CANCELLED
