"""Start, reload and stop in every order: one at a time, nothing after the stop, and an answer to each request."""

from __future__ import annotations

import asyncio
from itertools import product
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.daemon.lifecycle import (
    CANCEL_TIMEOUT,
    INTERRUPT_TIMEOUT,
    STOP_TIMEOUT,
    TRANSITIONS,
    Action,
    Event,
    Lifecycle,
    Phase,
    StoppingError,
)
from monitor.errors import MisuseError, MonitorError, StartupError
from tests.virtual_time import WITHOUT_SOCKETS, run_in_virtual_time

if TYPE_CHECKING:
    from collections.abc import Coroutine

RUNS_NOTHING = {Phase.NEW, Phase.RUNNING, Phase.STOPPED}


class Parts:
    """Parts that take some time and note what happens. `stubborn`: seconds for which they go on when cancelled."""

    def __init__(self, *, start: float = 1, reload: float = 1, stop: float = 1, stubborn: float = 0) -> None:
        self.durations = {"start": start, "reload": reload, "stop": stop}
        self.stubborn = stubborn
        self.failing: set[str] = set()
        self.noted: list[tuple[float, str]] = []
        self.running: list[str] = []
        self.hurried = asyncio.Event()
        self.lifecycle = Lifecycle(self)

    async def start_parts(self) -> None:
        await self.work("start")

    async def reload_parts(self) -> None:
        await self.work("reload")

    async def stop_parts(self) -> None:
        self.note("stop")
        async with asyncio.TaskGroup() as group:
            hurried = group.create_task(self.hurried.wait())
            await asyncio.wait({hurried}, timeout=self.durations["stop"])
            hurried.cancel()
        self.note("stopped")

    def hurry_stop(self) -> None:
        self.hurried.set()

    async def work(self, name: str) -> None:
        self.note(name)
        self.running.append(name)
        try:
            await asyncio.sleep(self.durations[name])
            if name in self.failing:
                raise StartupError(f"the {name} fails")
        except asyncio.CancelledError:
            await asyncio.sleep(self.stubborn)
            raise
        finally:
            self.running.remove(name)
            self.note(f"{name} ended")

    def note(self, what: str) -> None:
        self.noted.append((asyncio.get_running_loop().time(), what))

    def at(self, what: str) -> list[float]:
        return [time for time, noted in self.noted if noted == what]


async def result_of(work: Coroutine[None, None, None]) -> str:
    try:
        await work
    except MonitorError as error:
        return str(error)
    return "done"


def request(work: Coroutine[None, None, None]) -> asyncio.Task[str]:
    return asyncio.create_task(result_of(work))


class TestTable:
    def test_each_request_is_handled_in_each_phase(self) -> None:
        requests = {Event.START, Event.RELOAD, Event.STOP}
        ends = {Event.ENDED, Event.FAILED}
        expected = {*product(Phase, requests), *product(set(Phase) - RUNS_NOTHING, ends)}
        assert set(TRANSITIONS) == expected

    def test_no_transition_leaves_the_stop(self) -> None:
        order = [Phase.INTERRUPTING, Phase.STOPPING, Phase.STOPPED]
        for (phase, _), (following, action) in TRANSITIONS.items():
            if phase in order:
                assert following in order[order.index(phase) :]
                assert action not in {Action.START, Action.RELOAD, Action.DEFER}


