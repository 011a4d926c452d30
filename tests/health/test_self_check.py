"""Self-checks: when the monitor is healthy, and whether a fault is local."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from monitor.clock import SYSTEM_CLOCK, LoopClock
from monitor.errors import LocalError, ProbeError
from monitor.health import SelfCheck, self_check
from monitor.health.loopback import loopback_failed
from monitor.health.references import References
from monitor.vocabulary import Reason, Step
from tests.virtual_time import WITHOUT_SOCKETS, block_loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NO_ROUTE = LocalError(Step.TCP, Reason.UNREACHABLE, "no local route")
REFUSED = ProbeError(Step.TCP, Reason.REFUSED)


class Checked:
    """Self-checks on virtual time; `loopback` and `network` are the results of the active checks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *references: str) -> None:
        self.clock = LoopClock()
        self.changes: list[bool] = []
        self.loopback: str | None = None
        self.network: str | None = None
        self.checks = 0
        self.delivers_elsewhere = False
        self.health = SelfCheck(
            self.clock,
            on_lag=lambda _: None,
            on_change=self.changes.append,
            references=references,
            delivers_elsewhere=lambda _: self.delivers_elsewhere,
        )
        monkeypatch.setattr(self_check, "loopback_failed", self._loop_back)
        monkeypatch.setattr(References, "unreachable", lambda _: self._reach())

    async def _loop_back(self, clock: LoopClock) -> str | None:
        assert clock is self.clock
        self.checks += 1
        await asyncio.sleep(0.5)
        return self.loopback

    async def _reach(self) -> str | None:
        await asyncio.sleep(1)
        return self.network


@pytest.fixture
async def checked(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Checked]:
    made = Checked(monkeypatch)
    yield made
    await made.health.stop()


@WITHOUT_SOCKETS
class TestPeriodicChecks:
    async def test_each_failed_check_counts_for_its_own_period(self, checked: Checked) -> None:
        checked.health.start()
        checked.health.mark_unhealthy("test", "one")
        await asyncio.sleep(10)
        checked.health.mark_unhealthy("other", "two")
        assert (checked.health.healthy, checked.health.reasons) == (False, ["one", "two"])
        await asyncio.sleep(6)
        assert checked.health.reasons == ["two"]
        await asyncio.sleep(10)
        assert (checked.health.healthy, checked.health.reasons, checked.changes) == (True, [], [False, True])

    async def test_a_step_of_the_wall_clock_is_reported(self, checked: Checked) -> None:
        checked.health.start()
        await asyncio.sleep(2)
        checked.clock.step(-3600)
        await asyncio.sleep(1.5)
        assert checked.health.reasons == ["wall clock stepped by -3600.0 s"]

    async def test_a_blocked_event_loop_is_detected_before_its_next_reading(self, checked: Checked) -> None:
        checked.health.start()
        await asyncio.sleep(2.1)
        block_loop(3.0)
        checked.health.check_loop_lag()
        (why,) = checked.health.reasons
        assert why.startswith("event loop blocked for 3.")


@WITHOUT_SOCKETS
class TestLocalFault:
    async def test_if_all_checks_pass_the_fault_is_not_local(self, checked: Checked) -> None:
        assert not await checked.health.is_local_fault(REFUSED)
        assert (checked.checks, checked.changes) == (1, [])

    async def test_if_the_loopback_fails_the_fault_is_local(self, checked: Checked) -> None:
        checked.loopback = "loopback check failed: publish: silent"
        assert await checked.health.is_local_fault(REFUSED)
        assert checked.health.reasons == [checked.loopback]
        assert checked.changes == [False]

    async def test_while_no_reference_is_reachable_the_fault_is_local(self, checked: Checked) -> None:
        checked.health.start()
        checked.network = "no reference reachable: a:1: no answer within 2 s"
        assert await checked.health.is_local_fault(REFUSED)
        await asyncio.sleep(60)
        assert checked.health.reasons == [checked.network]
        checked.network = None
        await asyncio.sleep(25)
        assert (checked.health.healthy, checked.changes) == (True, [False, True])

    async def test_concurrent_callers_share_one_check(self, checked: Checked) -> None:
        results = await asyncio.gather(*(checked.health.is_local_fault(REFUSED) for _ in range(20)))
        assert (results, checked.checks) == ([False] * 20, 1)
        await checked.health.is_local_fault(REFUSED)
        assert checked.checks == 1, "the result is still valid"
        await asyncio.sleep(3)
        await checked.health.is_local_fault(REFUSED)
        assert checked.checks == 2

    async def test_a_cancelled_caller_does_not_cancel_the_check(self, checked: Checked) -> None:
        cancelled = asyncio.ensure_future(checked.health.is_local_fault(REFUSED))
        waiting = asyncio.ensure_future(checked.health.is_local_fault(REFUSED))
        checked.network = "no reference reachable: a:1: no answer within 2 s"
        await asyncio.sleep(0.1)
        cancelled.cancel()
        assert await waiting

    async def test_an_unhealthy_monitor_is_not_checked_again(self, checked: Checked) -> None:
        checked.health.mark_unhealthy("test", "why")
        assert await checked.health.is_local_fault(REFUSED)
        assert checked.checks == 0

    async def test_without_a_route_and_references_the_fault_is_local(self, checked: Checked) -> None:
        assert await checked.health.is_local_fault(NO_ROUTE)
        assert checked.health.reasons == ["no network: no local route"]

    async def test_without_a_route_to_one_relay_only_the_fault_is_not_local(self, checked: Checked) -> None:
        checked.delivers_elsewhere = True
        assert not await checked.health.is_local_fault(NO_ROUTE)

    async def test_without_a_route_the_references_decide(self, monkeypatch: pytest.MonkeyPatch) -> None:
        checked = Checked(monkeypatch, "a.example:443", "b.example:443")
        assert checked.health.references == ("a.example:443", "b.example:443")
        assert not await checked.health.is_local_fault(NO_ROUTE)


class TestLoopback:
    async def test_a_message_is_delivered_within_seconds(self) -> None:
        before = asyncio.all_tasks()
        started = time.monotonic()
        assert await loopback_failed(SYSTEM_CLOCK) is None
        assert time.monotonic() - started < 3
        await asyncio.sleep(0.05)
        assert asyncio.all_tasks() == before

    async def test_proxy_variables_are_ignored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        assert await loopback_failed(SYSTEM_CLOCK) is None

    async def test_a_failure_is_described(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("monitor.embedded.server.PATH", "/nowhere")
        monkeypatch.setattr("monitor.health.loopback.TIMEOUT", 0.3)

        async def ignore(*_: object) -> None:
            """Ignore the connection."""

        monkeypatch.setattr("monitor.embedded.server.EmbeddedRelay._handle", ignore)
        why = await loopback_failed(SYSTEM_CLOCK)
        assert why is not None
        assert why.startswith("loopback check failed: hello: ")
