"""Clocks that tests set."""

from __future__ import annotations

import time


class SteppingClock:
    """The system's clocks, of which the wall clock can be stepped."""

    def __init__(self) -> None:
        self.offset = 0.0

    def monotonic(self) -> float:
        """Return the time of the monotonic clock, which is not stepped."""
        return time.monotonic()

    def time(self) -> float:
        """Return the time of the stepped wall clock."""
        return time.time() + self.offset
