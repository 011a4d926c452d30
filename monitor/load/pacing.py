"""When each pair or connection starts, and when it leaves: evenly, never together, never waiting for another."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from monitor.clock import Clock
    from monitor.load.plan import Plan

LEAVING: Final = 30.0
"""Seconds over which the disconnects at the end are spread at most; else they are as far apart as the starts."""

FASTEST: Final = 1000
"""Disconnects a second at most."""


async def paced(plan: Plan, clock: Clock, began: float, play: Callable[[int], Awaitable[None]]) -> None:
    """Play each of this worker's pairs or connections by its number, each from its own moment after `began` on.

    Starts wait for no other's connect or answer. Returns when all are done; cancelled, it cancels them all and waits
    until they have come to their end.
    """

    async def one(number: int) -> None:
        with suppress(asyncio.CancelledError):  # stopped, and booked as far as it came
            await play(number)

    playing: set[asyncio.Task[None]] = set()
    try:
        for number in plan.numbers:
            await asyncio.sleep(max(0.0, began + plan.start_of(number) - clock.monotonic()))
            task = asyncio.ensure_future(one(number))
            playing.add(task)
            task.add_done_callback(playing.discard)
        while playing:
            await asyncio.wait(playing)
    finally:
        for task in playing:
            task.cancel()
        if playing:
            await asyncio.wait(playing)


class Door:
    """The way out: lets one after another leave, so that the end of a test is no burst."""

    def __init__(self, plan: Plan, clock: Clock) -> None:
        count = max(1, len(plan.numbers))
        self._gap = max(min(plan.ramp_up, LEAVING) / count, 1 / FASTEST)
        self._clock = clock
        self._next = 0.0

    async def pass_through(self) -> None:
        """Wait for a turn."""
        now = self._clock.monotonic()
        turn = max(now, self._next)
        self._next = turn + self._gap
        await asyncio.sleep(turn - now)
