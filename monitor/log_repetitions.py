"""Log the first of repeated failures whole, and count the others for one summary a minute.

A call site marks a line that may repeat with `repeats=True`. Lines of one relay belong together; of these, lines of one
event and cause are repetitions of each other.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import structlog

from monitor.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

    from monitor.clock import Clock

_log = structlog.get_logger(__name__)

INTERVAL: Final = 60.0
"""Seconds that a summary covers."""

MEMORY: Final = 600.0
"""Seconds after which a cause that does not occur is forgotten: its next line is logged whole."""

MAX_CAUSES: Final = 10
"""Largest number of different lines of one relay that are logged whole in `MEMORY` seconds."""

MAX_GROUPS: Final = 2_000
"""Largest number of relays; lines of further ones are logged whole."""

MARK: Final = "repeats"

_CAUSE: Final = ("step", "reason", "status")


@dataclass(slots=True)
class _Group:
    """The lines of one relay. `since`: when its interval began; `seen`: event and cause → when it last occurred."""

    since: float
    seen: dict[tuple[str, str], float] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    last_run: str | None = None
    warns: bool = False

    def summary(self, seconds: float) -> dict[str, Any]:
        """Return the fields of a summary, and begin to count anew."""
        fields: dict[str, Any] = {
            "seconds": round(seconds),
            "lines": self.events.total(),
            "events": dict(self.events.most_common()),
            "causes": dict(self.causes.most_common()),
        }
        if self.last_run is not None:
            fields["last_run_id"] = self.last_run
        self.events.clear()
        self.causes.clear()
        self.last_run = None
        return fields


class Repetitions:
    """A processor of structlog that drops repetitions while it is `enabled`. Safe to call from any thread."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self.enabled = False
        self._clock = clock
        self._lock = threading.Lock()
        self._groups: dict[str | None, _Group] = {}

    def __call__(self, _logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Return a line that is to be logged, without its mark. Raises `DropEvent` for another one."""
        if event.pop(MARK, False) and self.enabled:
            with self._lock:
                if not self._is_first(event, warns=method != "info"):
                    raise structlog.DropEvent
        return event

    def _is_first(self, event: EventDict, *, warns: bool) -> bool:
        now, relay = self._clock.monotonic(), event.get("relay")
        group = self._groups.get(relay)
        if group is None:
            if len(self._groups) >= MAX_GROUPS:
                return True
            group = self._groups[relay] = _Group(now)
        name, cause = event["event"], _cause_of(event)
        key = (name, cause)
        is_first = key not in group.seen and len(group.seen) < MAX_CAUSES
        if is_first or key in group.seen:
            group.seen[key] = now
        if not is_first:
            group.events[name] += 1
            group.causes[cause if cause in group.causes or len(group.causes) < MAX_CAUSES else "other"] += 1
            group.last_run = event.get("run_id", group.last_run)
            group.warns |= warns
        return is_first

    def summarize(self) -> None:
        """Log the summaries that are due. To be called every second or so."""
        now = self._clock.monotonic()
        with self._lock:
            due = [(relay, group) for relay, group in self._groups.items() if now - group.since >= INTERVAL]
            for relay, group in due:
                group.seen = {key: at for key, at in group.seen.items() if now - at < MEMORY}
                if not group.seen:
                    del self._groups[relay]
            summaries = [self._end_interval(relay, group, now) for relay, group in due]
        self._report(summaries)

    def forget(self, relay: str | None = None) -> None:
        """Log what was counted for a relay, None for all, and log its next failure whole."""
        now = self._clock.monotonic()
        with self._lock:
            relays = list(self._groups) if relay is None else [relay]
            groups = [(name, self._groups.pop(name)) for name in relays if name in self._groups]
            summaries = [self._end_interval(name, group, now) for name, group in groups]
        self._report(summaries)

    def _end_interval(self, relay: str | None, group: _Group, now: float) -> tuple[bool, dict[str, Any]]:
        seconds, group.since = now - group.since, now
        if not group.events:
            return False, {}
        return group.warns, ({} if relay is None else {"relay": relay}) | group.summary(seconds)

    def _report(self, summaries: list[tuple[bool, dict[str, Any]]]) -> None:
        for warns, fields in summaries:
            if fields:
                (_log.warning if warns else _log.info)("failures continue", **fields)


def _cause_of(event: EventDict) -> str:
    """Return what the line's failure is, without the details that differ each time."""
    parts = [str(event[name]) for name in _CAUSE if event.get(name)]
    return " ".join(parts) or str(event.get("task", ""))
