"""Outages of a real relay, and of this very machine, seen by a whole monitor: who is blamed, and when."""

from __future__ import annotations

import asyncio
import contextlib
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
from monitor.reachability import verdict
from monitor.results import MessagesJudged
from monitor.vocabulary import Outcome, Verdict
from tests.daemon.harness import page, running, shown, total, until
from tests.relays import BUILD_TIMEOUT, ENGINE, Engine
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from monitor.config import Config

ROOT = Path(__file__).parents[2]

# As shipped, but for the pace: limits, confirmation and time-outs are what matters here.
USUAL = """
relays: [{{name: demo, url: "{url}"}}]
references: [{references}]
probes:
  - {{name: steady, scenario: steady-messaging, message_interval: 1s, settle: 0s, timeout: 2s}}
  - {{name: idle, scenario: steady-state, connections: 2}}
slos:
  - {{name: delivery, probe: steady, sli: availability, objective: 99%}}
  - {{name: stability, probe: [steady, idle], sli: stability, objective: 99%}}
"""

CONFIRM = 10.0
"""Seconds that a confirmation may take, as the configuration has it by default; more than these none does."""

on_the_engine = [pytest.mark.required_counterpart(ENGINE), pytest.mark.timeout(BUILD_TIMEOUT)]


def usual(url: str, *references: str) -> Config:
    return parse(USUAL.format(url=url, references=", ".join(f'"{each}"' for each in references)), "test", {})


