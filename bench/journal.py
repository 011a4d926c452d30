"""Size and speed of the journal: 200 relays for seven days, with the probes of `config.yaml`.

The file is filled with what a monitor would have left in it: sums of every minute, quarter and hour, the runs that are
still stored, one exchange of a hundred failed. What has been removed by then is not written first.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitor.journal import Journal
from monitor.journal.database import NAME
from monitor.journal.increments import Cause, CauseKey, Minute, MinuteKey, SloKey
from monitor.journal.retention import remove_old
from monitor.journal.schema import HOUR, MINUTE, QUARTER
from monitor.journal.store import Pending, Store
from monitor.journal.stored import StoredRun
from monitor.results import Exchange, Failure, LogLine, Mark, MessageFate, Run, uuid7
from monitor.scenarios import Scenario
from monitor.state import StateFolder
from monitor.vocabulary import Outcome, Reason, Step, Verdict

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

PER_MINUTE: Final = {"steady": 12.0, "idle": 4.0, "offline-30s": 1.0, "session": 0.2}
"""Runs a minute of each probe: those of `config.yaml`."""

SLOS: Final = ("round-trip", "delivery", "pairing", "stability")
FAILED: Final = 0.01
ROUNDS: Final = 7
_STEPS: Final = (Step.RESOLVE, Step.TCP, Step.TLS, Step.UPGRADE, Step.HELLO, Step.SUBSCRIBE, Step.PUBLISH, Step.DELIVER)


class Filler:
    """Writes a journal for `relays` relays and `days` days until `now`."""

    def __init__(self, relays: int, days: int, now: float) -> None:
        self.relays = [f"relay-{number:03d}" for number in range(relays)]
        self.since, self.now = now - days * 24 * HOUR, now
        self.random = random.Random(1)  # noqa: S311 - no secrets
        self.store = Store()
        self.failed = 0

    def fill(self, connection: sqlite3.Connection, start: float) -> None:
        """Write one hour."""
        pending = Pending()
        pending.increments.begun = start
        unit = MINUTE if self.now - start <= 25 * HOUR else HOUR
        for relay in self.relays:
            for probe, rate in PER_MINUTE.items():
                for at in range(int(start), int(start) + HOUR, unit):
                    self._add_minute(pending, at, relay, probe, rate * unit / MINUTE)
                self._add_runs(pending, start, relay, probe)
            for slo in SLOS:
                pending.increments.slos[SloKey(int(start), relay, slo)] = [700.0, 7.0]
        self.store.write(connection, pending)

    def _add_minute(self, pending: Pending, at: int, relay: str, probe: str, runs: float) -> None:
        number = int(runs) + (self.random.random() < runs % 1)
        if not number:
            return
        failed = sum(self.random.random() < FAILED for _ in range(number)) if number < 100 else int(number * FAILED)
        minute = Minute(worst=3 if failed else 0, run=uuid7(at, self.random))
        minute.counts[Outcome.OK], minute.counts[Outcome.FAILED] = number - failed, failed
        for _ in range(min(number, 50)):
            minute.buckets[min(27, max(0, int(self.random.gauss(9, 1.5))))] += 1
        pending.increments.minutes[MinuteKey(at, relay, probe)] = minute
        for _ in range(failed):
            run = self._run(at + self.random.random() * (HOUR if number > 100 else MINUTE), relay, probe, failed=True)
            pending.runs[run.id] = StoredRun(run, 0, self._log(run))
            self.failed += 1
            key = CauseKey(at // QUARTER * QUARTER, relay, probe, "deliver", "lost", "")
            pending.increments.causes[key] = Cause(1, at, at, run.id, "acked, never delivered")

    def _add_runs(self, pending: Pending, start: float, relay: str, probe: str) -> None:
        """Add the good runs that would be left."""
        age = self.now - start
        span = HOUR if age > 25 * HOUR else QUARTER if age > HOUR else MINUTE
        for at in range(int(start), int(start) + HOUR, span):
            run = self._run(at + self.random.random(), relay, probe, failed=False)
            pending.runs[run.id] = StoredRun(run)

    def _run(self, at: float, relay: str, probe: str, *, failed: bool) -> Run:
        failure = Failure(step=Step.DELIVER, reason=Reason.LOST, detail="acked, never delivered") if failed else None
        outcome, number = Outcome.FAILED if failed else Outcome.OK, self.random.random
        marks = [
            Mark(side=side, step=step, started=number(), ended=number(), note="")
            for side in ("dapp", "wallet")
            for step in (_STEPS if failed else _STEPS[-2:])
        ]
        return Run(
            id=uuid7(at, self.random),
            relay=relay,
            probe=probe,
            scenario=Scenario.STEADY_MESSAGING,
            started_at=datetime.fromtimestamp(at, UTC),
            duration=number(),
            outcome=outcome,
            failure=failure,
            pair=1,
            exchanges=(Exchange(outcome, failure, number(), number(), number(), None, number()),),
            timeline=tuple(marks),
            messages=tuple(
                MessageFate(
                    direction, 1, Verdict.LOST if failed else Verdict.DELIVERED, number(), number(), "", number()
                )
                for direction in ("request", "response")
            ),
        )

    def _log(self, run: Run) -> tuple[LogLine, ...]:
        fields = {"step": "deliver", "reason": "lost", "detail": "acked, never delivered"}
        return tuple(
            LogLine(run.started_at + timedelta(seconds=self.random.random()), "debug", f"step {number}", fields)
            for number in range(4)
        )


def queries(journal: Journal, relay: str, now: datetime) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what the pages ask for."""
    hour, day = now - timedelta(hours=1), now - timedelta(days=1)
    failed = journal.runs(outcome="failed", limit=1)[0].run
    yield "strips of 60 minutes, all relays", lambda: journal.cells(hour, now, MINUTE)
    yield "strips of 24 hours, all relays", lambda: journal.cells(day, now, QUARTER)
    yield "strips of 24 hours, one relay", lambda: journal.cells(day, now, QUARTER, relay)
    yield "latencies of an hour by 5 minutes, all relays", lambda: journal.latency_cells(hour, now, 300)
    yield "budgets of 30 days, all relays", lambda: journal.events(now - timedelta(days=30), now)
    yield "failures of an hour by cause, all relays", lambda: journal.failures(hour, 50)
    yield "failures of a day by cause, all relays", lambda: journal.failures(day, 50)
    yield "failures of a day by cause, one relay", lambda: journal.failures(day, 50, relay)
    yield "last run of each probe", journal.last_all
    yield "a run", lambda: journal.run(failed.id)
    yield "its neighbours", lambda: journal.neighbours(failed.id)
    yield (
        "the last good run before it",
        lambda: journal.last_good(failed.relay, failed.probe, failed.started_at),
    )
    yield "50 failed runs of all relays", lambda: journal.runs(outcome="failed", limit=50)
    yield "50 runs of one relay", lambda: journal.runs(relay=relay, limit=50)
    yield "50 incidents", lambda: journal.incidents(limit=50)
    yield "100 events", lambda: journal.events_log(limit=100)


