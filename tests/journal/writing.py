"""A process that writes a journal until it is killed: `python -m tests.journal.writing FOLDER`.

Each run fails, so that all are stored, and counts once for an SLO. Its detail is the monotonic time at which it was
added, which all processes share.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from monitor.clock import utc
from monitor.config import parse
from monitor.journal import Journal
from monitor.results import uuid7
from monitor.state import StateFolder
from tests.journal.sample import failed_at

CONFIG = """
relays: [{name: demo, url: "ws://127.0.0.1:9/connection/websocket"}]
probes: [{name: steady, scenario: steady-messaging}]
slos: [{name: delivery, probe: steady, sli: availability, objective: 99%}]
"""


def main(folder: str) -> None:
    """Write until the process is killed."""
    journal = Journal(StateFolder(Path(folder)))
    journal.configure(parse(CONFIG, "config.yaml", {}))
    chosen = random.Random()
    sys.stdout.write(f"{time.monotonic()}\n")
    sys.stdout.flush()
    while True:
        run_id = uuid7(time.time(), chosen)
        journal.add(failed_at(run_id, utc(time), str(time.monotonic())))
        time.sleep(0.002)


if __name__ == "__main__":
    main(sys.argv[1])
