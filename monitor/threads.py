"""Work that may hang, in a daemon thread of its own.

Nobody can stop a look-up or a read that hangs. In a pool, a few of them would hold up all others, and the end of the
program with them: asyncio and uvloop both wait for theirs.
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
    """What `work` returns, or raises, in a thread called `name`. Whoever is cancelled leaves it behind."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Result] = loop.create_future()

    def tell(outcome: Callable[[], None]) -> None:
        if not answer.done():  # else nobody waits any more
            outcome()

    def run() -> None:
        try:
            outcome = partial(answer.set_result, work())
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            outcome = partial(answer.set_exception, error)
        # The loop may be closed by the time that the work ends.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(tell, outcome)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await answer
