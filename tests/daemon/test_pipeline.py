"""Outages of a real relay, and local faults: which runs count against the relay, and when."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from monitor.config import parse
from monitor.config.model import MaintenanceConfig
from monitor.daemon.app import Monitor
from monitor.embedded import EmbeddedRelay
from monitor.reachability import rhythm
from monitor.results import MessagesJudged
from monitor.vocabulary import Verdict
from tests.daemon.harness import running, shown, until
from tests.relays import BUILD_TIMEOUT, ENGINE, Engine
from tests.sockets import closed_port
from tests.web.site import client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from structlog.typing import EventDict

    from monitor.config import Config

ROOT = Path(__file__).parents[2]

# Limits and confirmation are those of the shipped configuration.
CONFIG = """
relays: [{{name: demo, url: "{url}"}}]
references: [{references}]
probes:
  - {{name: steady, scenario: steady-messaging, message_interval: 1s, settle: 0s, timeout: 2s}}
  - {{name: idle, scenario: steady-state, connections: 2}}
slos:
  - {{name: delivery, probe: steady, sli: availability, objective: 99%}}
  - {{name: stability, probe: [steady, idle], sli: stability, objective: 99%}}
"""

ENDPOINTS = """
relays: [{{name: demo, url: "{url}", endpoints: [{endpoints}]}}]
probes: [{{name: steady, scenario: steady-messaging, message_interval: 1s, settle: 0s, timeout: 2s}}]
"""

CONFIRMATION_TIMEOUT = 10.0
"""Longest duration of a confirmation in seconds, by default."""

ON_THE_ENGINE = [pytest.mark.required_counterpart(ENGINE), pytest.mark.timeout(BUILD_TIMEOUT)]


def configured(url: str, *references: str) -> Config:
    return parse(CONFIG.format(url=url, references=", ".join(f'"{each}"' for each in references)), "test", {})


class Outages:
    """An engine that is killed and started again on the same port."""

    def __init__(self, program: Path, port: int) -> None:
        self.url = f"ws://127.0.0.1:{port}/connection/websocket"
        self.engine: Engine | None = None
        self._start: Callable[[], object] = lambda: Engine.start(program, "-listen", f"127.0.0.1:{port}")

    async def begin(self) -> None:
        self.engine = await self._start()  # type: ignore[misc]

    async def kill(self) -> None:
        assert self.engine is not None
        await self.engine.kill()


@pytest.fixture
async def outages(engine_program: Path) -> AsyncIterator[Outages]:
    made = Outages(engine_program, closed_port())
    await made.begin()
    yield made
    if made.engine is not None:
        await made.engine.stop()


@pytest.fixture
def reference() -> Iterator[str]:
    """Address of a reachable host."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def up(monitor: Monitor) -> bool | None:
    return monitor.monitored_relays.relays["demo"].verdict.up


def exchanges(monitor: Monitor, outcome: str) -> float:
    return shown(monitor, "relay_probe_exchanges_total", probe="steady", outcome=outcome)


def confirmations(monitor: Monitor, via: str, outcome: str) -> float:
    return shown(monitor, "relay_probe_confirmations_total", over=via, outcome=outcome)


class TestRelayDown:
    pytestmark = ON_THE_ENGINE

    @pytest.mark.slow
    async def test_repeated_outages_and_recoveries_are_detected_in_time(self, outages: Outages) -> None:
        async with running(configured(outages.url)) as monitor:
            await until(lambda: exchanges(monitor, "ok") >= 2)
            started = time.monotonic()
            for _ in range(4):
                assert up(monitor) is True
                await outages.kill()
                # Five seconds for a busy machine; if permits were exhausted, it would take a minute.
                await until(lambda: up(monitor) is False, CONFIRMATION_TIMEOUT + 5)
                await outages.begin()
                await until(lambda: up(monitor) is True, CONFIRMATION_TIMEOUT + 5)
            assert time.monotonic() - started < 60, "all must happen within one window of the limits"
            assert confirmations(monitor, "standing", "failed") == 0
            assert shown(monitor, "relay_monitor_healthy") == 1

    async def test_a_paused_relay_is_down_and_its_failures_count(
        self, outages: Outages, reference: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rhythm, "FAILING_INTERVAL", 1.0)
        async with running(configured(outages.url, reference, f"127.0.0.2:{closed_port()}")) as monitor:
            await until(lambda: exchanges(monitor, "ok") >= 2)
            assert outages.engine is not None
            outages.engine.pause()
            await until(lambda: up(monitor) is False)
            await until(lambda: exchanges(monitor, "failed") >= 1)
            outages.engine.resume()
            await until(lambda: up(monitor) is True)
            assert confirmations(monitor, "fresh", "failed") >= 3
            assert confirmations(monitor, "standing", "failed") == 0
            assert exchanges(monitor, "aborted") == 0
            assert shown(monitor, "relay_monitor_healthy") == 1

    async def test_a_restart_is_not_an_outage(self, outages: Outages) -> None:
        async with running(configured(outages.url)) as monitor:
            await until(lambda: exchanges(monitor, "ok") >= 2)
            assert outages.engine is not None
            await outages.engine.stop()
            await outages.begin()
            before = exchanges(monitor, "ok")
            await until(lambda: confirmations(monitor, "fresh", "ok") >= 1)
            await until(lambda: exchanges(monitor, "ok") >= before + 2)
            assert up(monitor) is True
            assert confirmations(monitor, "standing", "failed") == 0


