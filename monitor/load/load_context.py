"""What all pairs and connections of one load test share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.clock import Clock
    from monitor.load.plan import Plan
    from monitor.load.statistics import LoadStatistics
    from monitor.pairs.context import ProbeContext
    from monitor.pairs.uptime import UptimeMeter
    from monitor.schedule.spread import Pacer


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadContext:
    """What all pairs and connections of one load test share. Times are seconds of the monotonic clock."""

    plan: Plan
    probe_context: ProbeContext
    statistics: LoadStatistics
    clock: Clock
    disconnect_pacer: Pacer
    uptime: UptimeMeter
    began: float

    @property
    def end_time(self) -> float:
        """When the test ends: its duration begins after the ramp-up."""
        return self.began + self.plan.ramp_up + self.plan.duration

    def start_of(self, number: int) -> float:
        """Return when a pair or connection should start.

        It may start late, or early by the millisecond that uvloop rounds timers to.
        """
        return self.began + self.plan.start_of(number)

    async def sleep_until(self, when: float) -> None:
        """Sleep until the clock reads `when`."""
        await asyncio.sleep(max(0.0, when - self.clock.monotonic()))
