"""Virtual time: `looptime` moves the event loop's time to the next timer as soon as nothing else is left to do.

`monitor.clock.LoopClock` reads that time. Time stands still while the program computes, so durations are exact.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import pytest

EMPTY_ROUNDS: Final = 42
"""Rounds of the loop without any event before time moves, where sockets are used.

The kernel delivers what is sent over loopback before `send` returns; the loop reads it a few rounds later.
"""

WITH_SOCKETS: Final = pytest.mark.looptime(noop_cycles=EMPTY_ROUNDS, start=time.monotonic)
"""For a test whose relay is in this process. Time continues from real time, in which fixtures run."""

WITHOUT_SOCKETS: Final = pytest.mark.looptime(noop_cycles=0)
"""For a test without sockets: time moves at once, and starts at 0."""


def block_loop(seconds: float, *, empty_rounds: int = 0) -> None:
    """Let virtual time pass while the loop runs nothing, as a blocked loop does."""
    loop = asyncio.get_running_loop()
    loop.setup_looptime(start=loop.time() + seconds, noop_cycles=empty_rounds)  # type: ignore[attr-defined]
