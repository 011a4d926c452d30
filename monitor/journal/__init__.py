"""The run journal: the last runs of each probe, and more of the failed ones.

`journal` stores and finds runs, `values` are their sums, `serialize` converts a run to JSON and back, `file` keeps
runs across restarts if there is a `state_dir`.
"""

from monitor.journal.interim import StoredEvent
from monitor.journal.journal import Journal
from monitor.journal.serialize import run_to_json
from monitor.journal.stored import StoredRun
from monitor.journal.values import Cell, Events, FailureGroup, Histogram, RunSummary

__all__ = [
    "Cell",
    "Events",
    "FailureGroup",
    "Histogram",
    "Journal",
    "RunSummary",
    "StoredEvent",
    "StoredRun",
    "run_to_json",
]
