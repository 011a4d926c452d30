"""The journal: what happened, in SQLite; in memory without a `state_dir`.

What is added on the event loop (`journal`) is queued for a thread (`writer`), which sorts it (`collecting`): sums are
added to roll-ups (`increments`), failed runs and some of the others are stored whole (`store`, `packing`). Pages and
budgets read the sums (`cells`, `queries`). The last runs of each probe are also in memory (`recent`). Old entries are
removed (`pruning`, `retention`). `schema` has the tables, `database` the connections, `values` what queries return.
"""

from monitor.journal.journal import Journal
from monitor.journal.serialize import run_to_json
from monitor.journal.stored import StoredRun
from monitor.journal.values import Cell, Events, FailureGroup, Histogram, RunSummary, StoredEvent

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
