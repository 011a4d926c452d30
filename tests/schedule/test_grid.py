from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.clock import LoopClock
from monitor.schedule.grid import START_TOLERANCE, Grid, GridTimer
from tests.virtual_time import WITHOUT_SOCKETS, block_loop

PERIOD = 10.0


class Slots:
    """A grid whose first slot is now, and what it counted."""

    def __init__(self, period: float = PERIOD) -> None:
        self.clock = LoopClock()
        self.counted: Counter[str] = Counter()
        self.open = True
        self.start = self.clock.monotonic()
        self.timer = GridTimer(self.clock, Grid(self.start, period), self._count, lambda: self.open)

    def _count(self, result: str) -> None:
        self.counted[result] += 1

    async def wait(self) -> float:
        """Seconds from the first slot's start to the intended one of the slot that begins."""
        return await self.timer.wait() - self.start


@WITHOUT_SOCKETS
async def test_slots_follow_each_other_without_drift() -> None:
    slots = Slots()
    seen = []
    for _ in range(100):
        seen.append(await slots.wait())
        await asyncio.sleep(3.7)
    assert seen == [PERIOD * number for number in range(100)]
    assert slots.counted == {"started": 100}


@WITHOUT_SOCKETS
async def test_the_first_slot_starts_however_late_its_clock_is_read() -> None:
    slots = Slots()
    await asyncio.sleep(0.2)
    assert await slots.wait() == 0.0
    assert slots.counted == {"started": 1}


@WITHOUT_SOCKETS
async def test_slots_that_began_while_their_predecessor_ran_are_skipped() -> None:
    slots = Slots()
    await slots.wait()
    await asyncio.sleep(35.0)
    assert await slots.wait() == 40.0
    assert slots.counted == {"started": 2, "skipped": 3}


@WITHOUT_SOCKETS
async def test_a_slot_that_begins_as_its_predecessor_ends_starts() -> None:
    slots = Slots()
    await slots.wait()
    await asyncio.sleep(PERIOD)
    assert await slots.wait() == PERIOD
    assert slots.counted == {"started": 2}


@WITHOUT_SOCKETS
async def test_slots_that_passed_while_the_loop_was_blocked_are_missed() -> None:
    slots = Slots()
    await slots.wait()
    waiting = asyncio.ensure_future(slots.wait())
    await asyncio.sleep(1.0)
    block_loop(34.0)
    assert await waiting == 40.0
    assert slots.counted == {"started": 2, "missed": 3}


@WITHOUT_SOCKETS
async def test_a_slot_a_little_late_starts_with_its_intended_time() -> None:
    slots = Slots()
    await slots.wait()
    waiting = asyncio.ensure_future(slots.wait())
    await asyncio.sleep(1.0)
    block_loop(PERIOD - 1.0 + START_TOLERANCE)
    assert await waiting == PERIOD
    assert slots.counted == {"started": 2}


@WITHOUT_SOCKETS
@pytest.mark.parametrize(
    ("delay", "begins", "counted"),
    [
        (0.5, PERIOD, {"started": 2}),
        (START_TOLERANCE, PERIOD, {"started": 2}),
        (15.0, 3 * PERIOD, {"started": 2, "missed": 2}),
    ],
)
async def test_a_caller_that_was_done_before_the_loop_was_blocked_is_not_busy(
    delay: float, begins: float, counted: dict[str, int]
) -> None:
    """These slots were skipped, as if the run before them had not ended."""
    slots = Slots()
    done = await slots.timer.wait() + PERIOD - 1
    await asyncio.sleep(PERIOD - 1)
    block_loop(1 + delay)
    assert await slots.timer.wait(busy_until=done) - slots.start == begins
    assert slots.counted == counted


@WITHOUT_SOCKETS
async def test_a_slot_that_is_not_admitted_is_skipped() -> None:
    slots = Slots()
    await slots.wait()
    slots.open = False
    waiting = asyncio.ensure_future(slots.wait())
    await asyncio.sleep(25.0)
    slots.open = True
    assert await waiting == 30.0
    assert slots.counted == {"started": 2, "skipped": 2}


STEP = st.tuples(st.floats(0, 60), st.floats(0, 60), st.booleans())


@WITHOUT_SOCKETS
@given(period=st.floats(0.05, 30), steps=st.lists(STEP, min_size=1, max_size=10))
async def test_every_slot_due_is_counted_once(period: float, steps: list[tuple[float, float, bool]]) -> None:
    """Whatever a run takes, whatever blocks the loop, whatever is turned away: started + skipped + missed = due."""
    slots = Slots(period)
    for busy, blocked, admitted in steps:
        slots.open = admitted
        waiting = asyncio.ensure_future(slots.wait())
        await asyncio.sleep(0)
        block_loop(blocked)
        await asyncio.sleep(0)
        slots.open = True
        due = await waiting
        assert slots.counted.total() == pytest.approx(due / period + 1)
        assert slots.clock.monotonic() - slots.start - due <= START_TOLERANCE + 1e-6
        await asyncio.sleep(busy)
