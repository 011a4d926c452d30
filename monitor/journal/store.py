"""Writes what is pending into the database: a few statements for each kind, in one transaction."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from monitor.incidents import incident_to_json
from monitor.journal.increments import Increments
from monitor.journal.packing import pack, pack_id, rounded, storable, unpack
from monitor.journal.schema import (
    OUTCOMES,
    ROLLUPS,
    SLO_ROLLUPS,
    rollup_upsert,
    slo_upsert,
)
from monitor.journal.stored import StoredRun, stored_to_json
from monitor.vocabulary import Outcome

if TYPE_CHECKING:
    import sqlite3

    from monitor.incidents import Incident
    from monitor.journal.increments import Minute
    from monitor.journal.values import StoredEvent
    from monitor.vocabulary import Verdict

MAX_PENDING: Final = 2_000
"""Largest number of runs, of incidents and of events that wait while nothing can be written; older ones are dropped."""

_SEVERITIES: Final = {outcome: severity for severity, outcome in enumerate(OUTCOMES)}
_ROLLUP_UPSERTS: Final = {seconds: rollup_upsert(table) for seconds, table in ROLLUPS.items()}
_SLO_UPSERTS: Final = {seconds: slo_upsert(table) for seconds, table in SLO_ROLLUPS.items()}

_FAILURE_UPSERT: Final = """
INSERT INTO failures (start, probe, step, reason, status, count, first, last, run, detail)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (start, probe, step, reason, status) DO UPDATE SET
    count = count + excluded.count, first = min(first, excluded.first), last = max(last, excluded.last),
    run = CASE WHEN excluded.last >= last THEN excluded.run ELSE run END,
    detail = CASE WHEN excluded.last >= last THEN excluded.detail ELSE detail END
