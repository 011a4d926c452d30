"""Execute every command of the documentation: `python -m tests.docs [PAGE …]`; exits with 1 if one fails.

It prints what became of the commands and snippets of each page, and meanwhile how long the slow commands took. As root;
it takes about half an hour.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from monitor.text_table import Column, table
from tests.docs.blocks import NEEDS, SHELL, SNIPPETS, commands_of, pages, read_blocks
from tests.docs.pages import readings
from tests.docs.reader import Reader, Treatment, treatment_of
from tests.docs.snippets import SnippetError, check, check_queries
from tests.docs.usage import faults
from tests.e2e.programs import AMTOOL, PROMTOOL, find

if TYPE_CHECKING:
    from tests.docs.blocks import Block

TREATMENTS: Final = ("executed", "shortened", "checked only", *(f"needs {need}" for need in NEEDS))
COLUMNS: Final = ("page", *TREATMENTS, "snippets", "seconds")

SLOW: Final = 20.0
"""Seconds from which a command's are printed."""


@dataclass(slots=True)
class Counts:
    """What became of the commands and snippets of one page."""

    commands: Counter[str] = field(default_factory=Counter)
    snippets: int = 0
    seconds: float = 0.0

    def row(self, name: str) -> list[str]:
        """Return the page's row of the table."""
        numbers = [self.commands[key] for key in (Treatment.EXECUTED, Treatment.SHORTENED, Treatment.CHECKED, *NEEDS)]
        return [name, *map(str, (*numbers, self.snippets)), f"{self.seconds:.0f}"]


def main(names: list[str]) -> int:
    """Read the named pages, or all; return the exit status."""
    every = readings()
    if unknown := set(names) - every.keys():
        sys.stderr.write(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(every)}\n")
        return 2
    if os.geteuid() != 0:
        sys.stderr.write("make docs-commands needs root, for namespaces\n")
        return 2
    try:
        for program in (PROMTOOL, AMTOOL):
            find(program)
    except pytest.skip.Exception as missing:
        sys.stderr.write(f"{missing}\n")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started ends with this program
    failures: list[str] = []
    counts: dict[str, Counts] = {}
    for name in names or every:
        before = len(failures)
        counts[name] = _read(name, every[name], failures)
        sys.stderr.write(f"{name}: {counts[name].seconds:.0f} s, {len(failures) - before} faults\n")
    if not names:
        counts["other pages"] = _snippets_elsewhere(failures)
    total = Counts()
    for one in counts.values():
        total.commands += one.commands
        total.snippets += one.snippets
        total.seconds += one.seconds
    rows = [*(one.row(name) for name, one in counts.items()), total.row("total")]
    columns = [Column(name, right=name != "page") for name in COLUMNS]
    sys.stdout.write("\n".join([*table(columns, rows), *failures]) + "\n")
    return int(bool(failures))


def _read(name: str, blocks: list[Block], failures: list[str]) -> Counts:
    """Execute the commands and check the snippets of one page."""
    counts = Counts()
    started = time.monotonic()
    for block in blocks:
        for command in commands_of(block) if block.language in SHELL else ():
            treatment = treatment_of(block, command, slow=True)
            counts.commands[block.marks["needs"] if treatment is Treatment.NEEDS else treatment] += 1
            failures += [f"{command.where}: {fault}" for fault in faults(command.text)]
    try:
        with tempfile.TemporaryDirectory() as folder, Reader(Path(folder), slow=True) as reader:
            for one in reader.read(blocks, failures):
                if one.seconds > SLOW:
                    sys.stderr.write(f"  {one.command.where}: {one.seconds:.0f} s\n")
    except OSError as error:
        failures.append(f"{name}: {error}")
    counts.snippets = _snippets(blocks, failures)
    counts.seconds = time.monotonic() - started
    return counts


def _snippets(blocks: list[Block], failures: list[str]) -> int:
    """Check the snippets of one page, and return their number."""
    queries = [block for block in blocks if block.language == "promql"]
    files = [block for block in blocks if block.language in SNIPPETS and block not in queries]
    for block in files:
        with tempfile.TemporaryDirectory() as folder:
            try:
                check(block, Path(folder))
            except SnippetError as error:
                failures.append(str(error))
    if queries:
        with tempfile.TemporaryDirectory() as folder:
            try:
                check_queries(queries, Path(folder))
            except ValueError as error:
                failures.append(str(error))
    return len(queries) + len(files)


def _snippets_elsewhere(failures: list[str]) -> Counts:
    """Check the snippets of the pages without commands, which no reader reads."""
    read = readings()
    remainder = [block for path in pages() for block in read_blocks(path) if block.language in SNIPPETS]
    seen = {block.where for blocks in read.values() for block in blocks}
    return Counts(snippets=_snippets([block for block in remainder if block.where not in seen], failures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
