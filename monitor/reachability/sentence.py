"""The condition of a relay in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.durations import duration
from monitor.vocabulary import Condition, cause_name

if TYPE_CHECKING:
    from datetime import datetime

    from monitor.results import Cause, RelayStatus

ATTEMPTS_ALONE: Final = "the monitor restarted meanwhile and has no connection left to show if existing ones deliver"
"""Why a relay that accepted no new connections is said to be down after a restart of the monitor."""


def describe(status: RelayStatus, now: datetime) -> str:
    """Return one sentence of a relay's condition: what, for how long, and why."""
    why = explain(status)
    if status.condition is Condition.NOT_ACCEPTING:
        return why
    words = {Condition.DOWN: "down", Condition.UNKNOWN: "unknown", Condition.DEGRADED: "degraded"}
    word = words.get(status.condition, "up")
    lasted = f"{word} for {duration((now - status.since).total_seconds())}"
    return f"{lasted}: {why}" if why else lasted


def explain(status: RelayStatus) -> str:
    """Return why a relay is in its condition; empty if it is up."""
    cause = name_cause(status.cause)
    counts = f"{status.failed} of {status.attempts}"
    match status.condition:
        case Condition.DOWN:
            recovering = ", messages cross again" if status.up else ""
            alone = f"; {ATTEMPTS_ALONE}" if status.attempts_alone else ""
            return f"{cause or 'no message crosses'}, {counts} attempts failed{recovering}{alone}"
        case Condition.NOT_ACCEPTING:
            return f"new connections fail ({cause}, {counts}); existing ones deliver"
        case Condition.DEGRADED:
            parts = [f"{counts} exchanges failed"] if status.failed else []
            if cause:
                parts.append(cause)
            if not parts and status.slow:
                parts.append(f"{status.slow} of {status.attempts} exchanges over the latency threshold")
            return ", ".join(parts) or "too many exchanges over the latency threshold"
        case Condition.UNKNOWN:
            so_far = f", so far {cause}" if cause and status.up is None else ""
            return f"{status.reason_unknown}{so_far}"
    return ""


def name_cause(cause: Cause | None) -> str:
    """Return a cause in few words: its step, its status or reason, and its endpoint."""
    if cause is None:
        return ""
    return cause_name(cause.step, cause.reason, cause.status) + (f" at {cause.endpoint}" if cause.endpoint else "")
