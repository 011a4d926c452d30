"""Virtual time: `looptime` advances the event loop's time to the next timer once no callback is left.

`monitor.clock.LoopClock` reads this time. Time does not advance while callbacks run, so that durations are exact.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

import looptime
import pytest

if TYPE_CHECKING:
    from collections.abc import Coroutine

EMPTY_ROUNDS: Final = 42
"""Iterations of the event loop without an event before time advances, if sockets are used.

The kernel delivers data over loopback before `send` returns; the event loop reads it a few iterations later.
"""

WITH_SOCKETS: Final = pytest.mark.looptime(noop_cycles=EMPTY_ROUNDS, start=time.monotonic)
"""For tests with a relay in this process. Time starts at real time, in which fixtures run."""

WITHOUT_SOCKETS: Final = pytest.mark.looptime(noop_cycles=0)
"""For tests without sockets: time advances at once, and starts at 0."""


def run_in_virtual_time(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` without sockets on an event loop of its own, whose time starts at 0: for one example of a property."""
    loop = looptime.patch_event_loop(asyncio.SelectorEventLoop(), start=0, noop_cycles=0)
    try:
        loop.run_until_complete(work)
    finally:
        loop.close()


def block_loop(seconds: float, *, empty_rounds: int = 0) -> None:
    """Advance virtual time without running callbacks, like a blocked event loop."""
    loop = asyncio.get_running_loop()
    loop.setup_looptime(start=loop.time() + seconds, noop_cycles=empty_rounds)  # type: ignore[attr-defined]
