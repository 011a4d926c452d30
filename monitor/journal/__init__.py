"""The run journal: the last runs of each probe, and more of the failed ones.

`journal` stores and finds runs, `serialize` converts one to JSON and back, `file` keeps them across restarts if there
is a `state_dir`.
"""

from monitor.journal.journal import Journal, StoredRun
from monitor.journal.serialize import run_to_json

__all__ = ["Journal", "StoredRun", "run_to_json"]
