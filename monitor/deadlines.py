"""Many deadlines on one timer, for what nearly always comes in time.

A timer of its own for each would have to be set and cancelled every time, or would wake the program for nothing.
"""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from monitor.clock import Clock

MOMENT: Final = 0.001
"""Seconds a timer waits at least: uvloop's count whole milliseconds, and may fire that much early."""


TURN: Final = 200
"""How many are looked at in one turn of the event loop, in which nothing else can be."""


class Waiting(Protocol):
    """Somebody who waits for something."""

    def done(self) -> bool:
        """Whether nothing is waited for any more; cheap, and never raises."""

    def overdue(self) -> None:
        """A deadline has passed and it was not done; what it waits for by now may have another."""


class Deadlines:
    """The deadlines of one event loop. What is added stays, at the longest, until its deadline."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, Waiting]] = []  # a heap
        self._serial = count()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    @property
    def count(self) -> int:
        """How many are remembered."""
        return len(self._due)

    def add(self, due: float, waiting: Waiting) -> None:
        """Tell `waiting` when `due`, in seconds of the monotonic clock, has passed, unless it is done by then."""
        heappush(self._due, (due, next(self._serial), waiting))
        if self._timer is None or due < self._timer_at:
            self._set(due)

    def _set(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer, self._timer_at = loop.call_later(max(MOMENT, due - self._clock.monotonic()), self._look), due

    def _look(self) -> None:
        """Forget who is done, from the front; most of those behind are done too."""
        self._timer = None
        now = self._clock.monotonic()
        for _ in range(TURN):
            if not self._due:
                return
            due, _, waiting = self._due[0]
            if not waiting.done():
                if due > now:
                    self._set(due)
                    return
                asyncio.get_running_loop().call_soon(waiting.overdue)  # what goes wrong in it stops nobody else
            heappop(self._due)
        if self._due:
            self._set(now)
