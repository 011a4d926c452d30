"""The condition of each relay, kept in `state_dir`, so that a monitor that restarts in an outage begins with it."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import structlog

from monitor.results import Cause, RelayStatus
from monitor.state import StateFile
from monitor.vocabulary import Condition, Reason, Step

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.clock import Clock
    from monitor.config import RelayConfig
    from monitor.state import StateFolder

_log = structlog.get_logger(__name__)

NAME: Final = "conditions.json"

MAX_AGE: Final = 900.0
"""Seconds since the file was written after which its conditions say nothing any more."""

REWRITE_INTERVAL: Final = 60.0
"""Seconds between two writes while nothing changes: the age of the file is how long no monitor has run."""


class Conditions:
    """The file of conditions. To be used from one thread; only `read` and `close` may block."""

    def __init__(self, folder: StateFolder, clock: Clock) -> None:
        self._file = StateFile(folder, NAME)
        self._clock = clock
        self._entries: dict[str, dict[str, Any]] = {}  # by relay
        self._changed = True
        self._written_at = float("-inf")

    def read(self, relays: Iterable[RelayConfig]) -> dict[str, RelayStatus]:
        """Return the conditions of those relays that have the same address as when the file was written."""
        content = self._file.read()
        if content is None:
            return {}
        try:
            data = json.loads(content)
            if not 0 <= self._clock.time() - data["written"] <= MAX_AGE:
                return {}
            entries = {
                relay.name: entry
                for relay in relays
                if (entry := data["relays"].get(relay.name)) is not None and entry["address"] == _address(relay)
            }
            found = {name: self._status(name, entry) for name, entry in entries.items()}
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            _log.warning("conditions of the last run ignored: damaged", path=str(self._file.path), why=repr(error))
            return {}
        self._entries = entries
        return found

    def note(self, relay: RelayConfig, status: RelayStatus) -> None:
        """Take over a changed condition; one without a verdict leaves none."""
        self._changed = True
        if status.up is None:
            self._entries.pop(relay.name, None)
        else:
            self._entries[relay.name] = self._entry(relay, status)

    def note_all(self, statuses: Iterable[tuple[RelayConfig, RelayStatus]]) -> None:
        """Take over what is said at the end of the process: counts have grown since the conditions changed."""
        for relay, status in statuses:
            self.note(relay, status)

    def forget(self, relay: str) -> None:
        """Forget a removed relay."""
        self._changed |= self._entries.pop(relay, None) is not None

    def write(self, *, always: bool = False) -> None:
        """Write if something changed, or for a long time nothing did. To be called about once a second."""
        now = self._clock.monotonic()
        if always or self._changed or now - self._written_at >= REWRITE_INTERVAL:
            self._changed, self._written_at = False, now
            self._file.write(json.dumps({"written": self._clock.time(), "relays": self._entries}).encode())

    def close(self, timeout: float) -> None:
        """Wait until the latest conditions are written, for at most `timeout` seconds."""
        self._file.close(timeout)

    def _entry(self, relay: RelayConfig, status: RelayStatus) -> dict[str, Any]:
        cause = status.cause
        return {
            "address": _address(relay),
            "condition": status.condition.value,
            "since": status.since.isoformat(),
            "up": status.up,
            "accepting": status.accepting,
            "attempts": status.attempts,
            "failed": status.failed,
            "slow": status.slow,
            "attemptsAlone": status.attempts_alone,
            "reasonUnknown": status.reason_unknown,
            "cause": None
            if cause is None
            else {
                "step": cause.step.value,
                "reason": cause.reason.value,
                "status": cause.status,
                "detail": cause.detail,
                "endpoint": cause.endpoint,
                "at": self._clock.time() - (self._clock.monotonic() - cause.at),
            },
        }

    def _status(self, relay: str, entry: dict[str, Any]) -> RelayStatus:
        cause = entry["cause"]
        since = datetime.fromisoformat(entry["since"])
        if since.tzinfo is None or not {entry["up"], entry["accepting"]} <= {True, False, None}:
            raise ValueError(f"not a condition: {entry}")
        return RelayStatus(
            relay=relay,
            condition=Condition(entry["condition"]),
            since=since,
            up=entry["up"],
            accepting=entry["accepting"],
            attempts=int(entry["attempts"]),
            failed=int(entry["failed"]),
            slow=int(entry.get("slow", 0)),  # earlier versions have none
            attempts_alone=entry.get("attemptsAlone") is True,
            reason_unknown=str(entry["reasonUnknown"]),
            cause=None
            if cause is None
            else Cause(
                step=Step(cause["step"]),
                reason=Reason(cause["reason"]),
                status=str(cause["status"]),
                detail=str(cause["detail"]),
                endpoint=str(cause["endpoint"]),
                at=self._clock.monotonic() - (self._clock.time() - float(cause["at"])),
            ),
        )


def _address(relay: RelayConfig) -> str:
    """Return a hash of where a relay is: with another address it is another relay."""
    text = relay.model_dump_json(include={"url", "endpoints"})
    return hashlib.sha256(text.encode()).hexdigest()[:16]
