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


class Self:
    """A monitor's health on virtual time; `loopback` and `network` are what is found when it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *references: str) -> None:
        self.clock = LoopClock()
        self.changes: list[bool] = []
        self.loopback: str | None = None
        self.network: str | None = None
        self.asked = 0
        self.elsewhere = False
        self.health = SelfCheck(
            self.clock,
            on_lag=lambda _: None,
            on_change=self.changes.append,
            references=references,
            delivers_elsewhere=lambda _: self.elsewhere,
        )
        monkeypatch.setattr(self_check, "loopback_failed", self._loop_back)
        monkeypatch.setattr(References, "unreachable", lambda _: self._reach())

    async def _loop_back(self, clock: LoopClock) -> str | None:
        assert clock is self.clock
        self.asked += 1
        await asyncio.sleep(0.5)
        return self.loopback

    async def _reach(self) -> str | None:
        await asyncio.sleep(1)
        return self.network


@pytest.fixture
async def me(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Self]:
    made = Self(monkeypatch)
    yield made
    await made.health.stop()


@WITHOUT_SOCKETS
class TestSigns:
    async def test_a_sign_holds_for_a_while_and_another_one_longer(self, me: Self) -> None:
        me.health.start()
        me.health.mark_unhealthy("test", "one")
        await asyncio.sleep(10)
        me.health.mark_unhealthy("other", "two")
        assert (me.health.healthy, me.health.reasons) == (False, ["one", "two"])
        await asyncio.sleep(6)
        assert me.health.reasons == ["two"]
        await asyncio.sleep(10)
        assert (me.health.healthy, me.health.reasons, me.changes) == (True, [], [False, True])

    async def test_a_clock_that_steps_is_a_sign(self, me: Self) -> None:
        me.health.start()
        await asyncio.sleep(2)
        me.clock.step(-3600)
        await asyncio.sleep(1.5)
        assert me.health.reasons == ["wall clock stepped by -3600.0 s"]

    async def test_a_loop_that_is_blocked_is_known_before_its_watch_wakes_up(self, me: Self) -> None:
        me.health.start()
        await asyncio.sleep(2.1)
        block_loop(3.0)
        me.health.check_loop_lag()
        (why,) = me.health.reasons
        assert why.startswith("event loop blocked for 3.")


@WITHOUT_SOCKETS
class TestTheQuestion:
    async def test_where_all_is_well_it_is_not_ours(self, me: Self) -> None:
        assert not await me.health.is_local_fault(REFUSED)
        assert (me.asked, me.changes) == (1, [])

    async def test_a_loopback_that_fails_is_ours(self, me: Self) -> None:
        me.loopback = "loopback check failed: publish: silent"
        assert await me.health.is_local_fault(REFUSED)
        assert me.health.reasons == [me.loopback]
        assert me.changes == [False]

    async def test_references_that_all_fail_make_it_ours_until_one_answers(self, me: Self) -> None:
        me.health.start()
        me.network = "no reference reachable: a:1: no answer within 2 s"
        assert await me.health.is_local_fault(REFUSED)
        await asyncio.sleep(60)
        assert me.health.reasons == [me.network]
        me.network = None
        await asyncio.sleep(25)
        assert (me.health.healthy, me.changes) == (True, [False, True])

    async def test_many_who_ask_at_once_are_answered_together(self, me: Self) -> None:
        answers = await asyncio.gather(*(me.health.is_local_fault(REFUSED) for _ in range(20)))
        assert (answers, me.asked) == ([False] * 20, 1)
        await me.health.is_local_fault(REFUSED)
        assert me.asked == 1, "it has just been found"
        await asyncio.sleep(3)
        await me.health.is_local_fault(REFUSED)
        assert me.asked == 2

    async def test_one_who_gives_up_waiting_does_not_end_it_for_others(self, me: Self) -> None:
        impatient = asyncio.ensure_future(me.health.is_local_fault(REFUSED))
        patient = asyncio.ensure_future(me.health.is_local_fault(REFUSED))
        me.network = "no reference reachable: a:1: no answer within 2 s"
        await asyncio.sleep(0.1)
        impatient.cancel()
        assert await patient

    async def test_what_is_known_already_is_answered_at_once(self, me: Self) -> None:
        me.health.mark_unhealthy("test", "why")
        assert await me.health.is_local_fault(REFUSED)
        assert me.asked == 0

    async def test_no_way_out_of_this_machine_is_ours_where_there_is_nobody_to_ask(self, me: Self) -> None:
        assert await me.health.is_local_fault(NO_ROUTE)
        assert me.health.reasons == ["no network: no local route"]

    async def test_no_way_to_one_relay_is_not_where_others_answer(self, me: Self) -> None:
        me.elsewhere = True
        assert not await me.health.is_local_fault(NO_ROUTE)

    async def test_with_references_their_word_counts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        me = Self(monkeypatch, "a.example:443", "b.example:443")
        assert me.health.references == ("a.example:443", "b.example:443")
        assert not await me.health.is_local_fault(NO_ROUTE)


class TestLoopback:
    async def test_a_message_over_a_relay_of_this_process_crosses_soon(self) -> None:
        before = asyncio.all_tasks()
        started = time.monotonic()
        assert await loopback_failed(SYSTEM_CLOCK) is None
        assert time.monotonic() - started < 3
        await asyncio.sleep(0.05)
        assert asyncio.all_tasks() == before

    async def test_a_proxy_of_this_machine_is_not_in_its_way(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        assert await loopback_failed(SYSTEM_CLOCK) is None

    async def test_where_no_message_crosses_it_says_why(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("monitor.embedded.server.PATH", "/nowhere")
        monkeypatch.setattr("monitor.health.loopback.TIMEOUT", 0.3)

        async def deaf(*_: object) -> None:
            """Hear of no connection."""

        monkeypatch.setattr("monitor.embedded.server.EmbeddedRelay._handle", deaf)
        why = await loopback_failed(SYSTEM_CLOCK)
        assert why is not None
        assert why.startswith("loopback check failed: hello: ")
