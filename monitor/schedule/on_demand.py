"""Maintenance windows that are started on demand, and always expire.

A window's length is measured on the monotonic clock, so that no step of the wall clock prolongs or ends it. What was
read from a file counts for at most `MAX_SECONDS` more, whatever times the file has.
"""

from __future__ import annotations

import secrets
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from monitor.errors import RequestError
from monitor.schedule.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitor.clock import Clock

MIN_SECONDS: Final = 1.0
MAX_SECONDS: Final = 4 * 3600.0
"""Longest window; it can be followed by another one."""

MAX_OPEN: Final = 100
"""Largest number of open windows."""

MAX_ENDED: Final = 200
"""Number of ended windows that are kept: reports of the time inside them may still be held."""

MAX_TEXT: Final = 200
"""Largest length of a reason or a person's name, in characters."""

_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # without characters that are mistaken for each other
_ID_LENGTH: Final = 6


@dataclass(frozen=True, slots=True)
class _Entry:
    """A window with its times on the monotonic clock."""

    window: Window
    start: float
    end: float


class OnDemandWindows:
    """The windows started on demand. To be used from one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[str, _Entry] = {}
        self._ended: deque[_Entry] = deque(maxlen=MAX_ENDED)

    def start(self, relays: Sequence[str], seconds: float, reason: str, by: str) -> Window:
        """Open a window now. Raises `RequestError` for one that is not allowed."""
        if not MIN_SECONDS <= seconds <= MAX_SECONDS:
            raise RequestError("the length of a maintenance window must be 1s–4h")
        if not relays:
            raise RequestError("a maintenance window needs a relay")
        if len(self._open) >= MAX_OPEN:
            raise RequestError(f"{MAX_OPEN} maintenance windows are open; end one first")
        for name, text in (("reason", reason), ("by", by)):
            if not text or len(text) > MAX_TEXT or not text.isprintable():
                raise RequestError(f"{name} must be 1–{MAX_TEXT} printable characters on one line")
        now, wall = self._clock.monotonic(), self._clock.time()
        window = Window(_utc(wall), _utc(wall + seconds), reason, tuple(dict.fromkeys(relays)), self._new_id(), by)
        self._open[window.id] = _Entry(window, now, now + seconds)
        return window

    def end(self, id: str) -> Window | None:  # noqa: A002 - the field's name
        """End an open window now, and return it; None if there is none of this id."""
        entry = self._open.get(id)
        return self._close(entry, self._clock.monotonic()) if entry is not None and entry in self._current() else None

    def expire(self) -> list[Window]:
        """Close the windows whose time is over, and return them."""
        current = self._current()
        return [self._close(entry, entry.end) for entry in list(self._open.values()) if entry not in current]

    def list(self) -> tuple[Window, ...]:
        """Return the open windows, the first to end first."""
        return tuple(entry.window for entry in sorted(self._current(), key=lambda entry: entry.end))

    def active(self, relay: str, at: float) -> Window | None:
        """Return the open window of `relay` that ends last; `at` is a time on the wall clock."""
        if not self._open:
            return None  # as nearly always; each report and each relay asks every second
        at = self._monotonic(at)
        found = [
            entry for entry in self._open.values() if entry.start <= at < entry.end and entry.window.includes(relay)
        ]
        return max(found, key=lambda entry: entry.end).window if found else None

    def overlaps(self, relay: str, since: float, until: float) -> bool:
        """Return whether a window of `relay` is or was open between two times on the wall clock."""
        since, until = self._monotonic(since), self._monotonic(until)
        return any(
            entry.start <= until and since < entry.end and entry.window.includes(relay)
            for entry in (*self._open.values(), *self._ended)
        )

    def restore(self, windows: Iterable[Window]) -> Sequence[Window]:
        """Take over the windows of an earlier process, and return those that have ended since."""
        now, wall = self._clock.monotonic(), self._clock.time()
        expired = []
        for window in windows:
            left = min(window.end.timestamp() - wall, (window.end - window.start).total_seconds(), MAX_SECONDS)
            if left > 0 and len(self._open) < MAX_OPEN:
                since = min(window.start.timestamp() - wall, 0.0)
                self._open[window.id] = _Entry(window, now + since, now + left)
            else:
                expired.append(window)
        return expired

    def _current(self) -> Sequence[_Entry]:
        now = self._clock.monotonic()
        return [entry for entry in self._open.values() if now < entry.end]

    def _close(self, entry: _Entry, at: float) -> Window:
        del self._open[entry.window.id]
        wall = self._clock.time() - (self._clock.monotonic() - at)
        ended = replace(entry.window, end=_utc(wall))
        self._ended.append(_Entry(ended, entry.start, at))
        return ended

    def _monotonic(self, wall: float) -> float:
        return self._clock.monotonic() - (self._clock.time() - wall)

    def _new_id(self) -> str:
        while (id_ := "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))) in self._open:
            pass
        return id_


def _utc(time: float) -> datetime:
    return datetime.fromtimestamp(time, UTC)