"""
_RUN_INSERT: Final = "INSERT OR IGNORE INTO runs (id, probe, started, outcome, body) VALUES (?, ?, ?, ?, ?)"
_INCIDENT_UPSERT: Final = """
INSERT INTO incidents (id, relay, opened, closed, body) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET closed = excluded.closed, body = excluded.body
"""
_EVENT_INSERT: Final = "INSERT INTO events (at, relay, kind, text, fields) VALUES (?, ?, ?, ?, ?)"


class Judgement(NamedTuple):
    """A verdict on a message that came after its run. Without a verdict, only the note is changed."""

    run_id: str
    direction: str
    sequence: int
    verdict: Verdict | None
    note: str


@dataclass(slots=True)
class Pending:
    """What is to be written by the next commit. `dropped`: what was lost because too much waited."""

    increments: Increments = field(default_factory=Increments)
    runs: dict[str, StoredRun] = field(default_factory=dict)
    judgements: deque[Judgement] = field(default_factory=lambda: deque(maxlen=MAX_PENDING))
    incidents: dict[str, Incident] = field(default_factory=dict)
    events: deque[StoredEvent] = field(default_factory=lambda: deque(maxlen=MAX_PENDING))
    dropped: int = 0

    def __bool__(self) -> bool:
        return bool(self.increments or self.runs or self.judgements or self.incidents or self.events)

    def add_run(self, stored: StoredRun) -> None:
        """Add a run that is stored whole."""
        self.runs[stored.run.id] = stored
        if len(self.runs) > MAX_PENDING:
            del self.runs[next(iter(self.runs))]
            self.dropped += 1

    def add_incident(self, incident: Incident) -> None:
        """Add the newest state of an incident."""
        self.incidents[incident.id] = incident
        if len(self.incidents) > MAX_PENDING:
            del self.incidents[next(iter(self.incidents))]
            self.dropped += 1

    def add_judgement(self, judgement: Judgement) -> None:
        """Add a verdict, or apply it to a run that is pending itself."""
        stored = self.runs.get(judgement.run_id)
        if stored is not None:
            self.runs[judgement.run_id] = with_verdict(stored, judgement)
        else:
            self.judgements.append(judgement)


class Store:
    """Writes with one connection; remembers the numbers of probes and SLOs. Methods raise `sqlite3.Error`."""

    def __init__(self) -> None:
        self._probes: dict[tuple[str, str], int] = {}
        self._slos: dict[tuple[str, str], int] = {}

    def forget(self) -> None:
        """Forget the numbers: the transaction that assigned them was rolled back, or the file is another one."""
        self._probes.clear()
        self._slos.clear()

    def write(self, connection: sqlite3.Connection, pending: Pending) -> None:
        """Write all that is pending."""
        self._write_rollups(connection, pending.increments)
        connection.executemany(
            _RUN_INSERT,
            [
                (
                    pack_id(run_id),
                    self._probe(connection, stored.run.relay, stored.run.probe),
                    stored.run.started_at.timestamp(),
                    _SEVERITIES[stored.run.outcome],
                    pack(rounded(stored_to_json(stored))),
                )
                for run_id, stored in pending.runs.items()
            ],
        )
        for judgement in pending.judgements:
            self._write_judgement(connection, judgement)
        connection.executemany(
            _INCIDENT_UPSERT,
            [
                (
                    incident.id,
                    incident.relay,
                    incident.opened_at.timestamp(),
                    incident.closed_at.timestamp() if incident.closed_at is not None else None,
                    pack(incident_to_json(incident)),
                )
                for incident in pending.incidents.values()
            ],
        )
        connection.executemany(
            _EVENT_INSERT,
            [
                (event.at.timestamp(), event.relay, event.kind, storable(event.text), json.dumps(dict(event.fields)))
                for event in pending.events
            ],
        )

    def _write_rollups(self, connection: sqlite3.Connection, increments: Increments) -> None:
        minutes = [
            (start, self._probe(connection, relay, probe), minute)
            for (start, relay, probe), minute in increments.minutes.items()
        ]
        for seconds, statement in _ROLLUP_UPSERTS.items():
            connection.executemany(
                statement,
                [(start // seconds * seconds, probe, *_values(minute)) for start, probe, minute in minutes],
            )
        connection.executemany(
            _FAILURE_UPSERT,
            [
                (
                    key.start,
                    self._probe(connection, key.relay, key.probe),
                    key.step,
                    key.reason,
                    storable(key.status),
                    cause.count,
                    cause.first,
                    cause.last,
                    pack_id(cause.run),
                    storable(cause.detail),
                )
                for key, cause in increments.causes.items()
            ],
        )
        for seconds, statement in _SLO_UPSERTS.items():
            connection.executemany(
                statement,
                [
                    (
                        key.start // seconds * seconds,
                        self._slo(connection, key.relay, key.slo, increments.begun),
                        good,
                        bad,
                    )
                    for key, (good, bad) in increments.slos.items()
                ],
            )

    @staticmethod
    def _write_judgement(connection: sqlite3.Connection, judgement: Judgement) -> None:
        """Change the body of a run, if it is stored."""
        key = (pack_id(judgement.run_id),)
        found = connection.execute("SELECT body FROM runs WHERE id = ?", key).fetchone()
        if found is None:
            return
        data = unpack(found[0])
        for message in data["messages"]:
            if (message["direction"], message["sequence"]) == (judgement.direction, judgement.sequence):
                message["note"] = judgement.note
                if judgement.verdict is not None:
                    message["verdict"] = judgement.verdict.value
        connection.execute("UPDATE runs SET body = ? WHERE id = ?", (pack(data), *key))

    def _probe(self, connection: sqlite3.Connection, relay: str, probe: str) -> int:
        key = (relay, probe)
        if key not in self._probes:
            connection.execute("INSERT OR IGNORE INTO probes (relay, probe) VALUES (?, ?)", key)
            found = connection.execute("SELECT id FROM probes WHERE relay = ? AND probe = ?", key)
            self._probes[key] = found.fetchone()[0]
        return self._probes[key]

    def _slo(self, connection: sqlite3.Connection, relay: str, slo: str, begun: float) -> int:
        key = (relay, slo)
        if key not in self._slos:
            connection.execute("INSERT OR IGNORE INTO slos (relay, slo, begun) VALUES (?, ?, ?)", (*key, begun))
            found = connection.execute("SELECT id FROM slos WHERE relay = ? AND slo = ?", key)
            self._slos[key] = found.fetchone()[0]
        return self._slos[key]


def _values(minute: Minute) -> tuple[Any, ...]:
    """Return the columns of a roll-up after `start` and `probe`."""
    counts = minute.counts
    return (
        counts[Outcome.OK],
        counts[Outcome.FAILED],
        counts[Outcome.ABORTED],
        counts[Outcome.EXCLUDED],
        minute.lost,
        *minute.buckets,
        minute.worst,
        pack_id(minute.run) if minute.run is not None else None,
    )


def with_verdict(stored: StoredRun, judgement: Judgement) -> StoredRun:
    """Return a run with a verdict on one of its messages."""
    messages = tuple(
        fate._replace(verdict=judgement.verdict if judgement.verdict is not None else fate.verdict, note=judgement.note)
        if (fate.direction, fate.sequence) == (judgement.direction, judgement.sequence)
        else fate
        for fate in stored.run.messages
    )
    return replace(stored, run=stored.run._replace(messages=messages))