WITHOUT_DESCRIPTORS = """
import asyncio, json, os, resource, sys
from monitor.daemon.app import Monitor
from monitor.config import parse

async def main() -> None:
    monitor = Monitor(parse(sys.argv[1], "test", {}))
    await monitor.start()
    async def until(true, seconds=30):
        async with asyncio.timeout(seconds):
            while not true():
                await asyncio.sleep(0.02)
    outcomes = lambda: [kept.run.outcome.value for kept in monitor.journal.runs()]
    await until(lambda: outcomes().count("ok") >= 2)
    opened = []
    try:
        while True:
            opened.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    monitor.monitored_relays.relays["demo"].embedded.disconnect_all(3001)  # each reconnect needs a descriptor
    await until(lambda: not monitor.health.healthy)
    why = monitor.health.reasons
    count = len(outcomes())
    await until(lambda: len(outcomes()) >= count + 2)
    up = monitor.monitored_relays.relays["demo"].verdict.up
    for descriptor in opened:
        os.close(descriptor)
    before = outcomes().count("ok")
    await until(lambda: monitor.health.healthy)
    await until(lambda: outcomes().count("ok") > before)
    after = monitor.health.reasons
    await monitor.stop()
    print(json.dumps({"why": why, "up": up, "outcomes": sorted(set(outcomes())), "after": after}))

resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96))
import monitor.health.self_check
monitor.health.self_check.UNHEALTHY_PERIOD = 3.0
asyncio.run(main())
"""


WITHOUT_NETWORK = """
import asyncio, json, sys
from monitor.daemon.app import Monitor
from monitor.config import parse

async def main() -> None:
    monitor = Monitor(parse(sys.argv[1], "test", {}))
    await monitor.start()
    async with asyncio.timeout(30):
        while len(runs := monitor.journal.runs()) < 2 or monitor.health.healthy:
            await asyncio.sleep(0.02)
    why, up = monitor.health.reasons, [relay.verdict.up for relay in monitor.monitored_relays.relays.values()][0]
    await monitor.stop()
    outcomes = sorted({kept.run.outcome.value for kept in runs})
    print(json.dumps({"why": why, "up": up, "outcomes": outcomes}))

asyncio.run(main())
"""


@pytest.mark.integration
@pytest.mark.required_as_root("network namespaces")
class TestNoNetwork:
    def test_without_a_route_runs_are_aborted(self) -> None:
        isolated = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
        try:
            subprocess.run([*isolated, "true"], capture_output=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"no network namespace can be made here: {error}")
        text = """
relays: [{name: demo, url: "ws://192.0.2.1/connection/websocket", limits: {messages_per_minute: 6000}}]
probes: [{name: steady, scenario: steady-messaging, message_interval: 200ms, settle: 0s, timeout: 1s}]
"""
        done = subprocess.run(
            [*isolated, sys.executable, "-c", WITHOUT_NETWORK, text],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stderr
        printed = json.loads(done.stdout.splitlines()[-1])
        assert printed["why"] == ["no network: no IPv4 route from here to 192.0.2.1:80"]
        assert (printed["up"], printed["outcomes"]) == (None, ["aborted"])


@pytest.mark.integration
class TestDescriptors:
    @pytest.mark.slow
    def test_runs_are_aborted_while_descriptors_are_exhausted(self) -> None:
        text = """
relays: [{name: demo, url: embedded, limits: {connects_per_minute: 600, messages_per_minute: 6000}}]
probes: [{name: steady, scenario: steady-messaging, message_interval: 200ms, settle: 0s, timeout: 1s}]
"""
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_DESCRIPTORS, text],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stderr
        printed = json.loads(done.stdout.splitlines()[-1])
        assert printed["up"] is True
        assert printed["outcomes"] == ["aborted", "ok"]
        assert printed["after"] == []
        assert [why.split(":")[0] for why in printed["why"]] == ["descriptors nearly exhausted"]


