"""What may hang goes on beside the loop, and hands back what came of it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from monitor.threads import run_in_thread


async def test_a_result_comes_back_from_a_daemon_thread_of_that_name() -> None:
    def who() -> tuple[str, bool]:
        return threading.current_thread().name, threading.current_thread().daemon

    assert await run_in_thread("read of a file", who) == ("read of a file", True)


async def test_what_is_raised_is_raised_where_it_is_waited_for() -> None:
    def fail() -> None:
        raise OSError("no such file")

    with pytest.raises(OSError, match="no such file"):
        await run_in_thread("read of a file", fail)


def test_what_hangs_outlives_a_loop_without_a_word() -> None:
    release, before = threading.Event(), set(threading.enumerate())

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await run_in_thread("a read that hangs", release.wait)

    asyncio.run(give_up())
    (left,) = set(threading.enumerate()) - before
    release.set()
    left.join(5)
    assert not left.is_alive()
