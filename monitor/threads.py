"""Run blocking calls that may hang, each in its own daemon thread.

A hanging call cannot be stopped. In a thread pool it would block other calls and the end of the program, since asyncio
and uvloop wait for their pools. `BoundedCalls` starts no second call while one of the same name hangs.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


async def run_in_thread(name: str, work: Callable[[], Result]) -> Result:
    """Return the result of `work`, called in a thread named `name`, or raise its exception.

    A cancelled caller leaves the thread running.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def deliver(result_setter: Callable[[], None]) -> None:
        if not future.done():  # cancelled meanwhile
            result_setter()

    def run() -> None:
        try:
            result_setter = partial(future.set_result, work())
        except Exception as error:  # noqa: BLE001 - raised in the caller
            result_setter = partial(future.set_exception, error)
        # The loop may be closed by now.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(deliver, result_setter)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await future


class BoundedCalls:
    """Blocking calls with a deadline, of which at most one of each name runs: a hung mount costs one thread a file."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Future[Any]] = {}

    async def call(self, name: str, work: Callable[[], Result], timeout: float) -> Result:
        """Return the result of `work`, or raise its exception; `TimeoutError` after `timeout` seconds.

        While an earlier call of this name has not returned, its result is awaited instead.
        """
        running = self._running.get(name)
        if running is None or running.get_loop() is not asyncio.get_running_loop():
            running = self._running[name] = asyncio.ensure_future(run_in_thread(name, work))
            running.add_done_callback(partial(self._ended, name))
        async with asyncio.timeout(timeout):
            result: Result = await asyncio.shield(running)
            return result

    def _ended(self, name: str, ended: asyncio.Future[Any]) -> None:
        if self._running.get(name) is ended:
            del self._running[name]
        if not ended.cancelled():
            ended.exception()  # retrieved: the caller may have given up
