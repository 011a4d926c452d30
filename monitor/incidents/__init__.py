"""Incidents: what happened to one relay from its first failure until it was up for five minutes.

`state_machine` decides when an incident opens, changes and closes, and collects its entries; `recent` remembers the
failures before it opens, and `record` adds to it, within its limits. `incident` has the values, `identifier` their ids,
`serialize` their JSON form and `markdown` the text for a post-mortem. Nothing here does I/O.
"""

from monitor.incidents.incident import (
    BAD,
    CauseCount,
    Change,
    ChangeKind,
    Entry,
    EntryKind,
    Failed,
    FailureCount,
    Incident,
)
from monitor.incidents.markdown import to_markdown
from monitor.incidents.serialize import incident_from_json, incident_to_json
from monitor.incidents.spans import Span, spans
from monitor.incidents.state_machine import IncidentMachine
from monitor.incidents.text import summarize

__all__ = [
    "BAD",
    "CauseCount",
    "Change",
    "ChangeKind",
    "Entry",
    "EntryKind",
    "Failed",
    "FailureCount",
    "Incident",
    "IncidentMachine",
    "Span",
    "incident_from_json",
    "incident_to_json",
    "spans",
    "summarize",
    "to_markdown",
]
