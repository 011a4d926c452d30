"""Many deadlines on one timer, for what nearly always comes in time.

A timer of its own for each would have to be set and cancelled every time, or would wake the program for nothing.
"""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush, heapreplace
from itertools import count
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from monitor.clock import Clock

MOMENT: Final = 0.001
"""Seconds a timer waits at least: uvloop's count whole milliseconds, and may fire that much early."""

TURN: Final = 200
"""How many are looked at in one turn of the event loop, in which nothing else can be."""


class Waiting(Protocol):
    """Somebody who waits, for one thing after another."""

    def due(self) -> float | None:
        """When the first of what is waited for is due, on the monotonic clock; None: nothing is. Never raises."""

    def overdue(self) -> None:
        """That time has passed."""


class Deadlines:
    """The deadlines of one event loop: of each who waits one entry, which stays until its time at the longest."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: list[tuple[float, int, Waiting]] = []  # a heap
        self._looks: dict[Waiting, float] = {}  # when each is looked at
        self._serial = count()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    @property
    def count(self) -> int:
        """How many entries there are."""
        return len(self._entries)

    def add(self, due: float, waiting: Waiting) -> None:
        """Tell `waiting` when `due`, in seconds of the monotonic clock, has passed, if it still waits then."""
        look = self._looks.get(waiting)
        if look is not None and look <= due:
            return  # it is asked by then what it waits for
        self._looks[waiting] = due
        heappush(self._entries, (due, next(self._serial), waiting))
        if self._timer is None or due < self._timer_at:
            self._set(due)

    def _set(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer, self._timer_at = loop.call_later(max(MOMENT, due - self._clock.monotonic()), self._look), due

    def _look(self) -> None:
        """Ask who is next, until that is somebody whose time is yet to come; most wait for nothing any more."""
        self._timer = None
        now = self._clock.monotonic()
        for _ in range(TURN):
            if not self._entries:
                return
            look, _, waiting = self._entries[0]
            due = waiting.due() if self._looks.get(waiting) == look else None  # else it has an earlier entry, or had
            if due is not None and due > now:
                if due <= look:
                    self._set(due)
                    return
                self._looks[waiting] = due
                heapreplace(self._entries, (due, next(self._serial), waiting))
                continue
            heappop(self._entries)
            if self._looks.get(waiting) == look:
                del self._looks[waiting]
            if due is not None:
                asyncio.get_running_loop().call_soon(
                    self._tell, waiting, due
                )  # what goes wrong in it stops nobody else
        if self._entries:
            self._set(now)

    def _tell(self, waiting: Waiting, due: float) -> None:
        try:
            waiting.overdue()
        finally:
            later = waiting.due()
            if later is not None and later > due:
                self.add(later, waiting)
