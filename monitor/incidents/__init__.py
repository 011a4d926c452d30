"""Incidents: what happened to one relay from its first failure until it was up for five minutes.

`machine` decides when an incident opens, changes and closes, and collects its entries. `incident` has the values,
`identifier` their ids, `serialize` their JSON form and `markdown` the text for a post-mortem. Nothing here does I/O.
"""

from monitor.incidents.incident import CauseCount, Entry, EntryKind, Failed, Incident, Tally
from monitor.incidents.machine import Change, ChangeKind, IncidentMachine
from monitor.incidents.markdown import to_markdown
from monitor.incidents.serialize import incident_from_json, incident_to_json

__all__ = [
    "CauseCount",
    "Change",
    "ChangeKind",
    "Entry",
    "EntryKind",
    "Failed",
    "Incident",
    "IncidentMachine",
    "Tally",
    "incident_from_json",
    "incident_to_json",
    "to_markdown",
]
