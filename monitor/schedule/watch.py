"""Checks of the monitor's own clocks: steps of the wall clock, lag of the event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.clock import Clock


class ClockWatch:
    """Compares the wall clock with the monotonic clock.

    `on_step` is called with the seconds by which the wall clock has moved against the monotonic clock since the last
    call, positive for forward, once that is more than `threshold`. With `sudden`, only a movement within one interval
    counts, and not one that a time server spreads over hours. A suspend appears as a step forward if the
    monotonic clock stops meanwhile, as on Linux.
    """

    def __init__(
        self,
        clock: Clock,
        on_step: Callable[[float], None],
        *,
        threshold: float = 1.0,
        interval: float = 1.0,
        sudden: bool = False,
    ) -> None:
        self._clock = clock
        self._on_step = on_step
        self._threshold = threshold
        self._interval = interval
        self._sudden = sudden
        self._offset = self._read()

    def check(self) -> None:
        """Compare the clocks once."""
        offset = self._read()
        step = offset - self._offset
        is_step = abs(step) > self._threshold
        if is_step or self._sudden:
            self._offset = offset
        if is_step:
            self._on_step(step)

    async def run(self) -> None:
        """Compare the clocks every `interval` seconds until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            self.check()

    def _read(self) -> float:
        return self._clock.time() - self._clock.monotonic()


class LoopLag:
    """Measures every `interval` seconds how late the event loop wakes a task, and calls `on_lag` with the seconds.

    A loop that is blocked for N seconds is reported as one lag of about N.
    """

    def __init__(self, clock: Clock, on_lag: Callable[[float], None], *, interval: float = 0.25) -> None:
        self._clock = clock
        self._on_lag = on_lag
        self._interval = interval

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due = self._clock.monotonic() + self._interval
            await asyncio.sleep(self._interval)
            self._on_lag(max(0.0, self._clock.monotonic() - due))