def measure(query: Callable[[], object]) -> tuple[float, float, float]:
    """Return milliseconds of a query: its first time, its median after that, and the CPU part of the median."""
    times, spent = [], []
    for _ in range(ROUNDS):
        started, used = time.perf_counter(), time.thread_time()
        query()
        times.append((time.perf_counter() - started) * 1000)
        spent.append((time.thread_time() - used) * 1000)
    return times[0], statistics.median(times[1:]), statistics.median(spent[1:])


def fill(journal: Journal, relays: int, days: int, now: float) -> int:
    """Write `days` days until `now` directly into the database. Return the number of failed runs."""
    database, filler = journal._database, Filler(relays, days, now)  # noqa: SLF001 - a week would take a week
    for start in range(int(filler.since), int(now), HOUR):
        with database.writing() as connection:
            filler.fill(connection, start)
    more = True
    while more:
        with database.writing() as connection:
            more = remove_old(connection, now, 30 * 24 * HOUR)
    return filler.failed


def main() -> int:
    """Fill a journal, and print its size and the time of each query. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.journal", description=__doc__)
    parser.add_argument("--relays", type=int, default=200)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where the file stays; one that is there is not filled again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        is_new = not (folder / NAME).exists()
        state = StateFolder(folder)
        journal = Journal(state)
        journal.flush(30)
        if is_new:
            failed = fill(journal, options.relays, options.days, time.time() // HOUR * HOUR)
            sys.stdout.write(f"{failed} failed runs\n")
        journal.close()
        sys.stdout.write(f"{sum(path.stat().st_size for path in folder.glob(f'{NAME}*')) / 1e6:.0f} MB\n")
        journal = Journal(state)
        journal.flush(30)
        newest = journal.runs(limit=1)[0].run.started_at.timestamp()
        for name, query in queries(journal, "relay-007", datetime.fromtimestamp(-(-newest // HOUR) * HOUR, UTC)):
            first, median, cpu = measure(query)
            sys.stdout.write(f"{name:46} first {first:7.1f} ms, then {median:6.1f} ms ({cpu:6.1f} ms of CPU)\n")
        journal.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
