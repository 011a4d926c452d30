from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from monitor.schedule.watch import ClockWatch, LoopLag
from tests.virtual_time import WITHOUT_SOCKETS, block_loop

if TYPE_CHECKING:
    from monitor.clock import LoopClock

pytestmark = WITHOUT_SOCKETS


@pytest.mark.parametrize("step", [2.0, -2.0, 3.2e8])
async def test_a_step_of_the_wall_clock_is_told_once_with_its_size(clock: LoopClock, step: float) -> None:
    steps: list[float] = []
    watching = asyncio.create_task(ClockWatch(clock, steps.append).run())
    await asyncio.sleep(5)
    clock.step(step)
    await asyncio.sleep(1.1)
    assert steps == [pytest.approx(step)]
    await asyncio.sleep(60)
    assert len(steps) == 1
    watching.cancel()


async def test_a_blocked_loop_and_small_corrections_are_no_step(clock: LoopClock) -> None:
    steps: list[float] = []
    watching = asyncio.create_task(ClockWatch(clock, steps.append).run())
    await asyncio.sleep(0.5)
    clock.step(0.9)
    block_loop(3600)
    await asyncio.sleep(5)
    assert steps == []
    watching.cancel()


async def test_corrections_add_up_to_a_step(clock: LoopClock) -> None:
    steps: list[float] = []
    watch = ClockWatch(clock, steps.append)
    for _ in range(3):
        clock.step(0.4)
        watch.check()
    assert steps == [pytest.approx(1.2)]


async def test_a_blocked_loop_shows_as_lag(clock: LoopClock) -> None:
    lags: list[float] = []
    measuring = asyncio.create_task(LoopLag(clock, lags.append).run())
    await asyncio.sleep(1.1)
    assert lags == [pytest.approx(0.0, abs=1e-4)] * 4
    block_loop(3.0)
    await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    assert lags[4:] == [pytest.approx(2.85)]
    measuring.cancel()
