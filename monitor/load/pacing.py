"""When each pair or connection starts and disconnects: evenly spread, and none waits for another."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from monitor.schedule.spread import Pacer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from monitor.clock import Clock
    from monitor.load.plan import Plan

MAX_DISCONNECT_SPREAD: Final = 30.0
"""Seconds over which the disconnects at the end are spread; fewer if the ramp-up was shorter."""

MAX_DISCONNECT_RATE: Final = 1000
"""Disconnects a second at most."""


async def run_paced(plan: Plan, clock: Clock, began: float, run_one: Callable[[int], Awaitable[None]]) -> None:
    """Call `run_one` with the number of each of this worker's pairs or connections, each at its start after `began`.

    No start waits for another's connect. Returns when all are done. If cancelled, cancels all of them and waits until
    they have ended.
    """

    async def one(number: int) -> None:
        with suppress(asyncio.CancelledError):  # the test was stopped; recorded so far
            await run_one(number)

    running: set[asyncio.Task[None]] = set()
    try:
        for number in plan.numbers:
            await asyncio.sleep(max(0.0, began + plan.start_of(number) - clock.monotonic()))
            task = asyncio.ensure_future(one(number))
            running.add(task)
            task.add_done_callback(running.discard)
        while running:
            await asyncio.wait(running)
    finally:
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)


def disconnect_pacer(plan: Plan, clock: Clock) -> Pacer:
    """Return what spreads the disconnects at the end of a test, so that they are no burst."""
    count = max(1, len(plan.numbers))
    return Pacer(clock, max(min(plan.ramp_up, MAX_DISCONNECT_SPREAD) / count, 1 / MAX_DISCONNECT_RATE))
