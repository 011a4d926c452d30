"""Keeping to what a relay's owner allows: so many connects and messages a minute, whatever the probes ask.

A sliding window rather than a token bucket: "never more than N in any minute" is then true of every minute, not
only on average.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.clock import Clock

WINDOW = 60.0
"""Seconds over which a limit counts."""


UNKNOWN: Final = 1.0
"""Seconds after which to look again for a permit that may come at any time."""


class Permit:
    """One permit, taken ahead of its use."""

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter: RateLimiter | None = limiter
        limiter.kept += 1

    async def use(self) -> None:
        """Use it, once a pause that the relay asked for is over."""
        limiter = self._limiter
        while limiter is not None and (left := limiter.pause_left) > 0:  # noqa: ASYNC110 - a pause ends with time
            await asyncio.sleep(max(0.001, left))
        if limiter is not None and self.give_back():
            limiter.use()

    def give_back(self) -> bool:
        """Give it back; False where it is used already, or given back."""
        limiter, self._limiter = self._limiter, None
        if limiter is not None:
            limiter.kept -= 1
        return limiter is not None


class RateLimiter:
    """At most `per_minute` permits in any 60 s; waiters are served in the order they came.

    Each rank has a queue of its own, so that those who must leave more spare than others hold up nobody.
    """

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._limit = per_minute
        self._clock = clock
        self._given: deque[float] = deque()  # bounded: never more than `per_minute` entries
        self.kept = 0  # taken ahead of their use
        self._turns: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)  # by rank
        self._paused_until = 0.0

    def allow(self, per_minute: int) -> None:
        """Take up another limit; what was given counts on."""
        self._limit = per_minute

    def wait(self, permits: int = 1) -> float:
        """Seconds until `permits` could be given at once; 0 when now. Infinite for more than a minute's worth."""
        now = self._clock.monotonic()
        while self._given and self._given[0] <= now - WINDOW:
            self._given.popleft()
        if permits > self._limit:
            return float("inf")
        pause = max(0.0, self._paused_until - now)
        over = len(self._given) + self.kept + permits - self._limit
        if over <= 0:
            return pause
        # When what is kept will be free again nobody knows: as soon as it is given back, or a minute after its use.
        known = over <= len(self._given)
        return max(pause, self._given[over - 1] + WINDOW - now if known else UNKNOWN)

    @property
    def left(self) -> int:
        """Permits of this minute that nobody has."""
        self.wait()
        return max(0, self._limit - len(self._given) - self.kept)

    def take(self, permits: int = 1) -> bool:
        """Take `permits` if they can be given now, all or none."""
        if self.wait(permits) > 0:
            return False
        self._given.extend([self._clock.monotonic()] * permits)
        return True

    async def acquire(self, permits: int = 1, *, rank: int = 0, spare: Callable[[], int] = lambda: 0) -> int:
        """Wait for `permits`, and take them all at once, where `spare()` more would still be left for others.

        Those of one `rank` are served in the order they came. Returns how many: no more than a minute's worth.
        """
        async with self._turns[rank]:
            while (delay := self.wait(min(permits + spare(), self._limit))) > 0:  # noqa: ASYNC110 - permits come with time, not by an event
                # A clock may not move in less than a millisecond, and limit and spare may be others in a second.
                await asyncio.sleep(min(max(0.001, delay), 1.0))
            taken = min(permits, self._limit)
            self.take(taken)
            return taken

    async def ahead(self, permits: int, *, rank: int = 0, spare: Callable[[], int] = lambda: 0) -> list[Permit]:
        """The same, for connects to come: each counts until it is made, and from then on for its minute."""
        taken = await self.acquire(permits, rank=rank, spare=spare)
        for _ in range(taken):
            self._given.pop()
        return [Permit(self) for _ in range(taken)]

    def use(self) -> None:
        """Count one permit that was kept until now."""
        self._given.append(self._clock.monotonic())

    @property
    def paused(self) -> bool:
        """Whether nothing is given because the relay asked for it."""
        return self.pause_left > 0

    @property
    def pause_left(self) -> float:
        """Seconds until anything is given again."""
        return max(0.0, self._paused_until - self._clock.monotonic())

    def pause(self, seconds: float) -> None:
        """Give nothing for `seconds`: the relay asked for it (Retry-After)."""
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)
