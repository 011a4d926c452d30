"""The standard streams of a command: all three are open, and stderr never blocks an event loop."""

from __future__ import annotations

import atexit
import io
import os
import select
import sys
import threading
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TextIO

from monitor.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_QUEUED_BYTES: Final = 1 << 20
"""Bytes that wait for a stderr that is not read; what comes then is lost and counted."""

BUG_PAUSE: Final = 0.5
"""Seconds without writing after a bug, whose traceback may meet the same bug."""

FLUSH_TIMEOUT: Final = 1.0
"""Seconds that an ending command waits for stderr to accept what is queued."""


class Output(io.RawIOBase):
    """A stream that writes to a file descriptor.

    It has neither buffer nor lock: a blocked write in one thread does not block others, nor the end of the process.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.name = descriptor  # as that of `io.FileIO`

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self.name

    def isatty(self) -> bool:
        """Return True for a terminal."""
        return os.isatty(self.name)

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any, /) -> int:
        """Write all of `data`, a bytes-like object. Raises `OSError`."""
        remaining = bytes(data)
        size = len(remaining)
        while remaining:
            try:
                remaining = remaining[os.write(self.name, remaining) :]
            except BlockingIOError:  # another process that has the same pipe or terminal made it non-blocking
                select.select([], [self.name], [])
        return size


class Stdout(Output):
    """The stream of results."""

    def write(self, data: Any, /) -> int:
        """Write all of `data`. Raises `OutputError`."""
        try:
            return super().write(data)
        except OSError as error:
            raise OutputError(error) from error


class Stderr(Output):
    """The stream of log lines and messages: one that cannot be written is lost and changes no result.

    `on_bug` is called, in the writing thread, for each batch of lines that a bug in this program loses.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self.on_bug: Callable[[], None] = lambda: None
        # Reentrant, since a finalizer or signal handler may write while its thread holds the lock.
        self._changed = threading.Condition(threading.RLock())
        self._on_lost: Callable[[int], None] | None = None
        self._queue: list[bytes] = []
        self._size = 0  # bytes in the queue
        self._lost = 0  # lines
        self._thread: threading.Thread | None = None
        self._is_writing = self._is_stuck = False

    def write(self, data: Any, /) -> int:
        """Write or queue all of `data`."""
        copied = bytes(data)
        with self._changed:
            if self._on_lost is not None:
                self._put(copied, self._on_lost)
                return len(copied)
        with suppress(OSError):
            super().write(copied)
        return len(copied)

    def start_queue(self, on_lost: Callable[[int], None]) -> None:
        """Let a thread write from now on, so that no other thread waits for the reader.

        `on_lost` is called in that thread with the number of lines lost, once the reader reads again.
        """
        with self._changed:
            self._on_lost = on_lost

    def drain(self) -> bool:
        """Wait until everything is written, at most `FLUSH_TIMEOUT` seconds, once for a reader that does not read.

        Returns False if it is not.
        """
        with self._changed:
            timeout = 0.0 if self._is_stuck else FLUSH_TIMEOUT
            drained = self._changed.wait_for(lambda: not self._queue and not self._is_writing, timeout)
            self._is_stuck = not drained
        return drained

    def end_queue(self) -> None:
        """Drain, and write without the thread afterwards. A queue that is not drained remains."""
        with self._changed:
            if self.drain():
                self._on_lost = None

    def _put(self, data: bytes, on_lost: Callable[[int], None]) -> None:
        size = len(data)
        if self._queue and self._size + size > MAX_QUEUED_BYTES:
            self._lost += data.count(b"\n")
            return
        self._queue.append(data)
        self._size += size
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, args=(on_lost,), name="stderr", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _run(self, on_lost: Callable[[int], None]) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue)
                batch, lost = b"".join(self._queue), self._lost
                self._queue.clear()
                self._size = self._lost = 0
                self._is_writing = True
            try:
                if lost:
                    on_lost(lost)  # queued behind the lines before the gap
                with suppress(OSError):
                    super().write(batch)
            except Exception:  # noqa: BLE001 - the thread must go on
                self.write(traceback.format_exc().encode(errors="backslashreplace"))
                self.on_bug()
                time.sleep(BUG_PAUSE)
            with self._changed:
                self._is_writing = self._is_stuck = False
                self._changed.notify_all()


STDERR: Final = Stderr(2)
"""The stream behind `sys.stderr` after `prepare`."""


def prepare() -> None:
    """Open standard streams that are closed, and replace `sys.stdout` and `sys.stderr` by streams of this module.

    A text that the encoding of a stream does not have is written with backslashes.
    """
    _open_closed()
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as the process lives
    sys.stdout = _text(Stdout(1), sys.stdout)
    sys.stderr = _text(STDERR, sys.stderr)
    atexit.register(STDERR.end_queue)


def _open_closed() -> None:
    """Open /dev/null as each of the descriptors 0 to 2 that is closed.

    A file or socket would get the number otherwise. libuv aborts the process when it closes a descriptor with such a
    number, and a library that writes to stderr would write into it. Writing to a closed stdout remains an error.
    """
    for descriptor, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, flags), True)  # noqa: FBT003 - the lowest free number


def _text(stream: Output, previous: TextIO | Any) -> io.TextIOWrapper:
    encoding = getattr(previous, "encoding", None) or "utf-8"
    return io.TextIOWrapper(stream, encoding=encoding, errors="backslashreplace", write_through=True)


def shows_colors(stream: TextIO) -> bool:
    """Return True if a stream is a terminal that can move its cursor and show colours."""
    return stream.isatty() and os.environ.get("TERM") not in {"dumb", "unknown"}
