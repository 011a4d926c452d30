"""Cause incidents on real clusters: `python -m tests.cluster [CASE …]`; exits with 1 if something wrong was said."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import pytest

from tests.cluster.cases import CASES
from tests.cluster.cluster import redis_program
from tests.cluster.runner import run_all, table
from tests.counterparts import CENTRIFUGO, TOXIPROXY, MissingToolError
from tests.e2e.programs import ALERTMANAGER, PROMETHEUS, PROMTOOL, find


def main(names: list[str]) -> int:
    """Run the named cases, or all; return the exit status."""
    if unknown := set(names) - {case.name for case in CASES}:
        sys.stderr.write(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(case.name for case in CASES)}\n")
        return 2
    try:
        redis_program()
        for counterpart in (CENTRIFUGO, TOXIPROXY):
            counterpart.obtain()
        for program in (PROMTOOL, PROMETHEUS, ALERTMANAGER):
            find(program)
    except (MissingToolError, pytest.skip.Exception) as missing:
        sys.stderr.write(f"{missing}\n")
        return 2
    cases = [case for case in CASES if not names or case.name in names]
    with tempfile.TemporaryDirectory() as folder:
        incidents = asyncio.run(run_all(cases, Path(folder)))
    sys.stdout.write("\n".join(table(incidents)) + "\n")
    wrong = sum(not check.good for incident in incidents for check in incident.checks)
    total = sum(len(incident.checks) for incident in incidents)
    sys.stdout.write(f"{len(incidents)} incidents, {total} checks, {wrong} wrong\n")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