class Outages:
    """An engine that is killed and comes back on the same port."""

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
    """A host that can be reached."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def nowhere(host: str = "127.0.0.2") -> str:
    """A host that cannot."""
    return f"{host}:{closed_port()}"


def up(monitor: Monitor) -> bool | None:
    return monitor.monitored_relays.relays["demo"].verdict.up


def exchanges(monitor: Monitor, outcome: str) -> float:
    return shown(monitor, "relay_probe_exchanges_total", probe="steady", outcome=outcome)


def confirmations(monitor: Monitor, over: str, outcome: str) -> float:
    return shown(monitor, "relay_probe_confirmations_total", over=over, outcome=outcome)


class TestARelayThatIsDown:
    pytestmark = on_the_engine

    @pytest.mark.slow
    async def test_each_of_repeated_kills_is_confirmed_in_time_and_each_repair_found(self, outages: Outages) -> None:
        async with running(usual(outages.url)) as monitor:
            await until(lambda: exchanges(monitor, "ok") >= 2)
            started = time.monotonic()
            for _ in range(4):
                assert up(monitor) is True
                await outages.kill()
                # Scheduling of a busy machine comes on top; permits that are used up would take a minute.
                await until(lambda: up(monitor) is False, CONFIRM + 5)
                await outages.begin()
                await until(lambda: up(monitor) is True, CONFIRM + 5)
            assert time.monotonic() - started < 60, "all of it within the window of the limits, or it proves nothing"
            assert confirmations(monitor, "standing", "failed") == 0
            assert shown(monitor, "relay_monitor_healthy") == 1

    async def test_a_paused_relay_is_down_and_no_silent_node_and_its_failures_count(
        self, outages: Outages, reference: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(verdict, "RECOVERY_INTERVAL", 1.0)
        async with running(usual(outages.url, reference, nowhere())) as monitor:
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

    async def test_a_restart_is_no_outage_and_no_silent_node(self, outages: Outages) -> None:
        async with running(usual(outages.url)) as monitor:
            await until(lambda: exchanges(monitor, "ok") >= 2)
            assert outages.engine is not None
            await outages.engine.stop()
            await outages.begin()
            before = exchanges(monitor, "ok")
            await until(lambda: confirmations(monitor, "fresh", "ok") >= 1)
            await until(lambda: exchanges(monitor, "ok") >= before + 2)
            assert up(monitor) is True
            assert confirmations(monitor, "standing", "failed") == 0


@pytest.mark.alone
class TestAFaultOfOurOwn:
    async def test_where_no_reference_can_be_reached_the_relay_is_not_blamed(self) -> None:
        places = [nowhere(), nowhere("127.0.0.3")]
        url = f"ws://127.0.0.1:{closed_port()}/connection/websocket"
        async with running(usual(url, *places)) as monitor:
            await until(lambda: exchanges(monitor, "aborted") >= 2)
            found = page(monitor)
            assert total(found, "relay_monitor_healthy") == 0
            assert exchanges(monitor, "failed") == 0
            assert total(found, "relay_slo_events_total", slo="delivery") == 0
            assert total(found, "relay_slo_events_total", slo="stability") < 0.5
            assert up(monitor) is None
            (why,) = monitor.status()["distrust"]
            assert why == "no reference reachable: " + ", ".join(
                sorted(f"{each}: Connection refused" for each in places)
            )
            assert {kept.run.outcome for kept in monitor.journal.runs()} == {Outcome.ABORTED}

    async def test_where_one_can_the_relay_is(self, reference: str) -> None:
        url = f"ws://127.0.0.1:{closed_port()}/connection/websocket"
        async with running(usual(url, nowhere(), reference)) as monitor:
            await until(lambda: up(monitor) is False)
            await until(lambda: exchanges(monitor, "failed") >= 2)
            assert exchanges(monitor, "aborted") == 0
            assert shown(monitor, "relay_monitor_healthy") == 1
            assert monitor.status()["distrust"] == []

    async def test_where_everything_is_gone_at_once_nothing_is_held_against_the_relay(self) -> None:
        relay = EmbeddedRelay()
        await relay.start()
        with contextlib.ExitStack() as network:
            first, second = (
                network.enter_context(socket.create_server((host, 0), backlog=64))
                for host in ("127.0.0.1", "127.0.0.2")
            )
            places = [f"{host}:{port}" for host, port in (each.getsockname() for each in (first, second))]
            async with running(usual(relay.url, *places)) as monitor:
                await until(lambda: exchanges(monitor, "ok") >= 2)
                network.close()
                await relay.stop()
                await until(lambda: exchanges(monitor, "aborted") >= 2)
                found = page(monitor)
                assert total(found, "relay_monitor_healthy") == 0
                assert total(found, "relay_slo_events_total", slo="delivery", outcome="bad") == 0
                # A relay that stops drops one after another, while others still cross it: a moment of that is its own.
                assert total(found, "relay_slo_events_total", slo="stability", outcome="bad") < 0.5
                assert exchanges(monitor, "failed") == 0
                assert up(monitor) is True

    async def test_it_trusts_itself_again_when_a_reference_is_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("monitor.health.self_check.UNHEALTHY_PERIOD", 2.0)
        monkeypatch.setattr("monitor.health.self_check.RECHECK_INTERVAL", 0.5)
        monkeypatch.setattr(verdict, "ROUND_INTERVAL", 1.0)
        port = closed_port()
        url = f"ws://127.0.0.1:{closed_port()}/connection/websocket"
        async with running(usual(url, f"127.0.0.1:{port}", nowhere())) as monitor:
            await until(lambda: not monitor.health.healthy)
            assert up(monitor) is None
            with socket.create_server(("127.0.0.1", port), backlog=64):
                await until(lambda: up(monitor) is False)
            assert shown(monitor, "relay_up", relay="demo") == 0


STARVED = """
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
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    monitor.monitored_relays.relays["demo"].embedded.disconnect_all(3001)  # what comes back now needs a descriptor
    await until(lambda: not monitor.health.healthy)
    why = monitor.status()["distrust"]
    count = len(outcomes())
    await until(lambda: len(outcomes()) >= count + 2)
    up = monitor.status()["relays"][0]["up"]
    for descriptor in taken:
        os.close(descriptor)
    before = outcomes().count("ok")
    await until(lambda: monitor.health.healthy)
    await until(lambda: outcomes().count("ok") > before)
    after = monitor.status()["distrust"]
    await monitor.stop()
    print(json.dumps({"why": why, "up": up, "outcomes": sorted(set(outcomes())), "after": after}))

resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96))
import monitor.health.self_check
monitor.health.self_check.UNHEALTHY_PERIOD = 3.0
asyncio.run(main())
"""


CUT_OFF = """
import asyncio, json, sys
from monitor.daemon.app import Monitor
from monitor.config import parse

async def main() -> None:
    monitor = Monitor(parse(sys.argv[1], "test", {}))
    await monitor.start()
    async with asyncio.timeout(30):
        while len(runs := monitor.journal.runs()) < 2 or monitor.health.healthy:
            await asyncio.sleep(0.02)
    status = monitor.status()
    await monitor.stop()
    outcomes = sorted({kept.run.outcome.value for kept in runs})
    print(json.dumps({"why": status["distrust"], "up": status["relays"][0]["up"], "outcomes": outcomes}))

