"""Counts the machine instructions of an exchange, also of the minimal client: `python -m bench.instructions`.

Unlike CPU seconds, instructions do not depend on what else the machine runs. valgrind counts them for ten pairs over a
short and a long window, whose difference leaves out the start. Takes about four minutes; needs valgrind
(`apt-get install -y valgrind`).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

from bench.programs import ENVIRON, relay
from tests.counterparts import ROOT

PAIRS = 10
WINDOWS = (10, 50)
COUNT = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")


def counted(program: str, url: str, window: int) -> tuple[int, int]:
    """Return the instructions of a whole process, and the exchanges of its window."""
    command = [*COUNT, sys.executable, "-m", f"bench.{program}", url, str(PAIRS), "1", "0.5", str(window)]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRON, capture_output=True, text=True, timeout=600, check=True)
    found = re.search(r"I +refs: +([\d,]+)", done.stderr)
    assert found is not None, done.stderr[-2000:]
    return int(found[1].replace(",", "")), json.loads(done.stdout.splitlines()[0])["exchanges"]


def per_exchange(program: str, url: str) -> float:
    """Return the instructions an exchange."""
    (few, short), (many, long) = (counted(program, url, window) for window in WINDOWS)
    return (many - few) / (long - short)


def main() -> None:
    """Count both, and print the ratio."""
    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is not installed: apt-get install -y valgrind")
    with relay() as url:
        monitor, minimal = per_exchange("persistent_pairs", url), per_exchange("minimal_client", url)
    print(
        f"instructions an exchange: {monitor / 1e6:.2f} million, minimal client {minimal / 1e6:.2f} million: "
        f"{monitor / minimal:.2f}×"
    )


if __name__ == "__main__":
    main()
