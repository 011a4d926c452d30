"""What ran: the last runs of each probe, and more of the failed ones.

`journal` remembers and is asked, `form` is a run as JSON, `file` keeps it across restarts given a `state_dir`.
"""

from monitor.journal.journal import Journal, Kept
from monitor.journal.serialize import run_to_json

__all__ = ["Journal", "Kept", "run_to_json"]
