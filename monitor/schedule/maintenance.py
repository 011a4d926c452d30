"""Maintenance windows: runs go on in them and are `excluded`."""

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
    """One maintenance window: from `start` up to, not including, `end`."""

    start: datetime
    end: datetime
    reason: str


class Maintenance:
    """The windows of the configuration's `maintenance`, asked by relay.

    A window opens when its cron line says and lasts its duration of elapsed time, over midnight and over changes
    of daylight saving. It holds no state, so it is right after any step of the clock. Raises `ValueError` for a
    cron line or a time zone that is none.
    """

    def __init__(self, windows: Iterable[config.MaintenanceConfig], clock: Clock) -> None:
        self._clock = clock
        self._windows = [(window, Crontab(window.cron, window.timezone)) for window in windows]

    def active(self, relay: str, at: datetime | None = None) -> str | None:
        """The reason of a window open on `relay` at a moment (now), None where none is."""
        moment = self._clock.time() if at is None else at.timestamp()
        for window, crontab in self._windows:
            if _concerns(window, relay) and crontab.after(moment - window.duration) <= moment:
                return window.reason
        return None

    def next_window(self, relay: str) -> Window | None:
        """The next window on `relay` to open; the one open now, if any, does not count."""
        now = self._clock.time()
        coming = (
            Window(
                datetime.fromtimestamp(start := crontab.after(now), UTC),
                datetime.fromtimestamp(start + window.duration, UTC),
                window.reason,
            )
            for window, crontab in self._windows
            if _concerns(window, relay)
        )
        return min(coming, key=lambda window: window.start, default=None)


def _concerns(window: config.MaintenanceConfig, relay: str) -> bool:
    return not window.relays or relay in window.relays
