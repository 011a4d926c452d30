"""The journal's file: JSON lines, readable by their owner only, rotated by size, written in a thread.

A file that cannot be read or written is logged and otherwise ignored. If the disk hangs, only the thread waits, and
entries beyond `MAX_QUEUED_ENTRIES` are dropped.
"""

from __future__ import annotations

import json
import os
import queue
import threading
from typing import TYPE_CHECKING, Any, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_log = structlog.get_logger(__name__)

NAME: Final = "runs.jsonl"

MAX_BYTES: Final = 4 << 20
"""Size above which the file is rotated; it replaces the one rotated before."""

MAX_QUEUED_ENTRIES: Final = 2_000
"""Largest number of entries that wait to be written."""

MAX_BATCH: Final = 50
"""Largest number of entries in one write, so that the file exceeds `MAX_BYTES` by little."""

_STOP: Final = None


class JournalFile:
    """The file in `folder`. `encode` converts an entry to JSON values; it is called in the writing thread."""

    def __init__(self, folder: Path, encode: Callable[[Any], dict[str, Any]], *, max_bytes: int = MAX_BYTES) -> None:
        self.path = folder / NAME
        self.rotated_path = folder / f"{NAME}.1"
        self._encode = encode
        self._max_bytes = max_bytes
        self._queue: queue.Queue[Any] = queue.Queue(MAX_QUEUED_ENTRIES)
        self._thread: threading.Thread | None = None
        self._failing = self._dropping = False
        self._separator = b"\n"  # the previous process may have left an incomplete line

    def read(self) -> Iterator[Any]:
        """Yield the entries as JSON values, oldest first. Lines that are not JSON are skipped and logged."""
        for path in (self.rotated_path, self.path):
            invalid = 0
            try:
                if path.stat().st_size > 2 * self._max_bytes:
                    _log.warning("run journal not read: larger than any that the monitor writes", path=str(path))
                    continue
                with path.open(encoding="utf-8", errors="replace") as file:
                    for line in filter(str.strip, file):
                        try:
                            yield json.loads(line)
                        except (ValueError, RecursionError):
                            invalid += 1
            except FileNotFoundError:
                continue
            except OSError as error:
                _log.warning("run journal cannot be read", path=str(path), why=error.strerror)
            if invalid:
                _log.warning("run journal has lines that are not JSON", path=str(path), lines=invalid)

    def append(self, entry: Any) -> None:
        """Queue an entry for writing. Never blocks."""
        if self._thread is None:
            # Not a thread pool: the interpreter waits for its threads at exit, even if the disk hangs.
            self._thread = threading.Thread(target=self._write_entries, name="journal", daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait(entry)
            self._dropping = False
        except queue.Full:
            if not self._dropping:
                _log.warning("run journal drops entries: the disk is too slow", path=str(self.path))
            self._dropping = True

    def close(self, timeout: float) -> None:
        """Write the queued entries, for at most `timeout` seconds."""
        if self._thread is None:
            return
        try:
            self._queue.put(_STOP, timeout=timeout)
        except queue.Full:
            return
        self._thread.join(timeout)
        self._thread = None

    def _write_entries(self) -> None:
        """Write entries as they arrive, in batches, until `_STOP`."""
        stopped = False
        while not stopped:
            batch = [self._queue.get()]
            while len(batch) < MAX_BATCH and not self._queue.empty():
                batch.append(self._queue.get())
            stopped = _STOP in batch
            self._write([entry for entry in batch if entry is not _STOP])

    def _write(self, entries: list[Any]) -> None:
        lines = "".join(json.dumps(self._encode(entry), separators=(",", ":")) + "\n" for entry in entries)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as file:
                os.fchmod(file.fileno(), 0o600)  # an existing file may have another mode
                file.write(self._separator + lines.encode())
                size = file.tell()
            self._separator = b""
            if size > self._max_bytes:
                self.path.replace(self.rotated_path)
        except OSError as error:
            if not self._failing:
                _log.warning("run journal cannot be written", path=str(self.path), why=error.strerror)
            self._failing = True
            self._separator = b"\n"  # the failed write may have left an incomplete line
        else:
            self._failing = False
