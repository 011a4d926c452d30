"""Connected time of pairs and connections."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from monitor.results import PairTime, Reconnected

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.pairs.context import ProbeContext
    from monitor.results import Untried

REPORT_INTERVAL: Final = 1.0
"""Seconds between two reports of `UptimeMeter.run`."""


class UptimeMeter:
    """Publish the seconds that expected pairs or connections spend connected and disconnected, of all together.

    `untried` returns why they are not connected.
    """

    def __init__(self, context: ProbeContext, untried: Callable[[], Untried | None] = lambda: None) -> None:
        self._context = context
        self._untried = untried
        self._clock = context.clock
        self._expected = self._disconnected = 0
        self._recorded_at = context.clock.monotonic()

    def change(self, *, expected: int = 0, disconnected: int = 0) -> None:
        """Add to the number of pairs that should be connected, and to that of those which are not."""
        if expected or disconnected:
            self.record()
            self._expected += expected
            self._disconnected += disconnected

    def record(self) -> None:
        """Publish the time since the last call, in the state it was spent in."""
        context, now = self._context, self._clock.monotonic()
        since, self._recorded_at = self._recorded_at, now
        seconds = now - since
        if seconds <= 0:
            return
        for connected, count in ((True, self._expected - self._disconnected), (False, self._disconnected)):
            if count:
                why = None if connected else self._untried()
                context.publish(
                    PairTime(context.relay, context.probe.name, "", connected, count * seconds, since, now, why)
                )

    async def run(self) -> None:
        """Record periodically until cancelled."""
        while True:
            await asyncio.sleep(REPORT_INTERVAL)
            self.record()


class Uptime:
    """Whether one pair or connection is connected. Feeds a meter while it is expected, and publishes reconnects."""

    def __init__(self, context: ProbeContext, meter: UptimeMeter | None = None, *, connected: bool = False) -> None:
        self.connected = connected
        self.dropped_at: float | None = None  # on the monotonic clock, until it is connected again
        self._context = context
        self._meter = meter
        self._expected = False

    def expect(self, expected: bool) -> None:  # noqa: FBT001 - a state
        """Say whether it should be connected from now on; the time in which it should not counts in no direction."""
        if self._meter is not None and expected is not self._expected:
            change = 1 if expected else -1
            self._meter.change(expected=change, disconnected=0 if self.connected else change)
        self._expected = expected

    def update(self, connected: bool, run_id: str) -> bool:  # noqa: FBT001 - a state
        """Set whether it is connected; return whether that changed. A reconnect is published for the run `run_id`."""
        if connected is self.connected:
            return False
        self.connected = connected
        if self._meter is not None and self._expected:
            self._meter.change(disconnected=-1 if connected else 1)
        context, now = self._context, self._context.clock.monotonic()
        if not connected:
            self.dropped_at = now
        elif self.dropped_at is not None:
            seconds, ended_at = now - self.dropped_at, context.clock.time()
            context.publish(Reconnected(context.relay, context.probe.name, run_id, seconds, ended_at))
            self.dropped_at = None
        return True
