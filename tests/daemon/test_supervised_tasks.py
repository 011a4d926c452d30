"""A bug in each long-lived task is counted, the task restarted, and what depends on it said to be unknown meanwhile."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from monitor.clock import LoopClock
from monitor.config import parse
from monitor.daemon.app import Monitor
from monitor.streams import Stderr
from monitor.supervision import FAILURE_PERIOD, MAX_FAILURES
from monitor.vocabulary import Condition, Outcome
from monitor.web import WebServer, build_app
from tests.daemon.harness import page, shown, until
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from monitor.reachability.verdict import RelayVerdict

CONFIG = """\
relays:
  - {name: ill, url: embedded, limits: {messages_per_minute: 6000, connects_per_minute: 600}}
  - {name: well, url: embedded, limits: {messages_per_minute: 6000, connects_per_minute: 600}}
probes:
  - {name: steady, scenario: steady-messaging, relays: ill, message_interval: 1s, settle: 0s, timeout: 1s}
  - {name: other, scenario: steady-messaging, relays: well, message_interval: 1s, settle: 0s, timeout: 1s}
  - {name: idle, scenario: steady-state, relays: ill, connections: 1}
  - {name: session, scenario: realistic-session, schedule: {every: 30s}, relays: ill, timeout: 1s}
slos:
  - {name: stability, probe: [steady, idle], sli: stability, objective: 99%}
  - {name: pairing, probe: [steady, session], sli: pairing, objective: 99%}
