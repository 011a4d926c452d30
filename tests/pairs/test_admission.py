"""A guest's connects: what those who come back after an outage may take, and what they are left."""

from __future__ import annotations

import asyncio
import random

import pytest

from monitor.clock import Arrivals, LoopClock
from monitor.config import parse
from monitor.deadlines import Deadlines
from monitor.pairs.admission import ConnectPriority as Priority
from monitor.pairs.admission import RelayAdmission
from monitor.relay.rate_limit import WINDOW_SECONDS
from tests.virtual_time import WITHOUT_SOCKETS

pytestmark = WITHOUT_SOCKETS

CONFIG = """
relays: [{{name: demo, url: "ws://127.0.0.1:9/", limits: {{connects_per_minute: {limit}, messages_per_minute: 600}}}}]
probes: [{{name: probe, scenario: steady-state, connections: 1, relays: [demo], schedule: continuous}}]
"""
OUTAGE = 40
"""Seconds."""


class AdmissionHarness:
    """A guest, and who was let in when, in seconds from its beginning."""

    def __init__(self, limit: int) -> None:
        self.clock = LoopClock()
        relay = parse(CONFIG.format(limit=limit), "test", {}).relays[0]
        arrivals, deadlines = Arrivals(self.clock), Deadlines(self.clock)
        self.admission = RelayAdmission(relay, relay.url, self.clock, arrivals, deadlines, random.Random(1))
        self.entered: list[tuple[str, float]] = []
        self._began = self.clock.monotonic()

    @property
    def now(self) -> float:
        return self.clock.monotonic() - self._began

    async def enter(self, who: str, priority: Priority = Priority.PLANNED, failed_at: float | None = None) -> None:
        await self.admission.endpoint("dapp", 0, 5, priority).admit(failed_at)
        self.entered.append((who, self.now))

    async def fail(
        self, who: str, pause: float, priority: Priority = Priority.PLANNED, *, returns: bool = False
    ) -> None:
        """Try again and again, until cancelled."""
        while True:
            failed_at = self.clock.monotonic()
            await asyncio.sleep(pause)
            await self.enter(who, priority, failed_at if returns else None)

    def times(self, who: str) -> list[float]:
        return [at for name, at in self.entered if name == who]


@pytest.mark.parametrize("limit", [10, 20, 30, 60, 600])
async def test_an_outage_leaves_some_connects_to_those_who_come_back_after_it(limit: int) -> None:
    harness = AdmissionHarness(limit)
    for _ in range(min(6, limit // 4)):
        await harness.enter("confirming", Priority.CONFIRMATION)
    outage = [
        *(asyncio.ensure_future(harness.fail("returning", 0.5, returns=True)) for _ in range(6)),
        asyncio.ensure_future(harness.fail("mending", 1, Priority.RECOVERY)),
    ]
    await asyncio.sleep(OUTAGE)
    for task in outage:
        task.cancel()
    await asyncio.sleep(0)
    assert len(harness.times("returning")) <= 2 * limit / 5
    assert harness.times("mending")
    failed_at = harness.clock.monotonic() - 1
    harness.admission.mark_up()
    kept = limit // 10
    await asyncio.wait_for(asyncio.gather(*(harness.enter("back", failed_at=failed_at) for _ in range(kept))), 2)


async def test_whoever_failed_since_holds_up_nobody_who_failed_before() -> None:
    harness = AdmissionHarness(60)
    for _ in range(18):
        await harness.enter("away", failed_at=harness.clock.monotonic())
    before = harness.clock.monotonic()
    await asyncio.sleep(1)
    harness.admission.mark_up()
    await asyncio.sleep(1)
    tasks = [asyncio.ensure_future(harness.enter("since", failed_at=harness.clock.monotonic()))]
    await asyncio.sleep(0.1)
    tasks += [asyncio.ensure_future(harness.enter("before", failed_at=before)) for _ in range(6)]
    await asyncio.wait(tasks)
    assert max(harness.times("before")) < 5
    assert harness.times("since")[0] >= WINDOW_SECONDS


async def test_whoever_waits_when_it_is_found_up_comes_in_then() -> None:
    harness = AdmissionHarness(60)
    for _ in range(18):
        await harness.enter("away", failed_at=harness.clock.monotonic())
    waiting = asyncio.ensure_future(harness.enter("waiting", failed_at=harness.clock.monotonic()))
    await asyncio.sleep(5)
    assert harness.times("waiting") == []
    harness.admission.mark_up()
    await waiting
    assert harness.times("waiting")[0] <= 6


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
async def test_even_the_smallest_limit_lets_whoever_was_away_come_back_and_is_kept_to(limit: int) -> None:
    harness = AdmissionHarness(limit)
    outage = [
        *(asyncio.ensure_future(harness.fail("returning", 0.5, returns=True)) for _ in range(4)),
        asyncio.ensure_future(harness.fail("mending", 5, Priority.RECOVERY)),
    ]
    await asyncio.sleep(10 * WINDOW_SECONDS)
    for task in outage:
        task.cancel()
    moments = sorted(at for _, at in harness.entered)
    assert harness.times("returning")
    assert harness.times("mending")
    assert all(later - at >= WINDOW_SECONDS for at, later in zip(moments, moments[limit:], strict=False))
