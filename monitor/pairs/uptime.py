"""The account of connected time: of the seconds that pairs or connections should stand, those that they do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from monitor.results import PairTime

if TYPE_CHECKING:
    from monitor.clock import Clock
    from monitor.pairs.context import ProbeContext

PULSE: Final = 1.0
"""Seconds between two accounts at most, so that what is served meanwhile is no older."""


class UptimeMeter:
    """Publishes the seconds as they pass, as the daemon does for its standing pairs; of all pairs at once."""

    def __init__(self, context: ProbeContext, clock: Clock) -> None:
        self._bench = context
        self._clock = clock
        self._due = self._away = 0
        self._counted_at = clock.monotonic()

    def change(self, *, due: int = 0, away: int = 0) -> None:
        """From now on, so many more (or fewer) should stand, and so many more (or fewer) of those do not."""
        self.account()
        self._due += due
        self._away += away

    def account(self) -> None:
        """Publish the time since the last account."""
        context, now = self._bench, self._clock.monotonic()
        seconds, self._counted_at = now - self._counted_at, now
        for connected, count in ((True, self._due - self._away), (False, self._away)):
            if count and seconds > 0:
                context.publish(
                    PairTime(
                        relay=context.relay,
                        probe=context.probe.name,
                        run_id="",
                        connected=connected,
                        seconds=count * seconds,
                    )
                )

    async def run(self) -> None:
        """Account now and then, until cancelled."""
        while True:
            await asyncio.sleep(PULSE)
            self.account()
