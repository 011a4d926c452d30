"""The journal's file: JSON lines, readable by their owner only, rotated by size, written in a thread.

A file that cannot be read or written is logged and reported, and otherwise ignored. If the disk hangs, only the thread
waits, and entries beyond `MAX_QUEUED_ENTRIES` are dropped.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import structlog

from monitor.state import RETRY_INTERVAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitor.state import StateFolder

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
    """The file in `folder`. The functions are called in the writing thread.

    encode: converts an entry to JSON values.
    on_health: called with whether the latest entries were written.
    on_bug: called for each entry that a bug in this program keeps from being written.
    """

    def __init__(
        self,
        folder: StateFolder,
        encode: Callable[[Any], dict[str, Any]],
        *,
        on_health: Callable[[bool], None] = lambda _: None,
        on_bug: Callable[[], None] = lambda: None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.path = folder.path / NAME
        self.rotated_path = folder.path / f"{NAME}.1"
        self._folder = folder
        self._encode = encode
        self._on_health = on_health
        self._on_bug = on_bug
        self._max_bytes = max_bytes
        self._queue: queue.Queue[Any] = queue.Queue(MAX_QUEUED_ENTRIES)
        self._thread: threading.Thread | None = None
        self._failing = self._dropping = self._is_closing = False
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
        if self._thread is None or not self._thread.is_alive():
            # Not a thread pool: the interpreter waits for its threads at exit, even if the disk hangs.
            self._is_closing = False
            self._thread = threading.Thread(target=self._write_entries, name="journal", daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait(entry)
            self._dropping = False
        except queue.Full:
            if not self._dropping:
                _log.warning("run journal drops entries: the disk is too slow", path=str(self.path))
                self._on_health(False)  # noqa: FBT003 - by position
            self._dropping = True

    def close(self, timeout: float) -> None:
        """Write the queued entries, for at most `timeout` seconds. May block."""
        if self._thread is None:
            return
        self._is_closing = True
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
            while not self._folder.may_write():
                self._on_health(not self._folder.is_held_elsewhere)
                if _STOP in batch or self._is_closing:
                    return  # what another process does not let it write is lost
                time.sleep(RETRY_INTERVAL)
            while len(batch) < MAX_BATCH and not self._queue.empty():
                batch.append(self._queue.get())
            stopped = _STOP in batch
            lines = [line for entry in batch if entry is not _STOP and (line := self._line(entry)) is not None]
            if lines:
                self._write("".join(lines))

    def _line(self, entry: Any) -> str | None:
        """Return the line of an entry, or None for one that a bug keeps from being written."""
        try:
            return json.dumps(self._encode(entry), separators=(",", ":")) + "\n"
        except Exception:  # noqa: BLE001 - the thread must go on
            _log.exception("run journal loses an entry by a bug in this program")
            self._on_bug()
            return None

    def _write(self, lines: str) -> None:
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
        self._on_health(not self._failing and not self._dropping)
