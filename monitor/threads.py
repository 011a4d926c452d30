"""Run blocking calls that may hang, each in its own daemon thread.

A hanging call cannot be stopped. In a thread pool it would block other calls and the end of the program, since asyncio
and uvloop wait for their pools.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from functools import partial
from typing import TYPE_CHECKING, TypeVar

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
