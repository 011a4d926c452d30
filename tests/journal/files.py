"""What is in the file of a journal whose monitor has ended."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from monitor.journal.packing import unpack

if TYPE_CHECKING:
    from pathlib import Path


def stored_runs(folder: Path) -> list[dict[str, Any]]:
    """Return the runs that are stored whole, in the order in which they were written."""
    with closing(sqlite3.connect(folder / "journal.db")) as connection:
        return [unpack(body) for (body,) in connection.execute("SELECT body FROM runs ORDER BY number")]


def counted(folder: Path, outcome: str, table: str = "minutes") -> int:
    """Return how many exchanges of an outcome a roll-up counts."""
    with closing(sqlite3.connect(folder / "journal.db")) as connection:
        number: int = connection.execute(f"SELECT coalesce(sum({outcome}), 0) FROM {table}").fetchone()[0]  # noqa: S608 - our names
        return number


def integrity(folder: Path) -> str:
    """Return "ok", or what is wrong with the file."""
    with closing(sqlite3.connect(folder / "journal.db")) as connection:
        found: str = connection.execute("PRAGMA integrity_check").fetchone()[0]
        return found
