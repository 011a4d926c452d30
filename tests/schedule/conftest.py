"""Virtual time for the schedule: looptime moves the loop, and the schedule's clock reads the loop's time."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from monitor.clock import LoopClock
from monitor.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from monitor.config import Cron, Every


@pytest.fixture
def clock() -> LoopClock:
    """A clock on the loop's time."""
    return LoopClock(epoch=datetime(2024, 5, 1, 12, tzinfo=UTC).timestamp())


class ScheduledProbe:
    """A schedule of one probe, with its results and starts."""

    def __init__(
        self, clock: LoopClock, seed: str = "here", on_result: Callable[[str, str, str], None] | None = None
    ) -> None:
        self.clock = clock
        self.results: Counter[str] = Counter()
        self.slots: list[datetime] = []
        self.starts: list[float] = []
        self.schedule = Schedule(clock=clock, on_result=on_result or self._count, seed=seed)

    def add(self, schedule: Every | Cron, body: Callable[[], Awaitable[None]] | None = None) -> None:
        async def run(slot: datetime) -> None:
            self.slots.append(slot)
            self.starts.append(self.clock.monotonic())
            if body is not None:
                await body()

        self.schedule.add(relay="demo", probe="offline", schedule=schedule, run=run)

    def due(self) -> datetime:
        due = self.schedule.next_due("demo", "offline")
        assert due is not None
        return due

    async def first_slot(self) -> None:
        """Wait until just after the next slot."""
        await asyncio.sleep(self.due().timestamp() - self.clock.time() + 0.01)

    def _count(self, relay: str, probe: str, result: str) -> None:
        assert (relay, probe) == ("demo", "offline")
        self.results[result] += 1


@pytest.fixture
def context(clock: LoopClock) -> ScheduledProbe:
    return ScheduledProbe(clock)
