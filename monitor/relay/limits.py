"""Keeping to what a relay's owner allows: so many connects and messages a minute, whatever the probes ask.

A sliding window rather than a token bucket: "never more than N in any minute" is then true of every minute, not
only on average.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.clock import Clock

WINDOW = 60.0
"""Seconds over which a limit counts."""


class Limiter:
    """At most `per_minute` permits in any 60 s; waiters are served in the order they came.

    Those who must leave more spare than others wait in a queue of their own, so that they hold up nobody.
    """

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._limit = per_minute
        self._clock = clock
        self._given: deque[float] = deque()  # bounded: never more than `per_minute` entries
        self._turns: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)  # by what they leave spare: a queue each
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
        over = len(self._given) + permits - self._limit
        return max(pause, self._given[over - 1] + WINDOW - now) if over > 0 else pause

    def take(self, permits: int = 1) -> bool:
        """Take `permits` if they can be given now, all or none."""
        if self.wait(permits) > 0:
            return False
        self._given.extend([self._clock.monotonic()] * permits)
        return True

    async def acquire(self, permits: int = 1, *, spare: int = 0) -> None:
        """Wait for `permits`, and take them all at once, where `spare` more would still be left for others."""
        async with self._turns[spare]:
            while (delay := self.wait(min(permits + spare, max(permits, self._limit)))) > 0:  # noqa: ASYNC110 - permits come with time, not by an event
                await asyncio.sleep(max(0.001, delay))  # a clock may not move in less
            self.take(permits)

    @property
    def paused(self) -> bool:
        """Whether nothing is given because the relay asked for it."""
        return self._clock.monotonic() < self._paused_until

    def pause(self, seconds: float) -> None:
        """Give nothing for `seconds`: the relay asked for it (Retry-After)."""
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)