asyncio.run(main())
"""


@pytest.mark.integration
class TestTheNetwork:
    def test_a_machine_without_a_route_blames_itself(self) -> None:
        alone = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
        try:
            subprocess.run([*alone, "true"], capture_output=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"no network namespace can be made here: {error}")
        text = """
relays: [{name: demo, url: "ws://192.0.2.1/connection/websocket", limits: {messages_per_minute: 6000}}]
probes: [{name: steady, scenario: steady-messaging, message_interval: 200ms, settle: 0s, timeout: 1s}]
"""
        done = subprocess.run(
            [*alone, sys.executable, "-c", CUT_OFF, text],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout.splitlines()[-1])
        assert said["why"] == ["no network: no local route: 192.0.2.1:80: Network is unreachable"]
        assert (said["up"], said["outcomes"]) == (None, ["aborted"])


@pytest.mark.integration
class TestDescriptors:
    @pytest.mark.slow
    def test_none_left_is_a_fault_of_ours_and_over_when_there_are_some_again(self) -> None:
        text = """
relays: [{name: demo, url: embedded, limits: {connects_per_minute: 600, messages_per_minute: 6000}}]
probes: [{name: steady, scenario: steady-messaging, message_interval: 200ms, settle: 0s, timeout: 1s}]
"""
        done = subprocess.run(
            [sys.executable, "-c", STARVED, text], capture_output=True, text=True, timeout=90, check=False, cwd=ROOT
        )
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout.splitlines()[-1])
        assert said["up"] is True
        assert said["outcomes"] == ["aborted", "ok"]
        assert said["after"] == []
        assert [why.split(":")[0] for why in said["why"]] == ["descriptors nearly exhausted"]


@pytest.mark.slow
class TestTheLog:
    async def test_it_says_what_a_run_is_booked_as(self) -> None:
        places = [nowhere(), nowhere("127.0.0.3")]
        url = f"ws://127.0.0.1:{closed_port()}/connection/websocket"
        with capture_logs() as logs:
            async with running(usual(url, *places)) as monitor:
                await until(lambda: exchanges(monitor, "aborted") >= 2)
        said = {(line["event"], line["outcome"]) for line in logs if line["event"].startswith("run ")}
        assert said == {("run aborted", "aborted")}

    async def test_and_of_one_in_maintenance_that_it_is_excluded(self) -> None:
        url = f"ws://127.0.0.1:{closed_port()}/connection/websocket"
        always = MaintenanceConfig(cron="* * * * *", duration=3600.0, relays=("demo",))
        with capture_logs() as logs:
            async with running(usual(url).model_copy(update={"maintenance": (always,)})) as monitor:
                await until(lambda: exchanges(monitor, "excluded") >= 1)
        said = {(line["event"], line["outcome"]) for line in logs if line["event"].startswith("run ")}
        assert said == {("run excluded", "excluded")}


class TestWhatWaits:
    @pytest.mark.parametrize("ours", [False, True])
    async def test_a_message_is_lost_only_when_it_is_settled_that_the_fault_is_not_ours(self, *, ours: bool) -> None:
        relay = EmbeddedRelay()
        await relay.start()
        async with running(usual(relay.url)) as monitor:

            def lost() -> float:
                return shown(monitor, "relay_probe_messages_total", verdict="lost")

            context = monitor.monitored_relays.context("demo", monitor.config.probes[0])
            report = MessagesJudged(relay="demo", probe="steady", run_id="", verdict=Verdict.LOST)
            monitor.monitored_relays.relays["demo"].verdict.unresolved = True
            monitor.pipeline.process(report, context)
            assert lost() == 0
            if ours:
                monitor.health.mark_unhealthy("network", "no local route")
            monitor.pipeline.release("demo")
            assert lost() == (0 if ours else 1)
        await relay.stop()

    async def test_it_is_booked_in_the_end_when_the_monitor_stops(self) -> None:
        url = f"ws://127.0.0.1:{closed_port()}/connection/websocket"
        monitor = Monitor(usual(url))
        await monitor.start()
        context = monitor.monitored_relays.context("demo", monitor.config.probes[0])
        report = MessagesJudged(relay="demo", probe="steady", run_id="", verdict=Verdict.LOST)
        monitor.monitored_relays.relays["demo"].verdict.unresolved = True
        monitor.pipeline.process(report, context)
        assert monitor.pipeline._pending
        await monitor.stop()
        assert monitor.pipeline._pending == {}
        assert shown(monitor, "relay_probe_messages_total", verdict="lost") == 1
        assert asyncio.all_tasks() == {asyncio.current_task()}
