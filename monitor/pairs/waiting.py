"""Waiting for both ends of a pair at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Coroutine

ONE_MOMENT: Final = 0.01
"""Seconds within which two timers of one deadline have both fired."""


async def both(*waits: Coroutine[None, None, None]) -> None:
    """Wait for what both ends must come to; where one fails, the other is waited for no longer.

    Of two that fail at one moment, as at a common deadline, the first is raised.
    """
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        _, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        if rest:
            await asyncio.wait(rest, timeout=ONE_MOMENT)
    finally:
        for task in tasks:
            task.cancel()
    failures = [task.exception() for task in tasks if task.done() and not task.cancelled()]
    for failure in failures:
        if failure is not None:
            raise failure
