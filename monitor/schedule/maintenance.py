"""Maintenance windows. Runs continue in them and are `excluded`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from monitor.config.crontab import Crontab

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor import config
    from monitor.clock import Clock


@dataclass(frozen=True, slots=True)
class Window:
    """One maintenance window, from `start` (inclusive) to `end` (exclusive)."""

    start: datetime
    end: datetime
    reason: str


class Maintenance:
    """The configured maintenance windows of each relay.

    A window opens at the times of its cron line and lasts for its duration in elapsed time, also over midnight and over
    changes of daylight saving. It has no state, so that a step of the clock does not affect it. Raises `ValueError` for
    an invalid cron line or time zone.
    """

    def __init__(self, windows: Iterable[config.MaintenanceConfig], clock: Clock) -> None:
        self._clock = clock
        self._windows = [(window, Crontab(window.cron, window.timezone)) for window in windows]

    def active(self, relay: str, at: datetime | None = None) -> str | None:
        """The reason of a window of `relay` that is open `at` a time (default: now), None if there is none."""
        now = self._clock.time() if at is None else at.timestamp()
        for window, crontab in self._windows:
            if _applies_to(window, relay) and crontab.after(now - window.duration) <= now:
                return window.reason
        return None

    def overlaps(self, relay: str, since: float, until: float) -> bool:
        """Return whether a window of `relay` is open at any time from `since` until `until`, on the wall clock."""
        return any(
            _applies_to(window, relay) and crontab.after(since - window.duration) <= until
            for window, crontab in self._windows
        )

    def next_window(self, relay: str) -> Window | None:
        """The next window of `relay` to open, without one that is open now."""
        now = self._clock.time()
        coming = (
            Window(
                datetime.fromtimestamp(start := crontab.after(now), UTC),
                datetime.fromtimestamp(start + window.duration, UTC),
                window.reason,
            )
            for window, crontab in self._windows
            if _applies_to(window, relay)
        )
        return min(coming, key=lambda window: window.start, default=None)


def _applies_to(window: config.MaintenanceConfig, relay: str) -> bool:
    return not window.relays or relay in window.relays
