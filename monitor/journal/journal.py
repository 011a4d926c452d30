"""The stored runs: in memory, and in a file if there is a `state_dir`."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog

from monitor.journal.file import JournalFile
from monitor.journal.serialize import run_from_json, run_to_json
from monitor.vocabulary import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from monitor.results import Run
    from monitor.state import StateFolder

_log = structlog.get_logger(__name__)

RUNS_PER_PROBE: Final = 50
"""Runs that did not fail, stored for each probe at each relay."""

FAILED_RUNS_PER_PROBE: Final = 50
"""Failed runs stored for each probe at each relay, in addition; they are rarer and needed for longer."""

MAX_RUNS: Final = 5_000
"""Runs stored in all, about 10 MB."""

MAX_AGE: Final = timedelta(days=7)
"""Largest difference in age to the newest run."""

MAX_PARTS: Final = 200
"""Largest number of exchanges, of messages and of timeline marks stored for one run; failed exchanges come first."""

CLOSE_TIMEOUT: Final = 1.0
"""Seconds for writing the queued runs when the journal closes."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run, without `omitted` of its exchanges, messages and marks."""

    run: Run
    omitted: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the run as JSON values."""
        return run_to_json(self.run, self.omitted)


class Journal:
    """The stored runs. To be used by one thread; the runs that it returns are frozen and may be used by any.

    The constructor reads the file in `folder`, which may block. `on_health` and `on_bug` are those of `JournalFile`.
    """

    def __init__(
        self,
        folder: StateFolder | None = None,
        *,
        on_health: Callable[[bool], None] = lambda _: None,
        on_bug: Callable[[], None] = lambda: None,
    ) -> None:
        self._runs: dict[tuple[str, str, bool], deque[StoredRun]] = {}  # by relay, probe, and whether it failed
        self._by_id: dict[str, StoredRun] = {}  # in order of arrival, like each deque
        self._file: JournalFile | None = None
        if folder is not None:
            self._file = JournalFile(folder, StoredRun.to_json, on_health=on_health, on_bug=on_bug)
        if self._file is not None:
            self._load(self._file)

    def add(self, run: Run) -> None:
        """Store a run. Never waits for the disk."""
        stored = _truncate(run)
        self._store(stored)
        if self._file is not None:
            self._file.append(stored)

    def runs(
        self, *, relay: str | None = None, probe: str | None = None, outcome: str | None = None, limit: int = 50
    ) -> list[StoredRun]:
        """Return the matching runs, newest first; None matches all."""
        found = [
            stored
            for (its_relay, its_probe, _), entries in self._runs.items()
            if relay in {None, its_relay} and probe in {None, its_probe}
            for stored in entries
            if outcome in {None, stored.run.outcome.value}
        ]
        found.sort(key=_start, reverse=True)
        return found[:limit]

    def run(self, run_id: str) -> StoredRun | None:
        """Return a run by its id, or None if it is not stored."""
        return self._by_id.get(run_id)

    def last(self, relay: str, probe: str) -> StoredRun | None:
        """Return the newest run of a probe at a relay, or None."""
        newest = [entries[-1] for failed in (False, True) if (entries := self._runs.get((relay, probe, failed)))]
        return max(newest, key=_start, default=None)

    def close(self) -> None:
        """Write the queued runs, for at most `CLOSE_TIMEOUT` seconds. May block."""
        if self._file is not None:
            self._file.close(CLOSE_TIMEOUT)

    def _store(self, stored: StoredRun) -> None:
        run = stored.run
        if run.id in self._by_id:
            return
        failed = run.outcome is Outcome.FAILED
        entries = self._runs.setdefault((run.relay, run.probe, failed), deque())
        entries.append(stored)
        self._by_id[run.id] = stored
        if len(entries) > (FAILED_RUNS_PER_PROBE if failed else RUNS_PER_PROBE):
            self._evict(entries[0])
        while stored is not (oldest := next(iter(self._by_id.values()))) and (
            len(self._by_id) > MAX_RUNS or run.started_at - oldest.run.started_at > MAX_AGE
        ):
            self._evict(oldest)

    def _evict(self, stored: StoredRun) -> None:
        """Remove a run, which must be the first of its deque."""
        run = stored.run
        key = (run.relay, run.probe, run.outcome is Outcome.FAILED)
        entries = self._runs[key]
        entries.popleft()
        if not entries:
            del self._runs[key]
        del self._by_id[run.id]

    def _load(self, file: JournalFile) -> None:
        invalid = 0
        for data in file.read():
            try:
                self._store(StoredRun(*run_from_json(data)))
            except (ValueError, TypeError, KeyError, OverflowError):
                invalid += 1
        if invalid:
            _log.warning("run journal has lines that are not runs", path=str(file.path), lines=invalid)


def _start(stored: StoredRun) -> tuple[datetime, str]:
    return stored.run.started_at, stored.run.id


def _truncate(run: Run) -> StoredRun:
    """Limit the size of a run: one of ten thousand connections would take the space of all others."""
    omitted = sum(max(0, len(parts) - MAX_PARTS) for parts in (run.exchanges, run.messages, run.timeline))
    if not omitted:
        return StoredRun(run)
    failed_first = sorted(run.exchanges, key=lambda exchange: exchange.outcome is not Outcome.FAILED)
    return StoredRun(
        run._replace(
            exchanges=tuple(failed_first[:MAX_PARTS]),
            messages=run.messages[:MAX_PARTS],
            timeline=run.timeline[:MAX_PARTS],
        ),
        omitted,
    )
