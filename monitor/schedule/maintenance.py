"""Maintenance windows, of the configuration and on demand. Runs continue in them and are `excluded`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from monitor.config.crontab import Crontab
from monitor.schedule.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor import config
    from monitor.clock import Clock
    from monitor.schedule.on_demand import OnDemandWindows


class Maintenance:
    """The maintenance windows of each relay: the configured ones, and those of `on_demand`.

    A configured window opens at the times of its cron line and lasts for its duration in elapsed time, also over
    midnight and over changes of daylight saving. It has no state, so that a step of the clock does not affect it.
    Raises `ValueError` for an invalid cron line or time zone.
    """

    def __init__(
        self,
        windows: Iterable[config.MaintenanceConfig],
        clock: Clock,
        on_demand: OnDemandWindows | None = None,
    ) -> None:
        self._clock = clock
        self._windows = [(window, Crontab(window.cron, window.timezone)) for window in windows]
        self._on_demand = on_demand

    def active(self, relay: str, at: datetime | None = None) -> str | None:
        """The reason of a window of `relay` that is open `at` a time (default: now), None if there is none."""
        window = self.window(relay, at)
        return window.reason if window is not None else None

    def window(self, relay: str, at: datetime | None = None) -> Window | None:
        """Return the window of `relay` that is open `at` a time (default: now); of several the one that ends last."""
        now = self._clock.time() if at is None else at.timestamp()
        found = [
            _configured(window, start)
            for window, crontab in self._windows
            if _applies_to(window, relay) and (start := crontab.after(now - window.duration)) <= now
        ]
        if self._on_demand is not None and (started := self._on_demand.active(relay, now)) is not None:
            found.append(started)
        return max(found, key=lambda window: window.end, default=None)

    def configured(self) -> tuple[Window, ...]:
        """Return the configured windows that are open now."""
        now = self._clock.time()
        return tuple(
            _configured(window, start)
            for window, crontab in self._windows
            if (start := crontab.after(now - window.duration)) <= now
        )

    def overlaps(self, relay: str, since: float, until: float) -> bool:
        """Return whether a window of `relay` is open at any time from `since` until `until`, on the wall clock."""
        if self._on_demand is not None and self._on_demand.overlaps(relay, since, until):
            return True
        return any(
            _applies_to(window, relay) and crontab.after(since - window.duration) <= until
            for window, crontab in self._windows
        )

    def next_window(self, relay: str) -> Window | None:
        """The next configured window of `relay` to open, without one that is open now."""
        now = self._clock.time()
        coming = (
            _configured(window, crontab.after(now)) for window, crontab in self._windows if _applies_to(window, relay)
        )
        return min(coming, key=lambda window: window.start, default=None)


def _configured(window: config.MaintenanceConfig, start: float) -> Window:
    return Window(
        datetime.fromtimestamp(start, UTC),
        datetime.fromtimestamp(start + window.duration, UTC),
        window.reason,
        tuple(window.relays),
    )


def _applies_to(window: config.MaintenanceConfig, relay: str) -> bool:
    return not window.relays or relay in window.relays
