"""Does this monitor trust itself? Whatever it measures while it does not is its own fault, and never the relay's.

A sign of trouble (a blocked event loop, a stepped clock) holds for `DISTRUST` seconds after it was last seen.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from monitor.schedule import ClockWatch, LoopLag

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.clock import Clock

_log = structlog.get_logger(__name__)

LAG_LIMIT: Final = 1.0
"""Seconds of event-loop lag past which the monitor does not trust its own numbers."""

PULSE: Final = 0.25
"""Seconds between two readings of that lag."""

DISTRUST: Final = 15.0
"""Seconds for which it does not, after the last sign."""


class Health:
    """The monitor's trust in itself.

    `on_lag` gets every reading of the event loop's lag, in seconds; `on_change` each change of `healthy`.
    """

    def __init__(self, clock: Clock, *, on_lag: Callable[[float], None], on_change: Callable[[bool], None]) -> None:
        self.healthy = True
        self._clock = clock
        self._on_lag = on_lag
        self._on_change = on_change
        self._distrust_until = 0.0
        self._beat = clock.monotonic()
        self._watches: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Watch, until `stop`."""
        self._beat = self._clock.monotonic()
        self._watches = [
            asyncio.ensure_future(LoopLag(self._clock, self._lag, interval=PULSE).run()),
            asyncio.ensure_future(ClockWatch(self._clock, self._stepped).run()),
            asyncio.ensure_future(self._see_to_it()),
        ]

    def stop(self) -> None:
        """Watch no more."""
        for task in self._watches:
            task.cancel()
        self._watches.clear()  # nobody feels the pulse any more, so nobody may miss it

    def feel_pulse(self) -> None:
        """Tell a blocked loop before its watch wakes up: a deadline that passed meanwhile may be due before it."""
        late = self._clock.monotonic() - self._beat
        if self.healthy and self._watches and late > LAG_LIMIT + PULSE:
            self.suspect("event loop blocked", late)

    def suspect(self, what: str, seconds: float) -> None:
        """Trust nothing for a while."""
        _log.warning("monitor distrusts itself", why=what, seconds=round(seconds, 3))
        self._distrust_until = self._clock.monotonic() + DISTRUST
        self._set()

    def _lag(self, seconds: float) -> None:
        self._beat = self._clock.monotonic()
        self._on_lag(seconds)
        if seconds > LAG_LIMIT:
            self.suspect("event loop blocked", seconds)

    def _stepped(self, seconds: float) -> None:
        self.suspect("wall clock stepped", seconds)

    async def _see_to_it(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._set()

    def _set(self) -> None:
        healthy = self._clock.monotonic() >= self._distrust_until
        if healthy is not self.healthy:
            self.healthy = healthy
            self._on_change(healthy)
