"""Maintenance on demand: windows that operators start, kept in `state_dir` over restarts."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import structlog

from monitor.clock import utc
from monitor.errors import RequestError
from monitor.schedule import OnDemandWindows, Window
from monitor.state import StateFile

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from monitor.clock import Clock
    from monitor.state import StateFolder

_log = structlog.get_logger(__name__)

NAME: Final = "maintenance.json"


class MaintenanceOnDemand:
    """Starts, ends and lists windows. To be used on the event loop; only `read` and `close` may block.

    relays: returns the names of the relays that exist. configured: returns the open windows of the configuration, to be
    listed too. on_change: called with a window and what happened to it:
    "started", "ended" (by an operator) or "expired".
    """

    def __init__(
        self,
        folder: StateFolder | None,
        clock: Clock,
        relays: Callable[[], Collection[str]],
        configured: Callable[[], tuple[Window, ...]],
        on_change: Callable[[Window, str], None] = lambda _window, _what: None,
    ) -> None:
        self.windows = OnDemandWindows(clock)
        self._clock = clock
        self._file = StateFile(folder, NAME) if folder is not None else None
        self.relays = relays
        self.configured = configured
        self._on_change = on_change

    def start(self, relays: Sequence[str] | None, seconds: float, reason: str, by: str) -> Window:
        """Open a window of some relays, None for all that exist now. Raises `RequestError`."""
        known = self.relays()
        if relays is not None and (unknown := sorted(set(relays) - set(known))):
            raise RequestError(f"this monitor has no relay {unknown[0]!r}")
        window = self.windows.start(sorted(known) if relays is None else relays, seconds, reason, by)
        self._changed(window, "started")
        return window

    def end(self, id: str, by: str = "") -> Window:  # noqa: A002 - the field's name
        """End a window. Raises `RequestError` if none of this id is open."""
        window = self.windows.end(id)
        if window is None:
            raise RequestError(f"no maintenance window {id[:40]!r} is open")
        self._changed(window, "ended", by=by)
        return window

    def now(self) -> datetime:
        """Return the present time, in UTC."""
        return utc(self._clock)

    def list(self) -> tuple[Window, ...]:
        """Return the open windows on demand, the first to end first."""
        return self.windows.list()

    def review(self) -> None:
        """Close the windows whose time is over. To be called every second or so."""
        for window in self.windows.expire():
            self._changed(window, "expired")

    def read(self) -> None:
        """Take over the windows of the last process. May block."""
        content = self._file.read() if self._file is not None else None
        if content is None:
            return
        try:
            expired = self.windows.restore([_window(entry) for entry in json.loads(content)["windows"]])
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            _log.warning("maintenance windows of the last run ignored: damaged", why=repr(error)[:200])
            return
        for window in self.list():
            _log.info("maintenance continues", **described(window))
        for window in expired:
            self._changed(window, "expired", note="no monitor ran at its end")

    def close(self, timeout: float) -> None:
        """Wait until the windows are written, for at most `timeout` seconds. May block."""
        if self._file is not None:
            self._file.close(timeout)

    def _changed(self, window: Window, what: str, **fields: str) -> None:
        if self._file is not None:
            self._file.write(json.dumps({"windows": [_entry(window) for window in self.list()]}).encode())
        _log.info(f"maintenance {what}", **described(window), **{k: v for k, v in fields.items() if v})
        self._on_change(window, what)


def described(window: Window) -> dict[str, Any]:
    """Return a window as fields of a log line."""
    return {
        "window": window.id,
        "relays": list(window.relays),
        "until": window.end.isoformat(timespec="seconds"),
        "reason": window.reason,
        "started_by": window.by,
    }


def sentence(window: Window, what: str) -> str:
    """Return what happened to a window in words."""
    if what == "started":
        return f"Maintenance started by {window.by} until {window.end:%H:%M:%S} UTC: {window.reason}"
    return f"Maintenance {what}: {window.reason}"


def _entry(window: Window) -> dict[str, Any]:
    return {
        "id": window.id,
        "relays": list(window.relays),
        "start": window.start.isoformat(),
        "end": window.end.isoformat(),
        "reason": window.reason,
        "by": window.by,
    }


def _window(entry: dict[str, Any]) -> Window:
    start, end = datetime.fromisoformat(entry["start"]), datetime.fromisoformat(entry["end"])
    relays = tuple(entry["relays"])
    if start.tzinfo is None or end.tzinfo is None or not relays:
        raise ValueError("a time without a zone, or no relay")
    if not all(isinstance(text, str) and text for text in (*relays, entry["id"], entry["reason"], entry["by"])):
        raise ValueError("not text")
    return Window(start, end, entry["reason"], relays, entry["id"], entry["by"])
