"""Blocking calls run in daemon threads and return their results to the event loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from monitor.threads import BoundedCalls, run_in_thread


async def test_work_runs_in_a_daemon_thread_of_that_name() -> None:
    def thread() -> tuple[str, bool]:
        return threading.current_thread().name, threading.current_thread().daemon

    assert await run_in_thread("read of a file", thread) == ("read of a file", True)


async def test_an_exception_is_raised_in_the_caller() -> None:
    def fail() -> None:
        raise OSError("no such file")

    with pytest.raises(OSError, match="no such file"):
        await run_in_thread("read of a file", fail)


def test_a_hanging_call_does_not_block_the_end_of_the_loop() -> None:
    release, before = threading.Event(), set(threading.enumerate())

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await run_in_thread("a read that hangs", release.wait)

    asyncio.run(give_up())
    (running,) = set(threading.enumerate()) - before
    release.set()
    running.join(5)
    assert not running.is_alive()


class TestBoundedCalls:
    async def test_a_hanging_call_has_one_thread_however_many_wait_for_it(self) -> None:
        release, calls, started = threading.Event(), BoundedCalls(), []

        def hang() -> str:
            started.append(threading.current_thread())
            release.wait(10)
            return "content"

        for _ in range(3):
            with pytest.raises(TimeoutError):
                await calls.call("/mnt/token", hang, 0.01)
        assert len(started) == 1
        assert await calls.call("/mnt/other", lambda: "another file", 5) == "another file"
        release.set()
        assert await calls.call("/mnt/token", lambda: "late", 5) in {"content", "late"}
        assert await calls.call("/mnt/token", lambda: "again", 5) == "again"

    async def test_an_exception_is_raised_in_each_caller(self) -> None:
        calls = BoundedCalls()

        def fail() -> None:
            raise OSError("no such file")

        results = await asyncio.gather(*(calls.call("file", fail, 5) for _ in range(3)), return_exceptions=True)
        assert [str(result) for result in results] == ["no such file"] * 3
