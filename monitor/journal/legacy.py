"""Reads the file of earlier versions, `runs.jsonl`: one run in JSON on each line.

It is read once. Afterwards it has another name, so that an earlier version that is installed again begins a new one.
"""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final

import structlog

from monitor.journal.collecting import Collector
from monitor.journal.store import Pending
from monitor.journal.stored import stored_from_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from monitor.journal.store import Store
    from monitor.journal.stored import StoredRun

_log = structlog.get_logger(__name__)

NAMES: Final = ("runs.jsonl.1", "runs.jsonl")
"""The files, oldest first."""

MAX_BYTES: Final = 8 << 20
"""Size above which a file is not read: none that was written is as large."""

CHUNK: Final = 500
"""Runs that are in memory at once."""

SUFFIX: Final = ".imported"


def read_runs(folder: Path) -> Iterator[StoredRun]:
    """Yield the runs of the files in `folder`, oldest first. Lines that are no runs are skipped and counted."""
    for path in (folder / name for name in NAMES):
        invalid = 0
        try:
            if path.stat().st_size > MAX_BYTES:
                _log.warning("run journal of an earlier version not read: too large", path=str(path))
                continue
            with path.open(encoding="utf-8", errors="replace") as file:
                for line in filter(str.strip, file):
                    try:
                        yield stored_from_json(json.loads(line))
                    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, AttributeError):
                        invalid += 1
        except FileNotFoundError:
            continue
        except OSError as error:
            _log.warning("run journal of an earlier version cannot be read", path=str(path), why=error.strerror)
        if invalid:
            _log.warning("run journal of an earlier version has lines that are not runs", path=str(path), lines=invalid)


def import_runs(connection: sqlite3.Connection, store: Store, folder: Path) -> None:
    """Write the runs of the files into the database, in its transaction, unless it has these files already.

    Raises `sqlite3.Error`.
    """
    files = _describe(folder)
    key = ("imported",)
    if not files or connection.execute("SELECT value FROM meta WHERE key = ?", key).fetchone() == (files,):
        return
    collector, number = Collector(), 0
    for chunk in _chunks(read_runs(folder)):
        pending = Pending()
        for stored in chunk:
            collector.add_run(pending, stored, (), stored.at.timestamp())
        store.write(connection, pending)
        number += len(chunk)
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (*key, files))
    _log.info("run journal of an earlier version was read", runs=number)


def mark_read(folder: Path) -> None:
    """Rename the files, so that they are not read again."""
    for path in (folder / name for name in NAMES):
        with suppress(OSError):
            path.replace(path.with_name(path.name + SUFFIX))


def _describe(folder: Path) -> str:
    """Return a text that changes with the files; empty without any."""
    found = []
    for name in NAMES:
        with suppress(OSError):
            status = (folder / name).stat()
            found.append(f"{name} {status.st_size} {status.st_mtime_ns}")
    return "; ".join(found)


def _chunks(runs: Iterator[StoredRun]) -> Iterator[list[StoredRun]]:
    while chunk := list(islice(runs, CHUNK)):
        yield chunk
