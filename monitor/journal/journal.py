"""The journal: what happened, for the pages, the API and the budgets; in SQLite, or in memory without a `state_dir`."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from monitor.clock import SYSTEM_CLOCK
from monitor.errors import JournalUnavailableError
from monitor.journal import cells, queries
from monitor.journal.cells import CellReader
from monitor.journal.collecting import AddedReport, AddedRun, Collector, LastRun
from monitor.journal.database import NAME, Database
from monitor.journal.recent import RecentRuns
from monitor.journal.store import Judgement, with_verdict
from monitor.journal.stored import truncate
from monitor.journal.values import StoredEvent
from monitor.journal.writer import Writer
from monitor.results import ATTEMPT, MessagesJudged, Paired, PairTime
from monitor.sli import counted_slos
from monitor.threads import run_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from monitor.clock import Clock
    from monitor.config import Config
    from monitor.incidents import Incident
    from monitor.journal.stored import StoredRun
    from monitor.journal.values import Cell, Events, FailureGroup, Histogram, RunSummary
    from monitor.results import LogLine, Report, Run
    from monitor.sli import CountedSlo
    from monitor.state import StateFolder
    from monitor.vocabulary import Verdict

    Key = tuple[str, str]  # relay and probe, or relay and SLO

Result = TypeVar("Result")

MAX_BYTES: Final = 500_000_000
"""Largest size by default."""

MAX_MEMORY_BYTES: Final = 32_000_000
"""Largest size of a database in memory."""

OPEN_TIMEOUT: Final = 1.0
"""Seconds that the start waits for the last runs; if the disk is slower, they are shown later."""

CLOSE_TIMEOUT: Final = 2.0
"""Seconds for writing what is queued when the journal closes."""

READ_TIMEOUT: Final = 2.0
"""Seconds that a reader waits for its turn and its result."""

MAX_READERS: Final = 4
"""Threads that read at once; more would only compete for the interpreter."""

MAX_INCIDENTS: Final = 200
"""Incidents that are in memory too."""

_COUNTED: Final = (MessagesJudged, Paired, PairTime)
"""The reports that count in roll-ups."""

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_FAR_FUTURE: Final = datetime(9999, 1, 1, tzinfo=UTC)


class Journal:
    """Runs, sums, incidents and events.

    What adds is called on the event loop and never blocks. What finds something raises `JournalUnavailableError` if the
    database cannot be read, and may block: call it by `read`. `runs`, `neighbours` and `last_good` then answer from
    memory alone; `last`, `last_all` and `last_good_all` always do.

    The constructor opens the database in `folder`, for which it waits a second at most. on_bug: called for each entry
    that a bug in this program keeps from being written.
    """

    def __init__(
        self,
        folder: StateFolder | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        on_bug: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock = clock
        self._database = (
            Database(folder.path / NAME, MAX_BYTES) if folder is not None else Database(None, MAX_MEMORY_BYTES)
        )
        self._cells = CellReader(self._database, cells.read_cells)
        self._latencies = CellReader(self._database, cells.read_latencies)
        self._recent = RecentRuns()
        self._slos: dict[Key, tuple[CountedSlo, ...]] = {}
        self._incidents: dict[str, Incident] = {}  # those that were saved last: they may not be written yet
        self._seen: float | None = None  # the newest time at which something was added
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._reading = 0
        self._writer = Writer(self._database, folder, collect=Collector().add, on_opened=self._load, on_bug=on_bug)
        if folder is not None:
            self._writer.flush(OPEN_TIMEOUT)

    def configure(self, config: Config) -> None:
        """Apply a configuration: the SLOs to count, and the limits of age and size."""
        self._slos = {
            (relay, probe.name): found
            for probe in config.probes
            for relay in probe.relays
            if (found := counted_slos(config.slos, probe.name, relay))
        }
        self._writer.pruning.max_age = config.journal.max_age
        most = config.journal.max_size
        self._database.limit(most if self._database.path is not None else min(most, MAX_MEMORY_BYTES))

    @property
    def healthy(self) -> bool:
        """Whether what was added has been written, or soon will be."""
        return self._writer.healthy

    # Adding, on the event loop.

    def add(self, run: Run, log: tuple[LogLine, ...] = ()) -> None:
        """Add a run and its lines of the log."""
        stored = truncate(run, log)
        self._recent.add(stored)
        self._writer.put(AddedRun(stored, self._slos.get((run.relay, run.probe), ()), self._tick()))

    def report(self, report: Report) -> None:
        """Count what is not a run: lost messages, SLO events."""
        if isinstance(report, _COUNTED):
            slos = self._slos.get((report.relay, report.probe), ())
            self._writer.put(AddedReport(report, slos, self._tick()))

    def judged(self, run_id: str, direction: str, sequence: int, verdict: Verdict | None, note: str) -> None:
        """Set the verdict on a message that came after its run was added; None sets only the note."""
        judgement = Judgement(run_id, direction, sequence, verdict, note)
        if (stored := self._recent.get(run_id)) is not None:
            self._recent.replace(stored, with_verdict(stored, judgement))
        self._writer.put(judgement)

    def save_incident(self, incident: Incident) -> None:
        """Store an incident, instead of an earlier state of it."""
        self._incidents.pop(incident.id, None)
        self._incidents[incident.id] = incident
        if len(self._incidents) > MAX_INCIDENTS:
            del self._incidents[next(iter(self._incidents))]
        self._writer.put(incident)

    def save_event(
        self, at: datetime, relay: str | None, kind: str, text: str, fields: Mapping[str, Any] | None = None
    ) -> None:
        """Store a reload, a maintenance, a start, a gap; `fields` are JSON values."""
        self._writer.put(StoredEvent(at=at, relay=relay, kind=kind, text=text, fields=dict(fields or {})))

    def _tick(self) -> float:
        self._seen = now = self._clock.time()
        self._writer.pruning.tick(now, self._clock.monotonic())
        return now

    # Finding, in threads.

    async def read(self, query: Callable[[], Result], timeout: float = READ_TIMEOUT) -> Result:
        """Return the result of a query that is run in a thread. Raises `JournalUnavailableError`, in time at any rate.

        A query whose disk hangs cannot be stopped; it occupies one of a few turns until it ends.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._acquire_reader()
                running = asyncio.ensure_future(run_in_thread("journal query", query))
                running.add_done_callback(self._on_ended)
                return await asyncio.shield(running)
        except TimeoutError:
            raise JournalUnavailableError(f"the journal did not answer within {timeout:g} s") from None

    async def _acquire_reader(self) -> None:
        if self._reading < MAX_READERS:
            self._reading += 1
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._release_reader()
            raise

    def _on_ended(self, ended: asyncio.Future[Any]) -> None:
        if not ended.cancelled():
            ended.exception()  # retrieved: the caller may have given up
        self._release_reader()

    def _release_reader(self) -> None:
        while self._waiting:
            if not (waiter := self._waiting.popleft()).done():
                waiter.set_result(None)
                return
        self._reading -= 1

    def run(self, run_id: str) -> StoredRun | None:
        """Return a run by its id, or None if it is not stored."""
        if (found := self._recent.get(run_id)) is not None:
            return found
        with self._database.reading() as connection:
            return queries.run(connection, run_id)

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
        """Return the matching runs that began in [since, until), newest first; None matches all.

        While the database cannot be read these are the runs in memory.
        """
        since, until = since or _EPOCH, until or self._present()
        found: dict[str, StoredRun] = {}
        with suppress(JournalUnavailableError), self._database.reading() as connection:
            for each in queries.runs(
                connection,
                relay=relay,
                probe=probe,
                outcome=outcome,
                since=since.timestamp(),
                until=until.timestamp(),
                limit=limit,
            ):
                found[each.run.id] = each
        found |= {each.run.id: each for each in self._recent.matching(relay, probe, outcome, since, until)}
        return sorted(found.values(), key=lambda each: (each.run.started_at, each.run.id), reverse=True)[:limit]

    def _present(self) -> datetime:
        """Return the end of the time of which runs are shown: those of a clock that was ahead are not."""
        return _FAR_FUTURE if self._seen is None else datetime.fromtimestamp(self._seen, UTC) + timedelta(hours=1)

    def neighbours(self, run_id: str) -> tuple[str | None, str | None]:
        """Return the ids of the stored runs of the same probe before and after a run."""
        stored = self.run(run_id)
        if stored is None:
            return None, None
        relay, probe, started = stored.run.relay, stored.run.probe, stored.run.started_at
        recent = [
            (each.run.started_at, each.run.id)
            for each in self._recent.matching(relay, probe, None, _EPOCH, _FAR_FUTURE)
        ]
        with suppress(JournalUnavailableError), self._database.reading() as connection:
            for newer in (False, True):
                recent += queries.neighbour(connection, relay, probe, started.timestamp(), newer=newer)
        before = max((each for each in recent if each < (started, run_id)), default=None)
        after = min((each for each in recent if each > (started, run_id)), default=None)
        return before[1] if before is not None else None, after[1] if after is not None else None

    def last_good(self, relay: str, probe: str, before: datetime) -> StoredRun | None:
        """Return the newest stored good run of a probe that began before a time, or None."""
        return next(iter(self.runs(relay=relay, probe=probe, outcome="ok", until=before, limit=1)), None)

    def last(self, relay: str, probe: str) -> StoredRun | None:
        """Return the newest run of a probe at a relay, or None. Never blocks."""
        return self._recent.last(relay, probe)

    def last_all(self) -> dict[Key, RunSummary]:
        """Return the newest run of each probe at each relay. Never blocks."""
        return {key: stored.summary for key, stored in self._recent.last_all().items() if key[1] != ATTEMPT}

    def last_good_all(self) -> dict[Key, datetime]:
        """Return the start of the newest good run of each probe at each relay. Never blocks."""
        found = self._recent.last_good_all().items()
        return {key: stored.run.started_at for key, stored in found if key[1] != ATTEMPT}

    def cells(self, since: datetime, until: datetime, cell: float, relay: str | None = None) -> dict[Key, list[Cell]]:
        """Return what happened in each span of `cell` seconds, oldest first, without empty ones.

        `cell` is a whole number of minutes; there are minutes and quarters of an hour for 25 hours, then only hours.
        """
        found = self._cells.read(since.timestamp(), until.timestamp(), int(cell), relay)
        return {key: list(spans.values()) for key, spans in found.items()}

    def latency_cells(
        self, since: datetime, until: datetime, cell: float, relay: str | None = None
    ) -> dict[Key, list[tuple[datetime, Histogram]]]:
        """Return the round trips of the exchanges that succeeded in each span of `cell` seconds, oldest first.

        Empty spans are left out.
        """
        found = self._latencies.read(since.timestamp(), until.timestamp(), int(cell), relay)
        return {
            key: [(datetime.fromtimestamp(start, UTC), histogram) for start, histogram in spans.items()]
            for key, spans in found.items()
        }

    def events(self, since: datetime, until: datetime) -> dict[Key, Events]:
        """Return the good and bad events of each SLO at each relay, in whole hours."""
        with self._database.reading() as connection:
            return queries.events(connection, since.timestamp(), until.timestamp())

    def failures(self, since: datetime, limit: int, relay: str | None = None) -> list[FailureGroup]:
        """Return the failed runs by probe and cause, the group with the newest failure first."""
        with self._database.reading() as connection:
            return queries.failures(connection, since.timestamp(), limit, relay)

    def incidents(
        self,
        *,
        relay: str | None = None,
        since: datetime | None = None,
        open: bool | None = None,  # noqa: A002 - what it is called
        limit: int = 50,
    ) -> list[Incident]:
        """Return the matching incidents, the newest first; `since`: those that were open then or later.

        While the database cannot be read these are the ones in memory, as for `incident`.
        """
        found: dict[str, Incident] = {}
        with suppress(JournalUnavailableError), self._database.reading() as connection:
            for each in queries.incidents(connection, relay, _timestamp(since), limit, is_open=open):
                found[each.id] = each
        for each in list(self._incidents.values()):
            found.pop(each.id, None)
            if (
                relay in {None, each.relay}
                and open in {None, each.closed_at is None}
                and (since is None or each.closed_at is None or each.closed_at >= since)
            ):
                found[each.id] = each
        return sorted(found.values(), key=lambda each: (each.opened_at, each.id), reverse=True)[:limit]

    def incident(self, incident_id: str) -> Incident | None:
        """Return an incident by its id, or None."""
        if (found := self._incidents.get(incident_id)) is not None:
            return found
        with suppress(JournalUnavailableError), self._database.reading() as connection:
            return queries.incident(connection, incident_id)
        return None

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
        with self._database.reading() as connection:
            return queries.events_log(connection, relay, kind, _timestamp(since), _timestamp(until), limit)

    # Its life.

    def flush(self, timeout: float = CLOSE_TIMEOUT) -> bool:
        """Write what was added before, for at most `timeout` seconds. May block. Return whether all was written."""
        return self._writer.flush(timeout)

    def close(self) -> None:
        """Write what is queued and the last run of each probe, for at most `CLOSE_TIMEOUT` seconds. May block."""
        if self._database.path is not None:
            for stored in self._recent.last_runs():
                self._writer.put(LastRun(stored))
        self._writer.close(CLOSE_TIMEOUT)

    def _load(self) -> None:
        """Load the last runs, once the database is open."""
        self._cells.forget()
        self._latencies.forget()
        with self._database.reading() as connection:
            for stored in queries.last_runs(connection):
                self._recent.load(stored)


def _timestamp(time: datetime | None) -> float | None:
    return time.timestamp() if time is not None else None