@WITHOUT_SOCKETS
class TestOrders:
    async def test_a_reload_during_the_start_runs_after_it(self) -> None:
        parts = Parts()
        starting = request(parts.lifecycle.start())
        await asyncio.sleep(0.5)
        first, second = request(parts.lifecycle.reload()), request(parts.lifecycle.reload())
        assert {await starting, await first, await second} == {"done"}
        assert parts.noted == [(0, "start"), (1, "start ended"), (1, "reload"), (2, "reload ended")]
        await parts.lifecycle.stop()

    async def test_a_reload_before_the_start_runs_after_it(self) -> None:
        parts = Parts()
        reloading = request(parts.lifecycle.reload())
        await asyncio.sleep(5)
        assert parts.noted == []
        await parts.lifecycle.start()
        assert await reloading == "done"
        assert parts.at("reload") == [6]
        await parts.lifecycle.stop()

    async def test_many_reloads_are_two_at_most(self) -> None:
        """The one that runs may have read the old file, so that one more follows; it reads all later changes."""
        parts = Parts()
        await parts.lifecycle.start()
        requests = []
        for _ in range(50):
            requests.append(request(parts.lifecycle.reload()))
            await asyncio.sleep(0.01)
        assert set(await asyncio.gather(*requests)) == {"done"}
        assert parts.at("reload") == [1, 2]
        await parts.lifecycle.stop()

    async def test_a_failed_reload_fails_its_requests_only(self) -> None:
        parts = Parts()
        await parts.lifecycle.start()
        parts.failing.add("reload")
        failing = request(parts.lifecycle.reload())
        await asyncio.sleep(0.5)
        following = request(parts.lifecycle.reload())
        assert await failing == "the reload fails"
        parts.failing.clear()
        assert await following == "done"
        assert parts.lifecycle.is_ready
        await parts.lifecycle.stop()

    async def test_a_cancelled_request_does_not_cancel_the_reload(self) -> None:
        parts = Parts()
        await parts.lifecycle.start()
        first, second = request(parts.lifecycle.reload()), request(parts.lifecycle.reload())
        await asyncio.sleep(0.5)
        first.cancel()
        second.cancel()
        await asyncio.sleep(2)
        assert parts.at("reload ended") == [2, 3]
        await parts.lifecycle.stop()

    async def test_a_failed_start_stops_the_parts(self) -> None:
        parts = Parts()
        parts.failing.add("start")
        reloading = request(parts.lifecycle.reload())
        assert await result_of(parts.lifecycle.start()) == "the start fails"
        assert await reloading == "the monitor is stopping"
        await parts.lifecycle.wait_stopped()
        assert parts.at("stopped") == [2]

    async def test_a_stop_waits_for_a_reload_that_ends_soon(self) -> None:
        parts = Parts(reload=INTERRUPT_TIMEOUT - 0.5)
        await parts.lifecycle.start()
        reloading = request(parts.lifecycle.reload())
        await asyncio.sleep(0)
        deferred = request(parts.lifecycle.reload())
        await asyncio.sleep(0)
        await parts.lifecycle.stop()
        assert (await reloading, await deferred) == ("done", "the monitor is stopping")
        assert parts.at("reload ended") == parts.at("stop") == [1 + INTERRUPT_TIMEOUT - 0.5]

    async def test_a_reload_that_takes_longer_is_cancelled_before_the_stop(self) -> None:
        parts = Parts(reload=60, stubborn=CANCEL_TIMEOUT / 2)
        await parts.lifecycle.start()
        reloading = request(parts.lifecycle.reload())
        await asyncio.sleep(0)
        await parts.lifecycle.stop()
        assert await reloading == "the monitor is stopping"
        assert parts.at("reload ended") == parts.at("stop") == [1 + INTERRUPT_TIMEOUT + CANCEL_TIMEOUT / 2]

    async def test_a_reload_that_does_not_end_is_abandoned(self) -> None:
        parts = Parts(reload=60, stubborn=60)
        await parts.lifecycle.start()
        reloading = request(parts.lifecycle.reload())
        await asyncio.sleep(0)
        await parts.lifecycle.stop()
        assert await reloading == "the monitor is stopping"
        assert parts.at("stop") == [1 + INTERRUPT_TIMEOUT + CANCEL_TIMEOUT]

    async def test_a_stop_during_the_start_cancels_it(self) -> None:
        parts = Parts(start=60)
        starting = request(parts.lifecycle.start())
        await asyncio.sleep(1)
        await parts.lifecycle.stop()
        assert await starting == "the monitor is stopping"
        assert parts.at("stop") == [1 + INTERRUPT_TIMEOUT]

    async def test_a_second_request_to_stop_cancels_at_once_and_shortens_the_stop(self) -> None:
        parts = Parts(start=60, stop=8)
        starting = request(parts.lifecycle.start())
        await asyncio.sleep(1)
        parts.lifecycle.request_stop()
        await asyncio.sleep(0.5)
        parts.lifecycle.request_stop()
        await asyncio.sleep(0.5)
        parts.lifecycle.request_stop()
        await parts.lifecycle.wait_stopped()
        assert await starting == "the monitor is stopping"
        assert (parts.at("stop"), parts.at("stopped")) == ([1.5], [2])

    async def test_a_stop_that_takes_too_long_is_cut_off(self) -> None:
        parts = Parts(reload=60, stop=60)
        await parts.lifecycle.start()
        reloading = request(parts.lifecycle.reload())
        await asyncio.sleep(0)
        await parts.lifecycle.stop()
        await reloading
        assert asyncio.get_running_loop().time() == 1 + STOP_TIMEOUT

    async def test_nothing_starts_after_the_stop(self) -> None:
        parts = Parts()
        await parts.lifecycle.stop()
        with pytest.raises(StoppingError):
            await parts.lifecycle.start()
        with pytest.raises(StoppingError):
            await parts.lifecycle.reload()
        await parts.lifecycle.stop()
        assert [what for _, what in parts.noted] == ["stop", "stopped"]

    async def test_a_daemon_starts_once(self) -> None:
        parts = Parts()
        await parts.lifecycle.start()
        with pytest.raises(MisuseError):
            await parts.lifecycle.start()
        await parts.lifecycle.stop()


REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(["start", "reload", "reload", "stop", "cancel"]),
        st.floats(0, 4).map(lambda seconds: round(seconds, 1)),
    ),
    max_size=12,
)
DURATION = st.sampled_from([0, 0.1, 1, 3, 30])


@given(
    requests=REQUESTS,
    start=DURATION,
    reload=DURATION,
    stop=DURATION,
    stubborn=DURATION,
    failing=st.sets(st.sampled_from(["start", "reload"])),
)
def test_random_orders(
    requests: list[tuple[str, float]], start: float, reload: float, stop: float, stubborn: float, failing: set[str]
) -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        parts = Parts(start=start, reload=reload, stop=stop, stubborn=stubborn)
        parts.failing = failing
        lifecycle = parts.lifecycle
        replies: list[asyncio.Task[str]] = []
        stop_requested_at = None
        for what, delay in requests:
            match what:
                case "start":
                    replies.append(request(lifecycle.start()))
                case "reload":
                    replies.append(request(lifecycle.reload()))
                case "stop":
                    stop_requested_at = loop.time() if stop_requested_at is None else stop_requested_at
                    lifecycle.request_stop()
                case "cancel" if replies:
                    replies[-1].cancel()
            await asyncio.sleep(delay)
            if stubborn <= CANCEL_TIMEOUT:
                assert len(parts.running) <= 1
        stopped_at = stop_requested_at if stop_requested_at is not None else loop.time()
        await lifecycle.stop()
        if "start" in failing and parts.at("start ended"):
            stopped_at = min(stopped_at, *parts.at("start ended"))
        assert max(parts.at("stopped"), default=stopped_at) <= stopped_at + STOP_TIMEOUT
        ended = await asyncio.gather(*replies, return_exceptions=True)
        allowed = {"done", "the monitor is stopping", "the start fails", "the reload fails", "a daemon starts once"}
        assert {reply for reply in ended if not isinstance(reply, asyncio.CancelledError)} <= allowed
        (stopped,) = parts.at("stop")
        assert [what for time, what in parts.noted if time > stopped and what in {"start", "reload"}] == []
        assert len(parts.at("start")) <= 1
        if parts.at("reload"):
            assert parts.at("reload")[0] >= parts.at("start ended")[0]
        assert lifecycle.phase is Phase.STOPPED
        await asyncio.sleep(100)  # for what was abandoned
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_in_virtual_time(check())
