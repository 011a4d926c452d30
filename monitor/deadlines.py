"""Many deadlines on one timer of the event loop, for waits that nearly always end in time.

A timer for each wait would be set and cancelled every time, or wake the program for nothing: 3 % more CPU an exchange.
"""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush, heapreplace
from itertools import count
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from monitor.clock import Clock

TIMER_RESOLUTION: Final = 0.001
"""Least seconds of a timer: uvloop's have a resolution of 1 ms and may fire that much early."""

MAX_CHECKS_PER_CALLBACK: Final = 200
"""Entries checked in one callback of the event loop, which blocks everything else."""


class Waiter(Protocol):
    """Waits for one thing after another."""

    def due(self) -> float | None:
        """Return the earliest deadline of what it waits for, on the monotonic clock, or None. Never raises."""

    def overdue(self) -> None:
        """The deadline has passed."""


class Deadlines:
    """The deadlines of one event loop. Each waiter has one entry, which stays until its time or an earlier one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: list[tuple[float, int, Waiter]] = []  # a heap
        self._check_at: dict[Waiter, float] = {}  # time of each waiter's valid entry
        self._serial = count()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    @property
    def count(self) -> int:
        """Number of entries."""
        return len(self._entries)

    def add(self, due: float, waiter: Waiter) -> None:
        """Call `waiter.overdue` once `due` has passed, in seconds of the monotonic clock, if it still waits then."""
        check_at = self._check_at.get(waiter)
        if check_at is not None and check_at <= due:
            return  # `due` is asked again at that time
        self._check_at[waiter] = due
        heappush(self._entries, (due, next(self._serial), waiter))
        if self._timer is None or due < self._timer_at:
            self._set_timer(due)

    def _set_timer(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        delay = max(TIMER_RESOLUTION, due - self._clock.monotonic())
        self._timer, self._timer_at = asyncio.get_running_loop().call_later(delay, self._check), due

    def _check(self) -> None:
        """Check the entries in order until one lies in the future; most waiters wait for nothing any more."""
        self._timer = None
        now = self._clock.monotonic()
        for _ in range(MAX_CHECKS_PER_CALLBACK):
            if not self._entries:
                return
            check_at, _, waiter = self._entries[0]
            due = waiter.due() if self._check_at.get(waiter) == check_at else None  # else the entry is superseded
            if due is not None and due > now:
                if due <= check_at:
                    self._set_timer(due)
                    return
                self._check_at[waiter] = due
                heapreplace(self._entries, (due, next(self._serial), waiter))
                continue
            heappop(self._entries)
            if self._check_at.get(waiter) == check_at:
                del self._check_at[waiter]
            if due is not None:
                # In a callback of its own, so that an exception stops no other waiter.
                asyncio.get_running_loop().call_soon(self._notify, waiter, due)
        if self._entries:
            self._set_timer(now)

    def _notify(self, waiter: Waiter, due: float) -> None:
        try:
            waiter.overdue()
        finally:
            next_due = waiter.due()
            if next_due is not None and next_due > due:
                self.add(next_due, waiter)
