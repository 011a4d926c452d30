"""The stored runs: in memory, and in a file if there is a `state_dir`."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog

from monitor.journal import interim
from monitor.journal.file import JournalFile
from monitor.journal.interim import StoredEvent
from monitor.journal.serialize import run_from_json
from monitor.journal.stored import StoredRun, truncate
from monitor.vocabulary import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from monitor.journal.interim import StoredIncident
    from monitor.journal.values import Cell, Events, FailureGroup, Histogram, RunSummary
    from monitor.results import Report, Run
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

CLOSE_TIMEOUT: Final = 1.0
"""Seconds for writing the queued runs when the journal closes."""


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
        self.healthy = True
        self._incidents: dict[str, StoredIncident] = {}
        self._events: deque[StoredEvent] = deque(maxlen=1_000)
        self._file: JournalFile | None = None
        if folder is not None:
            self._file = JournalFile(folder, StoredRun.to_json, on_health=on_health, on_bug=on_bug)
        if self._file is not None:
            self._load(self._file)

    def add(self, run: Run, log: tuple[Any, ...] = ()) -> None:
        """Store a run and its log lines. Never waits for the disk."""
        stored = replace(truncate(run), log=log)
        self._store(stored)
        if self._file is not None:
            self._file.append(stored)

    def runs(
        self,
        *,
        relay: str | None = None,
        probe: str | None = None,
        outcome: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
    ) -> list[StoredRun]:
        """Return the matching runs that began in [since, until), newest first; None matches all."""
        found = [
            stored
            for (its_relay, its_probe, _), entries in self._runs.items()
            if relay in {None, its_relay} and probe in {None, its_probe}
            for stored in entries
            if outcome in {None, stored.run.outcome.value}
            and (since is None or stored.run.started_at >= since)
            and (until is None or stored.run.started_at < until)
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

    def report(self, report: Report) -> None:
        """Count what is not a run: lost messages, SLO events. Never waits for the disk."""

    def judged(self, run_id: str, direction: str, sequence: int, verdict: Verdict | None, note: str) -> None:
        """Set the verdict on a message that came after its run was added; None: only the note."""
        stored = self._by_id.get(run_id)
        if stored is None:
            return
        messages = tuple(
            fate._replace(verdict=verdict if verdict is not None else fate.verdict, note=note)
            if (fate.direction, fate.sequence) == (direction, sequence)
            else fate
            for fate in stored.run.messages
        )
        changed = replace(stored, run=stored.run._replace(messages=messages))
        self._by_id[run_id] = changed
        entries = self._runs[stored.run.relay, stored.run.probe, stored.run.outcome is Outcome.FAILED]
        entries[entries.index(stored)] = changed

    def neighbours(self, run_id: str) -> tuple[str | None, str | None]:
        """Return the ids of the stored runs of the same probe before and after a run."""
        stored = self.run(run_id)
        if stored is None:
            return None, None
        ids = [found.run.id for found in self.runs(relay=stored.run.relay, probe=stored.run.probe, limit=MAX_RUNS)]
        index = ids.index(run_id)
        return ids[index + 1] if index + 1 < len(ids) else None, ids[index - 1] if index else None

    def last_good(self, relay: str, probe: str, before: datetime) -> StoredRun | None:
        """Return the newest stored good run of a probe that began before a time, or None."""
        return next(iter(self.runs(relay=relay, probe=probe, outcome="ok", until=before, limit=1)), None)

    def last_all(self) -> dict[tuple[str, str], RunSummary]:
        """Return the newest run of each probe at each relay."""
        found = {(relay, probe): self.last(relay, probe) for relay, probe, _ in self._runs}
        return {key: interim.summary(stored.run) for key, stored in found.items() if stored is not None}

    def last_good_all(self) -> dict[tuple[str, str], datetime]:
        """Return the start of the newest good run of each probe at each relay."""
        good: dict[tuple[str, str], datetime] = {}
        for stored in self.runs(outcome="ok", limit=MAX_RUNS):
            good.setdefault((stored.run.relay, stored.run.probe), stored.run.started_at)
        return good

    def cells(
        self, since: datetime, until: datetime, cell: float, relay: str | None = None
    ) -> dict[tuple[str, str], list[Cell]]:
        """Return what happened in each span of `cell` seconds, oldest first, without empty ones."""
        return interim.cells(self.runs(relay=relay, since=since, until=until, limit=MAX_RUNS), cell)

    def latency(self, since: datetime, until: datetime, relay: str | None = None) -> dict[tuple[str, str], Histogram]:
        """Return the round trips of the exchanges that succeeded."""
        return interim.histograms(self.runs(relay=relay, since=since, until=until, limit=MAX_RUNS))

    def latency_cells(
        self, since: datetime, until: datetime, cell: float, relay: str | None = None
    ) -> dict[tuple[str, str], list[tuple[datetime, Histogram]]]:
        """Return the same for each span of `cell` seconds, oldest first, without empty ones."""
        found: dict[tuple[str, str], list[tuple[datetime, Histogram]]] = {}
        start = since
        while start < until:
            for key, histogram in self.latency(start, start + timedelta(seconds=cell), relay).items():
                found.setdefault(key, []).append((start, histogram))
            start += timedelta(seconds=cell)
        return found

    def events(self, since: datetime, until: datetime) -> dict[tuple[str, str], Events]:  # noqa: ARG002 - to come
        """Return the good and bad events of each SLO at each relay."""
        return {}

    def failures(self, since: datetime, limit: int, relay: str | None = None) -> list[FailureGroup]:
        """Return the failed runs by probe and cause, the newest group first."""
        return interim.failures(self.runs(relay=relay, outcome="failed", since=since, limit=MAX_RUNS), limit)

    def save_incident(self, incident: StoredIncident) -> None:
        """Store an incident, instead of an earlier state of it. Never waits for the disk."""
        self._incidents[incident.id] = incident

    def incidents(
        self,
        *,
        relay: str | None = None,
        since: datetime | None = None,
        open: bool | None = None,  # noqa: A002 - what it is called
        limit: int = 50,
    ) -> list[Any]:
        """Return the matching incidents, the newest first; `since`: those that were open then or later."""
        found = [
            incident
            for incident in self._incidents.values()
            if relay in {None, incident.relay}
            and open in {None, incident.closed_at is None}
            and (since is None or incident.closed_at is None or incident.closed_at >= since)
        ]
        found.sort(key=lambda incident: incident.opened_at, reverse=True)
        return found[:limit]

    def incident(self, incident_id: str) -> Any | None:
        """Return an incident by its id, or None."""
        return self._incidents.get(incident_id)

    def save_event(
        self, at: datetime, relay: str | None, kind: str, text: str, fields: Mapping[str, Any] | None = None
    ) -> None:
        """Store a reload, a maintenance, a start, a gap. Never waits for the disk."""
        self._events.append(StoredEvent(at=at, relay=relay, kind=kind, text=text, fields=dict(fields or {})))

    def events_log(
        self,
        *,
        relay: str | None = None,
        kind: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
    ) -> list[StoredEvent]:
        """Return the matching events, the newest first; with `relay` also those of all relays."""
        found = [
            event
            for event in reversed(self._events)
            if (relay is None or event.relay in {None, relay})
            and kind in {None, event.kind}
            and (since is None or event.at >= since)
            and (until is None or event.at < until)
        ]
        return found[:limit]

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
