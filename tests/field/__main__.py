"""Measure pages in the field: `python -m tests.field [KIND …]`; exits with 1 if something is not as promised.

Writes all figures to build/field.json.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

import pytest

from tests.counterparts import BUILD, ENGINE, MissingToolError
from tests.e2e.programs import ALERTMANAGER, PROMETHEUS, PROMTOOL, find
from tests.field.faults import KINDS
from tests.field.report import table, to_json
from tests.field.runner import OTHERS, Settings, run


def main(names: list[str]) -> int:
    """Run the named kinds, or all; return the exit status."""
    known = [kind.name for kind in KINDS] + list(OTHERS)
    if unknown := set(names) - set(known):
        sys.stderr.write(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(known)}\n")
        return 2
    try:
        ENGINE.obtain()
        for program in (PROMTOOL, PROMETHEUS, ALERTMANAGER):
            find(program)
    except (MissingToolError, pytest.skip.Exception) as missing:
        sys.stderr.write(f"{missing}\n")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        outcome = asyncio.run(run(Path(folder), Settings(kinds=names or known)))
    lines = table(outcome.measured, outcome.unexpected)
    sys.stdout.write("\n".join(lines) + "\n")
    figures = to_json(outcome.measured, outcome.unexpected)
    (BUILD / "field.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return int(bool(figures["wrong"] or figures["unexpected"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
