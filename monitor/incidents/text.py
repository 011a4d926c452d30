"""Incidents in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.durations import duration
from monitor.incidents.incident import BAD, SEVERITY
from monitor.vocabulary import Condition

if TYPE_CHECKING:
    from datetime import datetime

    from monitor.incidents.incident import Incident

WORDS: Final = {
    Condition.UP: "up",
    Condition.DEGRADED: "degraded",
    Condition.NOT_ACCEPTING: "not accepting new connections",
    Condition.DOWN: "down",
    Condition.UNKNOWN: "not observed",
}
"""What is said of a relay in each condition: "Relay is …"."""

VERDICTS: Final = {"unrecovered": "not recovered"}
"""Verdicts whose names are not words."""


def main_cause(incident: Incident) -> str:
    """Return a cause in few words: of an open incident the latest, otherwise the most frequent.

    Where nothing failed, why the relay was in its condition; empty if that is not known.
    """
    if incident.is_open:
        found = max(incident.causes, key=lambda cause: cause.last, default=None)
    else:
        found = max(incident.causes, key=lambda cause: cause.count, default=None)
    if found is not None:
        return found.name
    # Round trips over their threshold are no failures.
    whys = [str(entry.fields["why"]) for entry in incident.entries if "why" in entry.fields]
    return whys[-1] if whys else ""


def bad_seconds(incident: Incident, now: datetime) -> dict[Condition, float]:
    """Return how long each bad condition lasted until `now`, the worst first."""
    lasted = {Condition(name): seconds for name, seconds in incident.seconds.items() if Condition(name) in BAD}
    if incident.is_open and incident.condition in BAD:  # also since it was last updated
        since = max(0.0, (now - incident.updated_at).total_seconds())
        lasted[incident.condition] = lasted.get(incident.condition, 0.0) + since
    return dict(sorted(lasted.items(), key=lambda item: -SEVERITY[item[0]]))


def summarize(incident: Incident, now: datetime) -> str:
    """Return one sentence of an incident: how bad, for how long, why, and what remains."""
    lasted = {condition: seconds for condition, seconds in bad_seconds(incident, now).items() if seconds >= 1}
    lasted = lasted or {incident.worst: 0.0}
    cause = main_cause(incident)
    parts = [_lasted(incident, condition, seconds) for condition, seconds in lasted.items()]
    if cause and len(parts) == 1:
        parts[0] += f": {cause}"
    elif cause:
        parts.append(f"{'latest' if incident.is_open else 'most frequent'} cause {cause}")
    if incident.lost:
        parts.append(f"{incident.lost} message{'s' * (incident.lost > 1)} lost")
    if incident.unobserved_seconds >= 1:
        parts.append(f"no monitor for {duration(incident.unobserved_seconds)}")
    if incident.reopened:
        parts.append(f"reopened {incident.reopened} ×")
    if incident.is_open and incident.recovered_at is not None:
        parts.append(f"up again since {incident.recovered_at:%H:%M:%S} UTC")
    return ", ".join(parts)


def _lasted(incident: Incident, condition: Condition, seconds: float) -> str:
    """Return how long a condition lasted, and in how many periods; the page of the relay has the present one."""
    periods = sum(entry.fields.get("condition") == condition.value for entry in incident.entries)
    return f"{WORDS[condition]} for {duration(seconds)}" + (f" in {periods} periods" if periods > 1 else "")
