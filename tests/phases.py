"""Run all tests in phases: `python -m tests.phases [--workers NUMBER] [ARGUMENT OF PYTEST …]`.

Those in a browser run beside the parallel ones. Those that compare real time with a bound run after them, two at a
time, since most of them wait.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from typing import TYPE_CHECKING, Final

from tests.tiers import Phase

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

ALONE_WORKERS: Final = 2

PASSED: Final = frozenset({0, 5})
"""Exit statuses of pytest: all tests passed, no test was selected."""

INTERRUPTED: Final = 130


def command(phase: Phase, workers: int, arguments: Sequence[str]) -> list[str]:
    """Return the command of a phase."""
    several = {
        Phase.PARALLEL: ("--numprocesses", str(workers), "--dist", "worksteal"),
        Phase.BROWSER: (),
        Phase.ALONE: ("--numprocesses", str(ALONE_WORKERS), "--dist", "loadfile"),
    }
    return [sys.executable, "-m", "pytest", "--phase", phase, *several[phase], *arguments]


def status_of(statuses: Collection[int]) -> int:
    """Return 0 if all tests passed, 5 if no phase has one, else 1."""
    if not set(statuses) <= PASSED:
        return 1
    return min(statuses)


def run(workers: int, arguments: Sequence[str]) -> int:
    """Run the phases, each with its output in one piece, and return the exit status."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        browser = subprocess.Popen(command(Phase.BROWSER, workers, arguments), stdout=output, stderr=subprocess.STDOUT)
        try:
            parallel = subprocess.run(command(Phase.PARALLEL, workers, arguments), check=False).returncode
        finally:
            browser.wait()
        output.seek(0)
        sys.stdout.buffer.write(output.read())
    between = time.monotonic()
    alone = subprocess.run(command(Phase.ALONE, workers, arguments), check=False).returncode
    sys.stdout.write(f"in parallel {between - started:.0f} s, alone {time.monotonic() - between:.0f} s\n")
    return status_of((parallel, browser.returncode, alone))


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    parser = ArgumentParser(prog="python -m tests.phases")
    parser.add_argument("--workers", type=int, default=4, help="processes of the parallel phase")
    chosen, arguments = parser.parse_known_args(argv)
    try:
        return run(chosen.workers, arguments)
    except KeyboardInterrupt:  # pytest was interrupted as well, and has said so
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
