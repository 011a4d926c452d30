"""Files of the documentation that are made from the code: write them, or check them, `python -m MODULE [--check]`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path


def write_or_check(files: Mapping[Path, str], arguments: Sequence[str] | None = None) -> int:
    """Write each file, or with `--check` report those that differ. Return the exit status.

    `arguments` are those of the command line by default.
    """
    parser = argparse.ArgumentParser(description="Write generated files, or check them.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file is outdated")
    check = parser.parse_args(arguments).check
    outdated = [path for path, text in files.items() if not path.is_file() or path.read_text("utf-8") != text]
    for path in outdated:
        if check:
            sys.stderr.write(f"{path} does not match what it is made from: run make docs\n")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], "utf-8")
    return int(check and bool(outdated))


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown, with a line end after each row."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |\n" for line in lines)
