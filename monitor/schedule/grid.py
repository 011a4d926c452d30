"""The fixed grid of a continuous probe's slots."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.wire.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.clock import Clock

REBUILDING = Backoff(minimum=1.0)
"""Between tries to make anew what the relay ended for good, or never let in: slower than a client's own returns, since
each try is a whole connect against the relay's limits."""

LATENESS = 1.0
"""Seconds a slot may start late and still count as started; later it is missed, as a scheduled job is."""


@dataclass(slots=True)
class Grid:
    """Slots at `start`, `start + period`, … on the monotonic clock; no drift, and each slot counted exactly once.

    `count` is told "started" when a slot begins in time, "skipped" for one whose predecessor was still running, and
    "missed" for one that passed while this program could not run (a blocked loop, a suspended machine). A slot that
    `admits` turns down is skipped too.
    """

    clock: Clock
    start: float
    period: float
    count: Callable[[str], None]
    admits: Callable[[], bool] = lambda: True
    _next: int = field(default=0)

    def at(self, number: int) -> float:
        """When slot `number` begins."""
        return self.start + number * self.period

    async def wait(self) -> float:
        """Wait for the next slot that can still start in time; returns its intended start."""
        # The first slot has no predecessor that could be in its way, however late its clock is read.
        busy_until = self.clock.monotonic() if self._next else self.start
        while True:
            due = self.at(self._next)
            if due < busy_until:
                # It began while the predecessor ran; many at once are counted, not played one after another.
                behind = int((busy_until - due) // self.period) + 1
                for _ in range(behind):
                    self.count("skipped")
                self._next += behind
                continue
            await asyncio.sleep(due - self.clock.monotonic())
            late = self.clock.monotonic() - due
            if late <= LATENESS:
                self._next += 1
                admitted = self.admits()
                self.count("started" if admitted else "skipped")
                if admitted:
                    return due
                continue
            behind = int((late - LATENESS) // self.period) + 1
            for _ in range(behind):
                self.count("missed")
            self._next += behind
            busy_until = min(busy_until, self.at(self._next))
