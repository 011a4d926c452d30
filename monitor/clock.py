"""The only place that knows what time it is.

Everything that measures takes a `Clock`; waiting is asyncio's (`asyncio.sleep`, `asyncio.timeout`), whose
time a test may make virtual. Then `LoopClock` reads the same virtual time, so measured and waited agree.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Final, Protocol


class Clock(Protocol):
    """Two readings of one moment: a steady one to measure with, the wall's to talk to people."""

    def monotonic(self) -> float:
        """Seconds on a clock that never steps; only differences mean anything."""

    def time(self) -> float:
        """Seconds since the epoch on the wall clock, which may step."""


SYSTEM_CLOCK: Final[Clock] = time
"""The machine's own clocks, as they are: they are read thirty times in an exchange.

`time.monotonic` rather than the event loop's: uvloop caches its time and counts whole milliseconds.
"""


class LoopClock:
    """The running event loop's time, for tests whose loop runs on virtual time.

    The wall clock is the loop's time after `epoch`, and `step` moves it alone, as a time server would.
    """

    def __init__(self, epoch: float = 1_700_000_000.0) -> None:
        self._epoch = epoch

    def monotonic(self) -> float:
        """The loop's time, in seconds."""
        return asyncio.get_running_loop().time()

    def time(self) -> float:
        """The virtual wall clock, in seconds since the epoch."""
        return self._epoch + asyncio.get_running_loop().time()

    def step(self, seconds: float) -> None:
        """Step the wall clock, forward or back, leaving the monotonic one alone."""
        self._epoch += seconds


def utc(clock: Clock, ago: float = 0.0) -> datetime:
    """The wall clock's reading `ago` seconds before now, as an aware datetime in UTC."""
    return datetime.fromtimestamp(clock.time() - ago, UTC)


class Arrivals:
    """When bytes arrived: the moment the event loop's poll returned with them.

    Several sockets may be ready at once, and are read one after another; what came on the last one must not seem to
    have come only after all the others were dealt with. So the first read after a poll takes the time, and the others
    of the same poll share it: a callback that runs before the next poll forgets it again.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # kept: to ask for it is a system call in Python 3.11

    def read(self) -> float:
        """The arrival time of the bytes being read now, in seconds of the monotonic clock."""
        if self._at is None:
            self._at = self._clock.monotonic()
            if self._loop is None:
                self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._forget)
        return self._at

    def _forget(self) -> None:
        self._at = None
