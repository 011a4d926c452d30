from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.clock import LoopClock
from monitor.relay.rate_limit import WINDOW_SECONDS, RateLimiter
from tests.virtual_time import WITHOUT_SOCKETS


@WITHOUT_SOCKETS
async def test_permits_are_granted_at_once_up_to_the_limit() -> None:
    limiter = RateLimiter(3, LoopClock())
    assert [limiter.try_acquire() for _ in range(4)] == [True, True, True, False]
    assert limiter.wait() == WINDOW_SECONDS


@WITHOUT_SOCKETS
async def test_a_permit_is_available_again_after_a_minute() -> None:
    limiter = RateLimiter(2, LoopClock())
    limiter.try_acquire()
    await asyncio.sleep(20)
    limiter.try_acquire()
    assert limiter.wait() == 40
    await asyncio.sleep(40)
    assert [limiter.try_acquire(), limiter.try_acquire()] == [True, False]


@WITHOUT_SOCKETS
async def test_several_permits_are_granted_all_or_none() -> None:
    limiter = RateLimiter(3, LoopClock())
    assert limiter.try_acquire(2)
    assert not limiter.try_acquire(2)
    assert limiter.try_acquire(1)


@WITHOUT_SOCKETS
async def test_more_permits_than_the_limit_are_never_available() -> None:
    limiter = RateLimiter(3, LoopClock())
    assert limiter.wait(3) == 0
    assert limiter.wait(4) == float("inf")


@WITHOUT_SOCKETS
async def test_waiters_are_served_in_order_of_arrival() -> None:
    limiter, served = RateLimiter(1, LoopClock()), list[tuple[int, float]]()

    async def acquire(number: int) -> None:
        await limiter.acquire()
        served.append((number, asyncio.get_running_loop().time()))

    await asyncio.gather(*(acquire(number) for number in range(4)))
    assert served == [(number, number * WINDOW_SECONDS) for number in range(4)]


@WITHOUT_SOCKETS
async def test_a_cancelled_waiter_takes_no_permit_and_blocks_no_other() -> None:
    limiter = RateLimiter(1, LoopClock())
    limiter.try_acquire()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(10):
            await limiter.acquire()
    await limiter.acquire()
    assert asyncio.get_running_loop().time() == WINDOW_SECONDS


@WITHOUT_SOCKETS
async def test_no_permit_is_granted_during_a_pause() -> None:
    limiter = RateLimiter(5, LoopClock())
    limiter.pause(30)
    limiter.pause(10)  # a shorter wish does not undo a longer one
    assert not limiter.try_acquire()
    await limiter.acquire()
    assert asyncio.get_running_loop().time() == 30


@WITHOUT_SOCKETS
@given(limit=st.integers(1, 5), pauses=st.lists(st.floats(0, 90), min_size=1, max_size=30))
async def test_no_minute_has_more_permits_than_the_limit(limit: int, pauses: list[float]) -> None:
    limiter, given_at = RateLimiter(limit, LoopClock()), list[float]()
    for pause in pauses:
        await asyncio.sleep(pause)
        await limiter.acquire()
        given_at.append(asyncio.get_running_loop().time())
    assert all(later - first >= WINDOW_SECONDS - 1e-6 for first, later in zip(given_at, given_at[limit:], strict=False))
    assert all(first <= later for first, later in pairwise(given_at))


@WITHOUT_SOCKETS
async def test_a_permit_acquired_ahead_counts_until_a_minute_after_its_use() -> None:
    limiter = RateLimiter(2, LoopClock())
    first, second = await limiter.acquire_ahead(2)
    await asyncio.sleep(100)
    assert not limiter.try_acquire()
    await first.use()
    second.release()
    assert limiter.try_acquire()
    assert not first.release()
    assert limiter.wait() == WINDOW_SECONDS
    await asyncio.sleep(WINDOW_SECONDS)
    assert limiter.try_acquire(2)


@WITHOUT_SOCKETS
async def test_a_permit_acquired_ahead_waits_for_the_end_of_a_pause() -> None:
    limiter = RateLimiter(2, LoopClock())
    (permit,) = await limiter.acquire_ahead(1)
    limiter.pause(30)
    await permit.use()
    assert asyncio.get_running_loop().time() == 30


@WITHOUT_SOCKETS
async def test_permits_acquired_ahead_may_be_used_after_the_limit_is_lowered() -> None:
    limiter = RateLimiter(4, LoopClock())
    permits = await limiter.acquire_ahead(4)
    limiter.set_limit(2)
    for permit in permits:
        await permit.use()
    assert asyncio.get_running_loop().time() == 0
    assert not limiter.try_acquire()


@WITHOUT_SOCKETS
async def test_a_lowered_limit_gives_a_waiter_fewer_permits() -> None:
    limiter = RateLimiter(2, LoopClock())
    limiter.try_acquire(2)
    waiting = asyncio.ensure_future(limiter.acquire_ahead(2))
    await asyncio.sleep(1)
    limiter.set_limit(1)
    assert len(await waiting) == 1
    assert asyncio.get_running_loop().time() == WINDOW_SECONDS
