"""A fixed grid of slots on the monotonic clock, and a timer that waits for them."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.clock import Clock

START_TOLERANCE: Final = 1.0
"""Seconds by which a slot may start late; after that it is missed."""


class Grid:
    """Slots at `first`, `first + period`, …, each consumed once. All values are seconds on the monotonic clock."""

    def __init__(self, first: float, period: float) -> None:
        self._first = first
        self._period = period
        self.consumed = 0

    @property
    def upcoming(self) -> float:
        """When the first slot begins that is not consumed."""
        return self.at(self.consumed)

    @property
    def latest(self) -> float:
        """When the newest consumed slot begins."""
        return self.at(self.consumed - 1)

    def consume(self, until: float) -> int:
        """Consume every slot that begins at or before `until`; returns their number."""
        count = max(self.consumed, int((until - self._first) // self._period) + 1)
        # The quotient of two floats may fall just short of a whole number that the product reaches.
        if self.at(count) <= until:
            count += 1
        number, self.consumed = count - self.consumed, count
        return number

    def at(self, index: int) -> float:
        """Return when the slot of this index begins; the first one has index 0."""
        # A product, not a sum of periods: rounding errors do not add up.
        return self._first + index * self._period


class GridTimer:
    """Waits for the slots of a grid and counts each of them once.

    `count` is called with "started" for a slot that begins in time, "skipped" for one that begins while the caller is
    still busy with an earlier one, and "missed" for one that passes while the event loop is blocked or the machine
    suspended. A slot for which `admits` returns false is skipped too. `on_skipped` is called with the beginning of each
    skipped slot.
    """

    def __init__(
        self,
        clock: Clock,
        grid: Grid,
        count: Callable[[str], None] = lambda _: None,
        admits: Callable[[], bool] = lambda: True,
        on_skipped: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._grid = grid
        self._count = count
        self._admits = admits
        self._on_skipped = on_skipped

    async def wait(self, busy_until: float = math.inf) -> float:
        """Wait for the next slot that can start in time; returns when it begins, in seconds on the monotonic clock.

        `busy_until` is when the caller was done with its slot, if that is earlier than now: a caller that only waits
        for a time is not busy while the event loop is blocked.
        """
        grid = self._grid
        # The caller cannot be busy before its first slot, however late this is called.
        busy_until = min(self._clock.monotonic(), busy_until) if grid.consumed else grid.upcoming
        while True:
            due = grid.upcoming
            if due < busy_until:
                first = grid.consumed
                for index in range(first, first + grid.consume(busy_until)):
                    self._skip(grid.at(index))
                continue
            await asyncio.sleep(due - self._clock.monotonic())
            now = self._clock.monotonic()
            if now - due > START_TOLERANCE:
                for _ in range(grid.consume(now - START_TOLERANCE)):
                    self._count("missed")
                busy_until = min(busy_until, grid.upcoming)
                continue
            grid.consume(due)
            if self._admits():
                self._count("started")
                return due
            self._skip(due)

    def _skip(self, due: float) -> None:
        self._count("skipped")
        self._on_skipped(due)
