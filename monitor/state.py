"""The folder that keeps state across restarts: one process writes to it, and no event loop waits for its disk.

A second process, such as the new one of a rolling update on the same volume, reads what is there and keeps what it has
to write until the first one has ended.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_log = structlog.get_logger(__name__)

LOCK_NAME: Final = "lock"

RETRY_INTERVAL: Final = 1.0
"""Seconds between two attempts to lock the folder, or to write a file that could not be written."""

HANDOVER_TIME: Final = 30.0
"""Seconds for which another process may hold the folder in a rolling update; a longer time is a fault."""

MAX_STATE_BYTES: Final = 16 << 20
"""Size above which a state file is not read."""


class StateFolder:
    """The folder at `path`, which need not exist. `may_write` may block; call it in a thread that writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._lock = threading.Lock()
        self._is_unlockable = self._is_reported = False
        self._refused_at: float | None = None

    @property
    def is_held_elsewhere(self) -> bool:
        """True if another process has held the folder for longer than a rolling update takes."""
        refused_at = self._refused_at
        return refused_at is not None and time.monotonic() - refused_at > HANDOVER_TIME

    def may_write(self) -> bool:
        """Return True if this process holds the folder, which it does from then on until `close`."""
        with self._lock:
            if self._descriptor is not None or self._is_unlockable:
                return True
            try:
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
                descriptor = os.open(self.path / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
            except OSError:
                return True  # the write fails in the same way, and says so
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._refuse(descriptor)
                os.close(descriptor)
                return False
            except OSError as error:
                os.close(descriptor)
                _log.warning("state folder cannot be locked", path=str(self.path), why=error.strerror)
                self._is_unlockable = True
                return True
            with suppress(OSError):  # only the number in a log line depends on it
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()}\n".encode())
            if self._refused_at is not None:
                _log.info("state folder is free again", path=str(self.path))
            self._descriptor, self._refused_at = descriptor, None
            return True

    def close(self) -> None:
        """Let another process write."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _refuse(self, descriptor: int) -> None:
        process = "unknown"
        with suppress(OSError):
            process = os.read(descriptor, 20).decode("ascii", "replace").strip()
        if self._refused_at is None:
            self._refused_at = time.monotonic()
            _log.warning(
                "state folder is used by another process: nothing is written there until that ends",
                path=str(self.path),
                process=process,
            )
        elif self.is_held_elsewhere and not self._is_reported:
            self._is_reported = True
            _log.error(
                "state folder is still used by another process: give each its own state_dir",
                path=str(self.path),
                process=process,
            )


class StateFile:
    """A small file that is replaced as a whole, by a thread of its own. Only the newest content is written.

    A file that cannot be written is logged once and tried again. on_health: called in the thread with whether the
    latest attempt to write succeeded.
    """

    def __init__(self, folder: StateFolder, name: str, on_health: Callable[[bool], None] = lambda _: None) -> None:
        self.path = folder.path / name
        self._folder = folder
        self._on_health = on_health
        self._changed = threading.Condition()
        self._pending: bytes | None = None
        self._thread: threading.Thread | None = None
        self._is_stopped = self._is_writing = self._is_failing = False

    def read(self) -> bytes | None:
        """Return the content, or None if there is none that can be read. May block."""
        try:
            if self.path.stat().st_size <= MAX_STATE_BYTES:
                return self.path.read_bytes()
            why: str | None = "larger than any that the monitor writes"
        except FileNotFoundError:
            return None
        except OSError as error:
            why = error.strerror
        _log.warning("state cannot be read", path=str(self.path), why=why)
        return None

    def write(self, content: bytes) -> None:
        """Replace the content soon. Never blocks."""
        with self._changed:
            self._pending, self._is_stopped = content, False
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name=self.path.name, daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def close(self, timeout: float) -> None:
        """Write what is pending, for at most `timeout` seconds. May block."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending is None and not self._is_writing, timeout)
            self._is_stopped = True
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending is not None or self._is_stopped)
                if self._is_stopped:
                    self._thread = None
                    return
                content, self._pending, self._is_writing = self._pending, None, True
            written = content is not None and self._folder.may_write() and self._write(content)
            with self._changed:
                self._is_writing = False
                if not written and self._pending is None:
                    self._pending = content
                self._changed.notify_all()
                if not written:
                    self._changed.wait_for(lambda: self._is_stopped, RETRY_INTERVAL)

    def _write(self, content: bytes) -> bool:
        new = self.path.with_name(f"{self.path.name}.new")
        try:
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)
        except OSError as error:
            if not self._is_failing:
                _log.warning("state cannot be written", path=str(self.path), why=error.strerror)
            self._is_failing = True
        else:
            self._is_failing = False
        self._on_health(not self._is_failing)
        return not self._is_failing
