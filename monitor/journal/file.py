"""The journal's file: JSON lines, readable by their owner alone, rotated by size, written in a thread of its own.

It is a convenience. One that cannot be read or written is said so in the log, and stops nothing; a disk that hangs
holds up its thread and not the measuring, and what cannot wait any more is dropped.
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
"""Size past which the file is put aside, in the place of the one put aside before."""

MAX_WAITING: Final = 2_000
"""Entries that wait for the disk at the most."""

MAX_BATCH: Final = 50
"""Entries written at once at the most, so that the file never outgrows its size by much."""

_STOP: Final = None


class JournalFile:
    """The file in `folder`; `encode` makes an entry into JSON, and is called in the writing thread."""

    def __init__(self, folder: Path, encode: Callable[[Any], dict[str, Any]], *, max_bytes: int = MAX_BYTES) -> None:
        self.path = folder / NAME
        self.old = folder / f"{NAME}.1"
        self._encode = encode
        self._max_bytes = max_bytes
        self._waiting: queue.Queue[Any] = queue.Queue(MAX_WAITING)
        self._thread: threading.Thread | None = None
        self._failing = self._dropping = False
        self._new_line = b"\n"  # the process before may have ended in the middle of a line

    def read(self) -> Iterator[Any]:
        """What was written, the oldest first; lines that are no JSON are counted, told of in the log, and left out."""
        for path in (self.old, self.path):
            bad = 0
            try:
                if path.stat().st_size > 2 * self._max_bytes:
                    _log.warning("the run journal is larger than any written here: not read", path=str(path))
                    continue
                with path.open(encoding="utf-8", errors="replace") as file:
                    for line in filter(str.strip, file):
                        try:
                            yield json.loads(line)
                        except (ValueError, RecursionError):
                            bad += 1
            except FileNotFoundError:
                continue
            except OSError as error:
                _log.warning("the run journal cannot be read", path=str(path), why=error.strerror)
            if bad:
                _log.warning("the run journal has lines that are not JSON", path=str(path), lines=bad)

    def append(self, entry: Any) -> None:
        """Have an entry written soon. Never blocks."""
        if self._thread is None:
            # No pool: its threads are waited for at the interpreter's exit, however long the disk hangs.
            self._thread = threading.Thread(target=self._write_on, name="journal", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait(entry)
            self._dropping = False
        except queue.Full:
            if not self._dropping:
                _log.warning("the disk does not keep up: runs are left out of the journal", path=str(self.path))
            self._dropping = True

    def close(self, timeout: float) -> None:
        """Write the rest, for `timeout` seconds at the most."""
        if self._thread is None:
            return
        try:
            self._waiting.put(_STOP, timeout=timeout)
        except queue.Full:
            return
        self._thread.join(timeout)
        self._thread = None

    def _write_on(self) -> None:
        going = True
        while going:
            batch = [self._waiting.get()]
            while len(batch) < MAX_BATCH and not self._waiting.empty():
                batch.append(self._waiting.get())
            going = _STOP not in batch
            self._write([entry for entry in batch if entry is not _STOP])

    def _write(self, entries: list[Any]) -> None:
        lines = "".join(json.dumps(self._encode(entry), separators=(",", ":")) + "\n" for entry in entries)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as file:
                os.fchmod(file.fileno(), 0o600)  # it may be older than this rule
                file.write(self._new_line + lines.encode())
                size = file.tell()
            self._new_line = b""
            if size > self._max_bytes:
                self.path.replace(self.old)
        except OSError as error:
            if not self._failing:
                _log.warning("the run journal cannot be written", path=str(self.path), why=error.strerror)
            self._failing = True
            self._new_line = b"\n"  # and so may what could not be written
        else:
            self._failing = False
