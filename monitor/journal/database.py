"""The journal's SQLite database: a file in WAL mode, or one in memory.

One thread writes. Others read at the same time, each with a connection of its own that it takes from a pool; a query
is interrupted after `QUERY_TIMEOUT`. A database in memory has one connection, which is used in turns.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import structlog

from monitor.errors import JournalUnavailableError
from monitor.journal.schema import MIGRATIONS, migrate, version_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_log = structlog.get_logger(__name__)

NAME: Final = "journal.db"

PAGE_BYTES: Final = 4_096

WAL_BYTES: Final = 8 << 20
"""Part of the size that the write-ahead log may take; it is usually half as large."""

QUERY_TIMEOUT: Final = 2.0
"""Seconds after which a query is interrupted."""

LOCK_TIMEOUT: Final = 2.0
"""Seconds for which a write waits for another program that has locked the file, such as a backup."""

READER_CACHE_KIB: Final = 512
"""Memory for pages that a reader keeps; the system keeps the file's pages anyway."""

MAX_IDLE_READERS: Final = 2
"""Largest number of connections that are kept for the next queries."""

_STEPS: Final = 20_000
"""Instructions of SQLite's machine between two looks at the clock, less than a millisecond."""


class Database:
    """The database at `path`, or in memory if that is None, of at most `max_bytes`."""

    def __init__(self, path: Path | None, max_bytes: int) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self._writer: sqlite3.Connection | None = None
        self._limit: int | None = None  # of the content, as set in the writer
        self._lock = threading.RLock()  # held while a database in memory is used
        self._idle: list[sqlite3.Connection] = []  # that read; append and pop are atomic
        self._generation = 0  # of the file: readers of one that was set aside are closed
        self._identity: tuple[int, int] | None = None  # of the open file

    # Writing, in one thread.

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Run a transaction: it is committed at the end of the block, and rolled back by an exception.

        Opens the database first if needed. Raises `sqlite3.Error` and `OSError`.
        """
        with self._exclusive():
            connection = self._open_writer()
            self._set_limit(connection)
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # some errors have rolled back already
                    connection.execute("ROLLBACK")
                raise

    def used_bytes(self) -> int:
        """Return the size of the content, without free pages. Raises `sqlite3.Error`."""
        with self._exclusive():
            connection = self._open_writer()
            pages, free = (
                connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count")
            )
            return int(pages - free) * PAGE_BYTES

    @property
    def content_bytes(self) -> int:
        """The largest size of the content."""
        return self.max_bytes - (WAL_BYTES if self.path is not None else 0)

    def limit(self, max_bytes: int) -> None:
        """Change the largest size, from the next transaction on. Callable in any thread; never blocks."""
        self.max_bytes = max_bytes

    def _set_limit(self, connection: sqlite3.Connection) -> None:
        limit = self.content_bytes
        if limit != self._limit:
            connection.execute(f"PRAGMA max_page_count = {max(1, limit // PAGE_BYTES)}")
            self._limit = limit

    def _open_writer(self) -> sqlite3.Connection:
        if self._writer is not None:
            return self._writer
        if self.path is None:
            connection = self._connect(":memory:")
        else:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            os.fchmod(descriptor, 0o600)  # an existing file may have another mode; SQLite gives it to its other files
            os.close(descriptor)
            connection = self._connect(str(self.path))
        try:
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            if self.path is not None:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
            self._limit = None  # of this connection
            self._set_limit(connection)
            migrate(connection)
        except BaseException:
            connection.close()
            raise
        self._writer = connection
        self._identity = _identity(self.path) if self.path is not None else None
        return connection

    @staticmethod
    def _connect(name: str, *, uri: bool = False) -> sqlite3.Connection:
        return sqlite3.connect(
            name, uri=uri, timeout=LOCK_TIMEOUT, isolation_level=None, check_same_thread=False, cached_statements=64
        )

    def is_gone(self) -> bool:
        """Return whether the open file was removed or replaced: what is written into it would be lost."""
        if self.path is None or self._identity is None:
            return False
        try:
            return _identity(self.path) != self._identity
        except OSError:
            return True

    def is_newer(self) -> bool:
        """Return whether a later version of this program has written the file. Raises `sqlite3.Error`."""
        if self.path is None or self._writer is not None or not self.path.exists():
            return False
        connection = self._connect(str(self.path))
        try:
            return version_of(connection) > len(MIGRATIONS)
        finally:
            connection.close()

    def set_aside(self, suffix: str) -> None:
        """Rename the file, so that a new one is begun. Raises `OSError`."""
        self.close()
        if self.path is None:
            return
        for name in ("", "-wal", "-shm"):  # a write-ahead log that stayed would be applied to the new file
            with suppress(FileNotFoundError):
                self.path.with_name(NAME + name).replace(self.path.with_name(f"{NAME}.{suffix}{name}"))

    def close(self) -> None:
        """Close all connections; the file is then complete without others beside it."""
        self._generation += 1
        while self._idle:
            self._idle.pop().close()
        if self._writer is not None:
            with suppress(sqlite3.Error):
                self._writer.close()
        self._writer = self._identity = None

    # Reading, in any thread.

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give a connection to read with. Raises `JournalUnavailableError`, also for errors in the block."""
        try:
            if self.path is None:
                with self._lock:
                    yield self._open_writer()
            else:
                yield from self._read_file()
        except (sqlite3.Error, OSError) as error:
            raise JournalUnavailableError(f"the journal cannot be read: {error}") from error

    def _read_file(self) -> Iterator[sqlite3.Connection]:
        generation = self._generation
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect(f"{_uri(self.path)}?mode=ro", uri=True)
            connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")
        deadline = time.monotonic() + QUERY_TIMEOUT
        connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if generation == self._generation and len(self._idle) < MAX_IDLE_READERS:
            self._idle.append(connection)
        else:
            connection.close()

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        if self.path is None:
            with self._lock:
                yield
        else:
            yield


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _uri(path: Path | None) -> str:
    assert path is not None
    return path.absolute().as_uri()


def is_damaged(error: BaseException) -> bool:
    """Return whether an error says that the file is no database, or a damaged one."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def is_full(error: BaseException) -> bool:
    """Return whether an error says that the database has reached its largest size, or the disk is full."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF == sqlite3.SQLITE_FULL
