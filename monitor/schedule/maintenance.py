"""Maintenance windows, of the configuration and on demand. Runs continue in them and are `excluded`."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING, Final

from monitor.config.crontab import Crontab
from monitor.schedule.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor import config
    from monitor.clock import Clock
    from monitor.schedule.on_demand import OnDemandWindows


_MINUTE: Final = 60.0


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
        self._windows = [_ConfiguredWindow(window) for window in windows]
        self._on_demand = on_demand

    def active(self, relay: str, at: datetime | None = None) -> str | None:
        """The reason of a window of `relay` that is open `at` a time (default: now), None if there is none."""
        window = self.window(relay, at)
        return window.reason if window is not None else None

    def window(self, relay: str, at: datetime | None = None) -> Window | None:
        """Return the window of `relay` that is open `at` a time (default: now); of several the one that ends last."""
        now = self._clock.time() if at is None else at.timestamp()
        found = [
            window for item in self._windows if item.applies_to(relay) and (window := item.open_at(now)) is not None
        ]
        if self._on_demand is not None and (window := self._on_demand.active(relay, now)) is not None:
            found.append(window)
        return max(found, key=lambda window: window.end, default=None)

    def configured(self) -> tuple[Window, ...]:
        """Return the configured windows that are open now."""
        now = self._clock.time()
        return tuple(window for item in self._windows if (window := item.open_at(now)) is not None)

    def overlaps(self, relay: str, since: float, until: float) -> bool:
        """Return whether a window of `relay` is open at any time from `since` until `until`, on the wall clock."""
        if self._on_demand is not None and self._on_demand.overlaps(relay, since, until):
            return True
        return any(item.applies_to(relay) and item.overlaps(since, until) for item in self._windows)

    def next_window(self, relay: str) -> Window | None:
        """The next configured window of `relay` to open, without one that is open now."""
        now = self._clock.time()
        coming = (item.next_after(now) for item in self._windows if item.applies_to(relay))
        return min(coming, key=lambda window: window.start, default=None)


class _ConfiguredWindow:
    """A configured window, and when it opens.

    The latest opening is cached until the next one: each report asks for it. The cache depends on no clock.
    """

    def __init__(self, config: config.MaintenanceConfig) -> None:
        self._config = config
        self._crontab = Crontab(config.cron, config.timezone)
        self._cached: tuple[float, float, float | None] = (inf, inf, None)  # since, until, the opening

    def applies_to(self, relay: str) -> bool:
        """Return whether it is a window of `relay`."""
        return not self._config.relays or relay in self._config.relays

    def open_at(self, at: float) -> Window | None:
        """Return the window that is open at a time, None if none is."""
        opened = self._opened(at)
        return self._window(opened) if opened is not None and at < opened + self._config.duration else None

    def overlaps(self, since: float, until: float) -> bool:
        """Return whether a window is open at any time from `since` until `until`."""
        return self._crontab.after(since - self._config.duration) <= until

    def next_after(self, at: float) -> Window:
        """Return the next window to open."""
        return self._window(self._crontab.after(at))

    def _opened(self, at: float) -> float | None:
        """Return when a window last opened, None if this was longer ago than its duration."""
        since, until, opened = self._cached
        if since <= at < until:
            return opened
        first = self._crontab.after(at - self._config.duration)
        if first > at:
            self._cached = (at, first, None)
            return None
        # By bisection: none opened within `without`, and one within `within`. Openings are whole minutes apart.
        without, within = 0.0, self._config.duration
        while within - without > _MINUTE:
            middle = (without + within) / 2
            if self._crontab.after(at - middle) <= at:
                within = middle
            else:
                without = middle
        opened = self._crontab.after(at - within)
        self._cached = (opened, self._crontab.after(opened), opened)
        return opened

    def _window(self, start: float) -> Window:
        return Window(
            datetime.fromtimestamp(start, UTC),
            datetime.fromtimestamp(start + self._config.duration, UTC),
            self._config.reason,
            tuple(self._config.relays),
        )
