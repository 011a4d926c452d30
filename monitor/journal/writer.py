"""The thread that writes the journal: it commits twice a second what was added, and removes what is too old.

Nothing waits for it. While the disk hangs or refuses, sums and the newest runs wait in memory, in bounded numbers; the
probes go on, and `healthy` is False.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import structlog

from monitor.errors import JournalUnavailableError
from monitor.journal.database import is_damaged, is_full
from monitor.journal.legacy import import_runs, mark_read
from monitor.journal.pruning import Pruning
from monitor.journal.store import Pending, Store
from monitor.state import RETRY_INTERVAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.journal.database import Database
    from monitor.state import StateFolder

_log = structlog.get_logger(__name__)

COMMIT_INTERVAL: Final = 0.5
"""Seconds between two commits: what is lost if the program is killed."""

MAX_QUEUED: Final = 5_000
"""Largest number of entries that wait for the thread, as while the disk hangs; new ones are dropped above it."""

STALL: Final = 5.0
"""Seconds after which a write that has not ended counts as failed."""


class Writer:
    """Writes what is put into it.

    collect: adds an entry to what is pending; called in the thread.
    folder: whose lock is needed to write; None for a database in memory.
    on_opened: called in the thread once the database can be read.
    on_bug: called for each entry that a bug in this program keeps from being written.
    """

    def __init__(
        self,
        database: Database,
        folder: StateFolder | None,
        *,
        collect: Callable[[Pending, Any], None],
        on_opened: Callable[[], None],
        on_bug: Callable[[], None],
    ) -> None:
        self._database = database
        self._folder = folder
        self._collect = collect
        self._on_opened, self._on_bug = on_opened, on_bug
        self._queue: deque[Any] = deque()
        self._pending = Pending()
        self._store = Store()
        self.pruning = Pruning()
        self._thread: threading.Thread | None = None
        self._wake, self._hurry = threading.Event(), threading.Event()
        self._is_closing = False
        self._flushed = threading.Condition()
        self._rounds = 0  # commits that were tried
        self._busy_since: float | None = None
        self._failing = self._dropping = self._is_open = False

    @property
    def healthy(self) -> bool:
        """Whether all that was put in has been written, or soon will be."""
        busy_since = self._busy_since
        stalled = busy_since is not None and time.monotonic() - busy_since > STALL
        is_held = self._folder is not None and self._folder.is_held_elsewhere
        return not (stalled or is_held or self._failing or self._dropping)

    def start(self) -> None:
        """Start the thread, if it does not run. Never blocks for long."""
        if self._thread is None or not self._thread.is_alive():
            # Not a thread pool: the interpreter waits for its threads at exit, even if the disk hangs.
            self._is_closing = False
            self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
            self._thread.start()

    def put(self, entry: Any) -> None:
        """Add an entry. Never blocks."""
        if len(self._queue) >= MAX_QUEUED:
            if not self._dropping:
                _log.warning("journal drops entries: the disk is too slow")
            self._dropping = True
            return
        self._queue.append(entry)
        if not self._wake.is_set():
            self.start()
            self._wake.set()

    def flush(self, timeout: float) -> bool:
        """Wait until what was put in before has been written, for at most `timeout` seconds. Return whether it was."""
        with self._flushed:
            wanted = self._rounds + (2 if self._busy_since is not None else 1)
            self.start()
            self._hurry.set()
            self._wake.set()
            done = self._flushed.wait_for(lambda: self._rounds >= wanted, timeout)
        return done and not self._queue and not self._pending

    def close(self, timeout: float) -> None:
        """Write what is queued, for at most `timeout` seconds, and end the thread. May block."""
        if self._thread is None:
            return
        self._is_closing = True
        self._hurry.set()
        self._wake.set()
        self._thread.join(timeout)
        self._thread = None

    def _run(self) -> None:
        while True:
            try:
                if not self._is_open:
                    self._round()  # without waiting: the last runs are shown at once
                self._wake.wait()
                self._hurry.wait(RETRY_INTERVAL if self._failing else COMMIT_INTERVAL)
                self._wake.clear()
                if not self._is_closing:
                    self._hurry.clear()
                self._round()
                if self._is_closing:
                    self._database.close()
                    self._is_open = False
                    return
                if self._pending or self.pruning.is_behind:
                    self._wake.set()
            except Exception:  # noqa: BLE001 - the thread must go on
                _log.exception("journal: a bug in this program")
                self._on_bug()
                self._store.forget()
                self._pending, self._failing = Pending(), True
                time.sleep(RETRY_INTERVAL)

    def _round(self) -> None:
        """Write what has been put in, once."""
        self._busy_since = time.monotonic()
        try:
            self._gather()
            if self._folder is None or self._folder.may_write():
                self._commit()
        finally:
            self._busy_since = None
            with self._flushed:
                self._rounds += 1
                self._flushed.notify_all()

    def _gather(self) -> None:
        while self._queue:
            entry = self._queue.popleft()
            try:
                self._collect(self._pending, entry)
            except Exception:  # noqa: BLE001 - the others must not suffer
                _log.exception("journal loses an entry by a bug in this program")
                self._on_bug()

    def _commit(self) -> None:
        try:
            if self._is_open and self._database.is_gone():
                _log.warning("journal was removed: a new one is begun", path=str(self._database.path))
                self._store.forget()
                self._database.close()
                self._is_open = False
            if not self._is_open:
                self._open()
            if self.pruning.is_full:
                self.pruning.step(self._database)
            if self._pending:
                with self._database.writing() as connection:
                    self._store.write(connection, self._pending)
                self._pending = Pending()
            self.pruning.step(self._database)
        except (sqlite3.Error, OSError) as error:
            self._fail(error)
        except JournalUnavailableError as error:  # of the last runs, once it was open
            self._fail(error.__cause__ or error)
        else:
            if self._failing:
                _log.info("journal is written again")
            self._failing = self._dropping = False

    def _open(self) -> None:
        if self._database.is_newer():
            _log.warning("journal was written by a later version: it is kept aside, and a new one begun")
            self._database.set_aside("later-version")
        with self._database.writing() as connection:
            if self._folder is not None:
                import_runs(connection, self._store, self._folder.path)
        if self._folder is not None:
            mark_read(self._folder.path)
        self._on_opened()
        self._is_open = True

    def _fail(self, error: BaseException) -> None:
        self._store.forget()
        if not self._failing:
            path = self._database.path
            _log.warning("journal cannot be written", path=str(path) if path is not None else None, why=str(error))
        self._failing = True
        if is_damaged(error):
            self._set_aside()
        elif is_full(error):
            self.pruning.hurry()

    def _set_aside(self) -> None:
        _log.error("journal is damaged: it is kept aside, and a new one begun")
        self._is_open = False
        try:
            self._database.set_aside("damaged")
        except OSError as error:
            _log.warning("journal cannot be renamed", why=str(error))
