"""`python -m bench.instructions`: what an exchange costs in instructions, beside the minimal client.

Seconds of CPU depend on what else a machine does, above all on what is left in its caches; instructions do not.
valgrind counts them, of ten pairs, over a short and a long window; the difference leaves start-up out. About four
minutes; needs valgrind (`apt-get install -y valgrind`).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

from bench.__main__ import ENVIRON, ROOT, relay

PAIRS = 10
WINDOWS = (10, 50)
COUNT = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")


def counted(program: str, url: str, window: int) -> tuple[int, int]:
    """The instructions of a whole process, and the exchanges of its window."""
    command = [*COUNT, sys.executable, "-m", f"bench.{program}", url, str(PAIRS), "1", "0.5", str(window)]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRON, capture_output=True, text=True, timeout=600, check=True)
    found = re.search(r"I +refs: +([\d,]+)", done.stderr)
    assert found is not None, done.stderr[-2000:]
    return int(found[1].replace(",", "")), json.loads(done.stdout.splitlines()[0])["exchanges"]


def each(program: str, url: str) -> float:
    """Instructions an exchange."""
    (few, short), (many, long) = (counted(program, url, window) for window in WINDOWS)
    return (many - few) / (long - short)


def main() -> None:
    """Count both, and print the ratio."""
    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is not there: apt-get install -y valgrind")
    with relay() as url:
        ours, minimal = each("ours", url), each("minimal", url)
    print(
        f"instructions an exchange: {ours / 1e6:.2f} million, minimal client {minimal / 1e6:.2f} million: "
        f"{ours / minimal:.2f}×"
    )


if __name__ == "__main__":
    main()
