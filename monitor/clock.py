"""Clocks: the only module that reads the time.

Everything that measures takes a `Clock`; waiting is asyncio's (`asyncio.sleep`, `asyncio.timeout`). A test may run its
loop on virtual time, which `LoopClock` reads too.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Final, Protocol


class Clock(Protocol):
    """A monotonic clock to measure with and the wall clock to show."""

    def monotonic(self) -> float:
        """Return seconds on a clock that never steps; only differences have a meaning."""

    def time(self) -> float:
        """Return seconds since the epoch on the wall clock, which may step."""


SYSTEM_CLOCK: Final[Clock] = time
"""The module `time` itself, without a wrapper: an exchange reads it thirty times.

Not the event loop's time: uvloop caches it and counts whole milliseconds.
"""


class LoopClock:
    """The event loop's time, for tests whose loop runs on virtual time. The wall clock is `epoch` plus that time."""

    def __init__(self, epoch: float = 1_700_000_000.0) -> None:
        self._epoch = epoch

    def monotonic(self) -> float:
        """Return the loop's time, in seconds."""
        return asyncio.get_running_loop().time()

    def time(self) -> float:
        """Return the virtual wall clock, in seconds since the epoch."""
        return self._epoch + asyncio.get_running_loop().time()

    def step(self, seconds: float) -> None:
        """Step the wall clock, forward or back, as a time server would; the monotonic clock does not change."""
        self._epoch += seconds


class UnsteppedClock:
    """A clock whose wall clock never steps: the wall clock at its creation plus the monotonic time since.

    For lifetimes of values that stay in this process, such as sessions: a step must neither end nor prolong them.
    """

    def __init__(self, clock: Clock) -> None:
        self.monotonic = clock.monotonic
        self._epoch = clock.time() - clock.monotonic()

    def time(self) -> float:
        """Return seconds since the epoch, without the steps since this clock was created."""
        return self._epoch + self.monotonic()


def utc(clock: Clock, ago: float = 0.0) -> datetime:
    """Return the wall clock `ago` seconds before now, as an aware datetime in UTC."""
    return datetime.fromtimestamp(clock.time() - ago, UTC)


class Arrivals:
    """Arrival times of received bytes: the time at which the event loop's poll returned with them.

    Several sockets may be ready at once and are read one after another; the handling of one must not delay the arrival
    time of the next. So all reads of one poll share the time of the first; a callback clears it before the next poll.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # cached: get_running_loop is a system call in Python 3.11

    def read(self) -> float:
        """Return the arrival time of the bytes being read now, on the monotonic clock."""
        if self._at is None:
            self._at = self._clock.monotonic()
            if self._loop is None:
                self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._clear)
        return self._at

    def _clear(self) -> None:
        self._at = None
