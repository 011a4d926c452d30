"""Virtual time for the schedule: looptime moves the loop, and APScheduler reads the same clock."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

import apscheduler.schedulers.base
import pytest

from monitor.clock import LoopClock
from monitor.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from monitor.config import Cron, Every


@pytest.fixture(scope="session", autouse=True)
def _no_stray_loop() -> None:
    """looptime's plugin asks for the current loop around every test, which makes one, and leaks it, unless told not."""
    asyncio.set_event_loop(None)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> LoopClock:
    """A clock on the loop's time; APScheduler, which asks `datetime` for the time, gets it from here."""
    clock = LoopClock(epoch=datetime(2024, 5, 1, 12, tzinfo=UTC).timestamp())

    class VirtualDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(clock.time(), tz)

    monkeypatch.setattr(apscheduler.schedulers.base, "datetime", VirtualDatetime)
    return clock


def block_loop(seconds: float) -> None:
    """Let virtual time pass while the loop, blocked, runs nothing."""
    loop = asyncio.get_running_loop()
    loop.setup_looptime(start=loop.time() + seconds)  # type: ignore[attr-defined]


class ProbeContext:
    """A schedule of one probe, with what came of it."""

    def __init__(self, clock: LoopClock, seed: str = "here") -> None:
        self.clock = clock
        self.results: Counter[str] = Counter()
        self.slots: list[datetime] = []
        self.starts: list[float] = []
        self.schedule = Schedule(clock=clock, on_result=self._tell, seed=seed)

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

    def _tell(self, relay: str, probe: str, result: str) -> None:
        assert (relay, probe) == ("demo", "offline")
        self.results[result] += 1


@pytest.fixture
def context(clock: LoopClock) -> ProbeContext:
    return ProbeContext(clock)