"""


class Bug:
    """A function in place of another that fails some times and then calls it."""

    def __init__(self, function: Callable[..., Any], times: int = MAX_FAILURES) -> None:
        self.remaining = times
        self.calls = 0
        self._function = function

    def __get__(self, instance: object, owner: type) -> Callable[..., Any]:
        return lambda *arguments, **more: self(instance, *arguments, **more)

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        self.calls += 1
        if self.remaining:
            self.remaining -= 1
            raise AttributeError("a bug")
        return self._function(*arguments, **more)


def inject(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, times: int = MAX_FAILURES) -> Bug:
    """Put a bug into a method."""
    bug = Bug(getattr(owner, name), times)
    monkeypatch.setattr(owner, name, bug)
    return bug


def resolved(path: str) -> tuple[Any, str]:
    module, _, names = path.partition(":")
    owner: Any = __import__(module, fromlist=["_"])
    *parents, name = names.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    return owner, name


@asynccontextmanager
async def running() -> AsyncIterator[Monitor]:
    monitor = Monitor(parse(CONFIG, "monitor.yaml", {}), clock=LoopClock())
    await monitor.start()
    try:
        yield monitor
    finally:
        monitor.hurry_stop()
        await monitor.stop()


def failures(monitor: Monitor, task: str) -> float:
    name = "relay_monitor_task_failures_total"
    return sum(value for (its, own), value in page(monitor, name).items() if its == name and ("task", task) in own)


def condition(verdict: RelayVerdict) -> Condition:
    return verdict.status.condition


EXCHANGES = "relay_probe_exchanges_total"


def exchanged(monitor: Monitor, relay: str) -> float:
    """Return the number of successful exchanges over a relay."""
    wanted = {("relay", relay), ("outcome", "ok")}
    return sum(
        value for (name, own), value in page(monitor, EXCHANGES).items() if name == EXCHANGES and wanted <= set(own)
    )


SHARED = {
    "certificates": "monitor.relays:MonitoredRelays.check_certificates",
    "gauges": "monitor.daemon.app:run_periodic",
    "event loop lag": "monitor.schedule.watch:LoopLag.run",
    "clock steps": "monitor.schedule.watch:ClockWatch.run",
    "self-checks": "monitor.health.self_check:SelfCheck._run_periodic_checks",
    "references": "monitor.health.self_check:SelfCheck._watch_references",
    "schedule": "monitor.schedule.jobs:Schedule._watch_clock",
}
"""Task that all relays share → where the bug is."""


@WITH_SOCKETS
class TestShared:
    @pytest.mark.parametrize("task", SHARED)
    async def test_the_monitor_is_unhealthy_while_it_fails_again_and_again(
        self, task: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bug = inject(monkeypatch, *resolved(SHARED[task]))
        async with running() as monitor:
            await until(lambda: failures(monitor, task) == MAX_FAILURES, 120)
            assert not monitor.health.healthy
            assert [why for why in monitor.health.reasons if "AttributeError: a bug" in why]
            assert shown(monitor, "relay_monitor_healthy") == 0
            await asyncio.sleep(FAILURE_PERIOD + 20)
            assert shown(monitor, "relay_monitor_healthy") == 1
            assert failures(monitor, task) == MAX_FAILURES
            assert bug.calls > MAX_FAILURES  # it was started again

    @pytest.mark.parametrize("task", SHARED)
    async def test_one_failure_changes_nothing(self, task: str, monkeypatch: pytest.MonkeyPatch) -> None:
        bug = inject(monkeypatch, *resolved(SHARED[task]), times=1)
        async with running() as monitor:
            await until(lambda: failures(monitor, task) == 1, 120)
            await until(lambda: bug.calls >= 2, 60)
            assert monitor.health.healthy


@WITH_SOCKETS
class TestOfOneRelay:
    async def test_a_bug_in_a_continuous_probe_makes_its_relay_unknown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The probe used to end for good, and silently."""
        async with running() as monitor:
            ill, well = (monitor.monitored_relays.relays[name].verdict for name in ("ill", "well"))
            # Their probes have started.
            await until(lambda: min(exchanged(monitor, "ill"), exchanged(monitor, "well")) > 0, 120)
            serve = inject(monkeypatch, *resolved("monitor.probes.steady_messaging:PersistentPair.serve"))
            await monitor.supervisor.stop([("ill", "steady")])
            (probe,) = (probe for probe in monitor.config.probes if probe.name == "steady")
            monitor.supervisor.start("ill", probe)
            await until(lambda: failures(monitor, "probe") == MAX_FAILURES, 120)
            assert condition(ill) is Condition.UNKNOWN
            assert "task 'probe' fails repeatedly: AttributeError: a bug" in ill.status.reason_unknown
            assert condition(well) is Condition.UP
            assert monitor.health.healthy
            assert shown(monitor, "relay_up", relay="well") == 1
            ok = exchanged(monitor, "ill")
            await asyncio.sleep(FAILURE_PERIOD + 20)
            assert condition(ill) is Condition.UP
            assert serve.calls > MAX_FAILURES
            assert exchanged(monitor, "ill") > ok
            assert shown(monitor, EXCHANGES, relay="ill", outcome="failed") == 0

    @pytest.mark.parametrize(
        "path",
        ["monitor.reachability.attempt_loop:AttemptLoop._serve", "monitor.reachability.attempts:try_new_pair"],
    )
    async def test_a_bug_in_the_attempts_makes_the_relays_unknown_until_they_run_again(
        self, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Such a bug used to end the confirmation silently, so that no outage was noticed any more."""
        bug = inject(monkeypatch, *resolved(path), times=1000)  # relays take turns, and one may fail more often
        async with running() as monitor:
            verdicts = [relay.verdict for relay in monitor.monitored_relays.relays.values()]
            await until(lambda: all("fails repeatedly" in each.status.reason_unknown for each in verdicts), 600)
            await until(lambda: failures(monitor, "reachability") >= 2 * MAX_FAILURES, 120)
            assert {condition(verdict) for verdict in verdicts} == {Condition.UNKNOWN}
            assert monitor.health.healthy
            bug.remaining = 0
            await asyncio.sleep(FAILURE_PERIOD + 60)
            assert {condition(verdict) for verdict in verdicts} == {Condition.UP}

    async def test_a_bug_in_a_bounded_probe_aborts_its_run_only(self, monkeypatch: pytest.MonkeyPatch) -> None:
        inject(monkeypatch, *resolved("monitor.probes.realistic_session:RealisticSession.run"), times=1)
        async with running() as monitor:
            await until(lambda: len(monitor.journal.runs(probe="session")) >= 2, 120)
            following, broken = (stored.run for stored in monitor.journal.runs(probe="session")[-2:])
            assert (following.outcome, broken.outcome) == (Outcome.OK, Outcome.ABORTED)
            assert shown(monitor, "relay_probe_exchanges_total", outcome="failed") == 0
            assert failures(monitor, "run") == 1
            assert monitor.health.healthy
            assert shown(monitor, "relay_up", relay="ill") == 1

    @pytest.mark.parametrize(
        "path",
        [
            "monitor.pairs.pair:Pair.exchange",
            "monitor.probes.steady_messaging:PersistentPair._pair_once",
            "monitor.probes.steady_state:PersistentConnection._keep_connected",
            "monitor.probes.steady_state:IdleConnection.open",
            "monitor.pairs.tracker:DeliveryTracker.judge",
        ],
    )
    async def test_a_bug_anywhere_in_a_probe_is_counted_and_never_blamed_on_the_relay(
        self, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Some of these bugs used to be silent; the probe then said that its pair was not connected yet."""
        bug = inject(monkeypatch, *resolved(path), times=2)
        async with running() as monitor:
            await until(lambda: not bug.remaining and failures(monitor, "run") + failures(monitor, "probe") == 2, 240)
            await until(lambda: bug.calls > 2, 120)
            assert shown(monitor, "relay_probe_exchanges_total", outcome="failed") == 0
            assert shown(monitor, "relay_slo_events_total", outcome="bad") == 0
            assert monitor.health.healthy


@WITH_SOCKETS
class TestWebServer:
    @pytest.mark.parametrize(
        "path", ["monitor.web.acceptor:Acceptor._accept_connections", "monitor.web.server:_Server.main_loop"]
    )
    async def test_it_serves_again_after_a_bug(self, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
        inject(monkeypatch, *resolved(path), times=2)
        async with running() as monitor:
            web = WebServer(
                build_app(monitor.web_state(), monitor.auth), "127.0.0.1", 0, monitor.auth, monitor.supervision
            )
            await web.start()
            await until(lambda: failures(monitor, "web") == 2, 120)
            await asyncio.sleep(5)
            async with httpx.AsyncClient(trust_env=False) as client:
                response = await client.get(f"http://127.0.0.1:{web.port}/-/healthy")
            assert response.status_code == httpx.codes.OK
            await web.stop()
            assert failures(monitor, "web") == 2


class TestThreads:
    def test_a_bug_in_the_log_thread_is_counted_and_the_thread_goes_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It used to end the thread, after which no line was written any more."""
        reader, writer = os.pipe()
        stderr, bugs = Stderr(writer), list[int]()
        stderr.on_bug = lambda: bugs.append(1)
        stderr.start_queue(lambda _: None)
        with monkeypatch.context() as patch:
            patch.setattr("monitor.streams.Output.write", lambda *_: 1 / 0)
            stderr.write(b"lost\n")
            while not bugs:
                time.sleep(0.001)
        stderr.write(b"kept\n")
        assert stderr.drain()
        os.close(writer)
        with open(reader, "rb") as pipe:  # noqa: PTH123 - a descriptor
            lines = pipe.read().splitlines()
        assert b"ZeroDivisionError: division by zero" in lines
        assert lines[-1] == b"kept"
