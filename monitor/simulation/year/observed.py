"""What one monitor says of one relay over a simulated time."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from monitor.vocabulary import Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the monitor says of the relay from `at` on; `limited`: the cause is that the relay asks for less."""

    at: float
    condition: Condition
    up: bool | None
    accepting: bool | None
    limited: bool = False


@dataclass(slots=True)
class Observed:
    """The statuses of a relay by time, and when a persistent pair was found silent."""

    statuses: list[Status] = field(default_factory=list)
    silent: list[float] = field(default_factory=list)

    def status(self, at: float) -> Status | None:
        """Return the status at a time; None before the first one, when the relay is up."""
        index = bisect_right(self.statuses, at, key=lambda status: status.at) - 1
        return self.statuses[index] if index >= 0 else None

    @property
    def may_alert(self) -> bool:
        """True if the relay was not always up, or degraded by exchanges alone."""
        harmless = {Condition.UP, Condition.DEGRADED}
        return bool(self.silent) or any(status.condition not in harmless or not status.up for status in self.statuses)
