"""Rate limits of a relay: connects and messages a minute.

A sliding window, not a token bucket: "at most N in any minute" holds for every minute, not only on average.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.clock import Clock

WINDOW_SECONDS = 60.0
"""Length of the window, in seconds."""

RECHECK_INTERVAL: Final = 1.0
"""Seconds between checks for a reserved permit that may be released at any time."""


class Permit:
    """One permit that was acquired ahead of its use. `pausable`: a pause that the relay asked for delays its use."""

    def __init__(self, limiter: RateLimiter, *, pausable: bool = True) -> None:
        self._limiter: RateLimiter | None = limiter
        self._pausable = pausable
        limiter.reserved += 1

    async def use(self) -> None:
        """Use the permit, after any pause that the relay asked for."""
        limiter = self._limiter
        while limiter is not None and self._pausable and (available := limiter.pause_left) > 0:  # noqa: ASYNC110 - a pause ends with time, not by an event
            await asyncio.sleep(min(max(0.001, available), RECHECK_INTERVAL))  # a recovered relay ends the pause
        if limiter is not None and self.release():
            limiter.use()

    def release(self) -> bool:
        """Release the permit; return False if it was used or released before."""
        limiter, self._limiter = self._limiter, None
        if limiter is not None:
            limiter.reserved -= 1
        return limiter is not None


class RateLimiter:
    """Grant at most `per_minute` permits in any 60 s.

    Waiters of one priority are served first in, first out. Each priority has its own queue, so that waiters which must
    leave more headroom do not delay others.
    """

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._limit = per_minute
        self._clock = clock
        self._given: deque[float] = deque()  # bounded: never more than `per_minute` entries
        self.reserved = 0  # acquired ahead of their use
        self._queues: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)  # by priority
        self._paused_until = 0.0

    def set_limit(self, per_minute: int) -> None:
        """Change the limit; permits granted so far still count."""
        self._limit = per_minute

    def wait(self, permits: int = 1, *, pausable: bool = True) -> float:
        """Return the seconds until `permits` can be granted at once: 0 for now, infinity if the limit is lower.

        `pausable`: a pause that the relay asked for counts.
        """
        now = self._clock.monotonic()
        while self._given and self._given[0] <= now - WINDOW_SECONDS:
            self._given.popleft()
        if permits > self._limit:
            return float("inf")
        pause = max(0.0, self._paused_until - now) if pausable else 0.0
        excess = len(self._given) + self.reserved + permits - self._limit
        if excess <= 0:
            return pause
        # A reserved permit becomes free when it is released, or a minute after its use: at an unknown time.
        known = excess <= len(self._given)
        return max(pause, self._given[excess - 1] + WINDOW_SECONDS - now if known else RECHECK_INTERVAL)

    @property
    def available(self) -> int:
        """Number of permits that can be granted now, ignoring a pause."""
        self.wait()
        return max(0, self._limit - len(self._given) - self.reserved)

    def try_acquire(self, permits: int = 1, *, pausable: bool = True) -> bool:
        """Acquire all `permits` if they can be granted now; return False otherwise."""
        if self.wait(permits, pausable=pausable) > 0:
            return False
        self._given.extend([self._clock.monotonic()] * permits)
        return True

    async def acquire(
        self,
        permits: int = 1,
        *,
        priority: int = 0,
        headroom: Callable[[], int] = lambda: 0,
        pausable: bool = True,
    ) -> int:
        """Wait until `permits` and `headroom()` more are available, then acquire `permits`.

        Return the number of permits acquired, which is at most the limit.
        """
        async with self._queues[priority]:
            while (delay := self.wait(min(permits + headroom(), self._limit), pausable=pausable)) > 0:  # noqa: ASYNC110 - permits become available with time, not by an event
                # Timers may have a resolution of 1 ms; limit and headroom may change meanwhile.
                await asyncio.sleep(min(max(0.001, delay), 1.0))
            acquired = min(permits, self._limit)
            self.try_acquire(acquired, pausable=pausable)
            return acquired

    async def acquire_ahead(
        self,
        permits: int,
        *,
        priority: int = 0,
        headroom: Callable[[], int] = lambda: 0,
        pausable: bool = True,
    ) -> list[Permit]:
        """Acquire permits for later connects: each counts until its use, and for a minute from then on."""
        acquired = await self.acquire(permits, priority=priority, headroom=headroom, pausable=pausable)
        for _ in range(acquired):
            self._given.pop()
        return [Permit(self, pausable=pausable) for _ in range(acquired)]

    def use(self) -> None:
        """Count one permit that was reserved."""
        self._given.append(self._clock.monotonic())

    @property
    def paused(self) -> bool:
        """True while the relay has asked for a pause."""
        return self.pause_left > 0

    @property
    def pause_left(self) -> float:
        """Seconds until the pause ends."""
        return max(0.0, self._paused_until - self._clock.monotonic())

    def pause(self, seconds: float) -> None:
        """Grant no permits for `seconds`, as the relay asked (Retry-After)."""
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)

    def end_pause(self) -> None:
        """End the pause: the relay serves again."""
        self._paused_until = 0.0
