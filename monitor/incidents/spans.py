"""The conditions of an incident along time, for its chart."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from monitor.incidents.incident import EntryKind
from monitor.vocabulary import Condition

if TYPE_CHECKING:
    from monitor.incidents.incident import Entry, Incident

_CHANGES: Final = frozenset({EntryKind.OPENED, EntryKind.REOPENED, EntryKind.CONDITION})


class Span(NamedTuple):
    """One condition from `start` to `end`; None before the incident opened and while it was closed."""

    start: datetime
    end: datetime
    condition: Condition | None

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end - self.start).total_seconds()


def condition_since(incident: Incident) -> datetime:
    """Return since when the incident has its present condition: the time that the relay's page says too."""
    changes = [entry for entry in incident.entries if entry.kind in _CHANGES]
    return _began(max(changes, key=lambda entry: entry.at)) if changes else incident.opened_at


def _began(entry: Entry) -> datetime:
    """Return when the condition of an entry began, which is before it was known."""
    since = entry.fields.get("since")
    return min(entry.at, datetime.fromisoformat(since)) if isinstance(since, str) else entry.at


def spans(incident: Incident, now: datetime) -> list[Span]:
    """Return the spans of an incident from its first failure until `now`, or until it was closed."""
    found: list[Span] = []
    start, condition = incident.began_at, None
    for entry in incident.entries:
        if entry.kind in _CHANGES:
            following: Condition | None = Condition(str(entry.fields["condition"]))
        elif entry.kind is EntryKind.CLOSED:
            following = None
        elif entry.kind is EntryKind.GAP and "since" in entry.fields:
            gone = max(start, datetime.fromisoformat(str(entry.fields["since"])))
            found.append(Span(start, gone, condition))
            found.append(Span(gone, max(gone, entry.at), Condition.UNKNOWN))
            start = max(gone, entry.at)
            continue
        else:
            continue
        ended = max(incident.began_at, _began(entry)) if following is not None else max(start, entry.at)
        found.append(Span(start, ended, condition))
        # The condition before was found later than this one began.
        found = [span._replace(end=min(span.end, ended)) for span in found]
        start, condition = ended, following
    if incident.is_open:
        found.append(Span(start, max(start, now), condition))
    return [span for span in found if span.seconds > 0]
