"""Waits of pairs and connections: for both participants, and for what keeps a client from connecting."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from monitor.errors import RateLimitedError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from monitor.relay.client import Client

SAME_DEADLINE_SPREAD: Final = 0.01
"""Seconds within which all timers of one deadline have fired."""


async def wait_for_both(*waits: Coroutine[None, None, None]) -> None:
    """Run the waits of both participants concurrently; cancel the other one as soon as one fails.

    Raises the first failure; of two at the same moment, as at a common deadline, that of the first argument.
    """
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        if pending:
            await asyncio.wait(pending, timeout=SAME_DEADLINE_SPREAD)
    finally:
        for task in tasks:
            task.cancel()
    failures = [task.exception() for task in tasks if task.done() and not task.cancelled()]
    for failure in failures:
        if failure is not None:
            raise failure


def is_withheld(client: Client) -> bool:
    """Return whether limits of this program or the relay's Retry-After keep the next connect of a client back."""
    return client.awaiting_permit or isinstance(client.error, RateLimitedError)
