"""Spreads what many relays would begin at once, so that it does not delay the messages of others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from monitor.schedule.slots import stagger

if TYPE_CHECKING:
    from monitor.clock import Clock

RELAYS_PER_SECOND: Final = 4
"""Relays that begin per second: connects and pairings of four with the shipped probes take a tenth of a processor."""

MAX_START_SECONDS: Final = 60.0
"""Seconds after which all relays have begun, however many they are."""

RESUMED_PER_SECOND: Final = 20
"""Relays at which attempts begin per second once the monitor is healthy again."""

RUNS_PER_SECOND: Final = 25
"""Runs of bounded probes that begin per second at most, unless the schedules need more: those of one crontab line are
due in the same second.
"""


def start_spacing(relays: int) -> float:
    """Return the seconds between the starts of successive relays, if so many begin together."""
    return min(1 / RELAYS_PER_SECOND, MAX_START_SECONDS / max(1, relays))


def start_delay(index: int, relays: int, name: str) -> float:
    """Return the seconds after which the relay with this index and name begins.

    The name moves it within its spacing. Evenly spaced relays would go on to send in the same milliseconds, since the
    cycles of their pairs are multiples of the spacing.
    """
    gap = start_spacing(relays)
    return index * gap + stagger(gap, (name,))


class Pacer:
    """Spaces starts by at least `gap` seconds. A start is not delayed if there was none within the gap before it."""

    def __init__(self, clock: Clock, gap: float) -> None:
        self.gap = gap
        self._clock = clock
        self._next = float("-inf")

    async def wait(self) -> None:
        """Wait until the next start may be made."""
        now = self._clock.monotonic()
        due = max(now, self._next)
        self._next = due + self.gap
        if due > now:
            await asyncio.sleep(due - now)