@pytest.mark.slow
class TestLog:
    async def test_a_run_in_maintenance_is_logged_as_excluded(self) -> None:
        url = f"ws://127.0.0.1:{closed_port()}/connection/websocket"
        always = MaintenanceConfig(cron="* * * * *", duration=3600.0, relays=("demo",))
        with capture_logs() as logs:
            async with running(configured(url).model_copy(update={"maintenance": (always,)})) as monitor:
                await until(lambda: exchanges(monitor, "excluded") >= 1)
        printed = {(line["event"], line["outcome"]) for line in logs if line["event"].startswith("run ")}
        assert printed == {("run excluded", "excluded")}

    async def test_the_ids_and_endpoints_that_it_names_are_those_of_the_pages(self) -> None:
        """Before, a fresh attempt was on no page, and a run's line did not say at which endpoint it failed."""
        named = {f"127.0.0.1:{closed_port()}" for _ in range(2)}
        urls = [f"ws://{name}/connection/websocket" for name in named]
        text = ENDPOINTS.format(url=urls[0], endpoints=", ".join(f'"{url}"' for url in urls))
        with capture_logs() as logs:
            async with running(parse(text, "test", {})) as monitor:

                def lines(event: str) -> list[EventDict]:
                    return [line for line in logs if line["event"] == event]

                await until(lambda: len(lines("attempt failed")) >= 2 and len(lines("run failed")) >= 1)
                async with client(journal=monitor.journal) as web:
                    pages = {
                        line["run_id"]: (line["endpoint"], await web.get(f"/runs/{line['run_id']}"))
                        for line in (*lines("attempt failed"), *lines("run failed"))
                    }
        assert {endpoint for endpoint, _ in pages.values()} <= named
        for endpoint, page in pages.values():
            assert page.status_code == 200
            assert f"(endpoint {endpoint})" in page.text


class TestPendingReports:
    @pytest.mark.parametrize("is_local", [False, True])
    async def test_a_lost_message_counts_once_the_fault_is_known_not_to_be_local(self, *, is_local: bool) -> None:
        relay = EmbeddedRelay()
        await relay.start()
        async with running(configured(relay.url)) as monitor:

            def lost() -> float:
                return shown(monitor, "relay_probe_messages_total", verdict="lost")

            context = monitor.monitored_relays.context("demo", monitor.config.probes[0])
            report = MessagesJudged(relay="demo", probe="steady", run_id="", verdict=Verdict.LOST)
            verdict_of_demo = monitor.monitored_relays.relays["demo"].verdict
            verdict_of_demo._confirmation.unresolved = True
            monitor.pipeline.process(report, context)
            assert lost() == 0
            verdict_of_demo._confirmation.unresolved = False
            if is_local:
                monitor.health.mark_unhealthy("network", "no local route")
            monitor.pipeline.release("demo")
            assert lost() == (0 if is_local else 1)
        await relay.stop()

    async def test_pending_reports_are_recorded_when_the_monitor_stops(self) -> None:
        url = f"ws://127.0.0.1:{closed_port()}/connection/websocket"
        monitor = Monitor(configured(url))
        await monitor.start()
        context = monitor.monitored_relays.context("demo", monitor.config.probes[0])
        report = MessagesJudged(relay="demo", probe="steady", run_id="", verdict=Verdict.LOST)
        monitor.monitored_relays.relays["demo"].verdict._confirmation.unresolved = True
        monitor.pipeline.process(report, context)
        assert monitor.pipeline._pending
        await monitor.stop()
        assert monitor.pipeline._pending == {}
        assert shown(monitor, "relay_probe_messages_total", verdict="lost") == 1
        assert asyncio.all_tasks() == {asyncio.current_task()}
