"""Reads from the database: runs, failures by cause, SLO events, incidents, events. All raise `sqlite3.Error`."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import structlog

from monitor.incidents import incident_from_json
from monitor.journal.packing import pack_id, unpack, unpack_id
from monitor.journal.schema import DAY, HOUR, OUTCOMES, QUARTER
from monitor.journal.stored import stored_from_json
from monitor.journal.values import Events, FailureGroup, StoredEvent
from monitor.vocabulary import Outcome, Reason, Step

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from monitor.incidents import Incident
    from monitor.journal.stored import StoredRun

_log = structlog.get_logger(__name__)

MAX_GAP: Final = 1_800.0
"""Seconds without a failure after which one of the same cause begins another group."""

MAX_CAUSE_ROWS: Final = 20_000
"""Largest number of rows that are read for groups of failures, the newest ones."""

_INVALID: Final = (ValueError, TypeError, KeyError, OverflowError)
"""What the readers of JSON values raise for other data."""


def severity(outcome: str | Outcome) -> int:
    """Return the number under which an outcome is stored; -1 for one that there is not."""
    try:
        return OUTCOMES.index(Outcome(outcome))
    except ValueError:
        return -1


def probe_numbers(connection: sqlite3.Connection, relay: str | None, probe: str | None) -> list[int]:
    """Return the numbers of the matching probes; None matches all."""
    found = connection.execute(
        "SELECT id FROM probes WHERE (?1 IS NULL OR relay = ?1) AND (?2 IS NULL OR probe = ?2)", (relay, probe)
    )
    return [row[0] for row in found]


def probe_keys(connection: sqlite3.Connection) -> dict[int, tuple[str, str]]:
    """Return relay and probe by their number."""
    return {
        number: (relay, probe) for number, relay, probe in connection.execute("SELECT id, relay, probe FROM probes")
    }


# Runs.


def run(connection: sqlite3.Connection, run_id: str) -> StoredRun | None:
    """Return a run by its id, or None."""
    found = connection.execute("SELECT body FROM runs WHERE id = ?", (pack_id(run_id),)).fetchall()
    return next(_runs_of(found), None)


def runs(
    connection: sqlite3.Connection,
    *,
    relay: str | None = None,
    probe: str | None = None,
    outcome: str | None = None,
    since: float,
    until: float,
    limit: int,
) -> list[StoredRun]:
    """Return the matching runs that began in [since, until), newest first; None matches all."""
    severities = range(len(OUTCOMES)) if outcome is None else (severity(outcome),)
    newest: list[tuple[float, int]] = []
    if relay is None and probe is None:
        for each in severities:
            newest += connection.execute(
                "SELECT started, number FROM runs WHERE outcome = ? AND started >= ? AND started < ? "
                "ORDER BY started DESC LIMIT ?",
                (each, since, until, limit),
            ).fetchall()
    else:
        for number in probe_numbers(connection, relay, probe):
            for each in severities:
                newest += connection.execute(
                    "SELECT started, number FROM runs WHERE probe = ? AND outcome = ? AND started >= ? AND started < ? "
                    "ORDER BY started DESC LIMIT ?",
                    (number, each, since, until, limit),
                ).fetchall()
    newest.sort(reverse=True)
    bodies = [
        connection.execute("SELECT body FROM runs WHERE number = ?", (number,)).fetchone()
        for _, number in newest[:limit]
    ]
    return list(_runs_of(body for body in bodies if body is not None))  # one may have been removed meanwhile


def last_runs(connection: sqlite3.Connection) -> Iterator[StoredRun]:
    """Yield the newest run of each probe at each relay, and then its newest good one."""
    for number in probe_numbers(connection, None, None):
        found = [
            connection.execute(
                "SELECT started, body FROM runs WHERE probe = ? AND outcome = ? ORDER BY started DESC LIMIT 1",
                (number, each),
            ).fetchone()
            for each in range(len(OUTCOMES))
        ]
        good = found[severity(Outcome.OK)]
        newest = max((row for row in found if row is not None), default=None, key=lambda row: row[0])
        yield from _runs_of([(row[1],) for row in (newest, good) if row is not None])


def neighbour(
    connection: sqlite3.Connection, relay: str, probe: str, started: float, *, newer: bool
) -> list[tuple[datetime, str]]:
    """Return start and id of the stored runs of a probe next to one that began at `started`: one of each outcome."""
    comparison, order = (">=", "ASC") if newer else ("<=", "DESC")
    return [
        (_utc(at), unpack_id(run_id))
        for number in probe_numbers(connection, relay, probe)
        for each in range(len(OUTCOMES))
        for at, run_id in connection.execute(
            f"SELECT started, id FROM runs WHERE probe = ? AND outcome = ? AND started {comparison} ? "  # noqa: S608 - ours
            f"ORDER BY started {order}, id {order} LIMIT 3",
            (number, each, started),
        )
    ]


def _runs_of(rows: Iterable[Sequence[bytes]]) -> Iterator[StoredRun]:
    for (body,) in rows:
        try:
            yield stored_from_json(unpack(body))
        except _INVALID:
            _log.warning("run journal has a run that cannot be read")


# Failures by cause.


def failures(connection: sqlite3.Connection, since: float, limit: int, relay: str | None) -> list[FailureGroup]:
    """Return the failed runs by probe and cause, the group with the newest failure first."""
    keys = probe_keys(connection)
    condition, values = _of_probes(connection, relay)
    rows = connection.execute(
        "SELECT probe, step, reason, status, count, first, last, run, detail FROM failures "  # noqa: S608 - ours
        f"WHERE start >= ? AND last >= ? {condition} ORDER BY start DESC LIMIT ?",
        (since // QUARTER * QUARTER, since, *values, MAX_CAUSE_ROWS),
    )
    groups: list[_Group] = []
    oldest: dict[tuple[Any, ...], _Group] = {}  # of each cause so far
    for number, step, reason, status, count, first, last, run_id, detail in rows:
        cause = (number, step, reason, status)
        group = oldest.get(cause)
        if group is not None and group.first - last <= MAX_GAP:
            group.count += count
            group.first = min(group.first, first)
        else:
            group = oldest[cause] = _Group(cause, count, first, last, run_id, detail)
            groups.append(group)
    groups.sort(key=lambda group: group.last, reverse=True)
    found = []
    for group in groups[:limit]:
        with suppress(ValueError):  # a step or reason of another version
            found.append(group.of(keys))
    return found


@dataclass(slots=True)
class _Group:
    """Failures of one cause: those of the newest row, and older ones that are added to it."""

    cause: tuple[int, str, str, str]  # probe, step, reason, status
    count: int
    first: float
    last: float
    run: bytes | str
    detail: str

    def of(self, keys: dict[int, tuple[str, str]]) -> FailureGroup:
        """Return it with the names of its relay and probe. Raises `ValueError`."""
        number, step, reason, status = self.cause
        relay, probe = keys[number]
        return FailureGroup(
            relay=relay,
            probe=probe,
            step=Step(step),
            reason=Reason(reason),
            status=status,
            detail=self.detail,
            count=self.count,
            first=_utc(self.first),
            last=_utc(self.last),
            run_id=unpack_id(self.run),
        )


def _of_probes(connection: sqlite3.Connection, relay: str | None) -> tuple[str, list[int]]:
    """Return a condition on the column `probe` and its values."""
    if relay is None:
        return "", []
    numbers = probe_numbers(connection, relay, None)
    return f"AND probe IN ({', '.join('?' * len(numbers))})", numbers


# SLO events.


def events(connection: sqlite3.Connection, since: float, until: float) -> dict[tuple[str, str], Events]:
    """Return the good and bad events of each SLO at each relay, from the beginning of the hour of `since`.

    Whole days are summed up from a table of their own, which has one row where the other has 24.
    """
    start, first_day, last_day = since // HOUR * HOUR, -(-since // DAY) * DAY, until // DAY * DAY
    parts = [("slo_hours", start, until)]
    if first_day < last_day:
        parts = [("slo_hours", start, first_day), ("slo_days", first_day, last_day), ("slo_hours", last_day, until)]
    sums: dict[int, list[float]] = {}
    for table, low, high in parts:
        found = connection.execute(
            f"SELECT slo, sum(good), sum(bad) FROM {table} WHERE start >= ? AND start < ? GROUP BY slo",  # noqa: S608 - ours
            (low, high),
        )
        for number, good, bad in found:
            total = sums.setdefault(number, [0.0, 0.0])
            total[0] += good
            total[1] += bad
    oldest = connection.execute("SELECT min(start) FROM slo_days").fetchone()[0]
    kept = start if oldest is None else max(start, oldest)  # days before it were removed
    found = connection.execute("SELECT id, relay, slo, begun FROM slos")
    return {
        (relay, slo): Events(good=sums[number][0], bad=sums[number][1], since=_utc(max(kept, begun)))
        for number, relay, slo, begun in found
        if number in sums
    }


# Incidents and events.


def incident(connection: sqlite3.Connection, incident_id: str) -> Incident | None:
    """Return an incident by its id, or None."""
    found = connection.execute("SELECT body FROM incidents WHERE id = ?", (incident_id,)).fetchall()
    return next(_incidents_of(found), None)


def incidents(
    connection: sqlite3.Connection, relay: str | None, since: float | None, limit: int, *, is_open: bool | None
) -> list[Incident]:
    """Return the matching incidents, the newest first; `since`: those that were open then or later."""
    found = connection.execute(
        "SELECT body FROM incidents WHERE (?1 IS NULL OR relay = ?1) AND (?2 IS NULL OR (closed IS NULL) = ?2) "
        "AND (?3 IS NULL OR closed IS NULL OR closed >= ?3) ORDER BY opened DESC LIMIT ?4",
        (relay, is_open, since, limit),
    ).fetchall()
    return list(_incidents_of(found))


def _incidents_of(rows: Iterable[Sequence[bytes]]) -> Iterator[Incident]:
    for (body,) in rows:
        try:
            yield incident_from_json(unpack(body))
        except _INVALID:
            _log.warning("journal has an incident that cannot be read")


def events_log(
    connection: sqlite3.Connection,
    relay: str | None,
    kind: str | None,
    since: float | None,
    until: float | None,
    limit: int,
) -> list[StoredEvent]:
    """Return the matching events, the newest first; with `relay` also those of all relays."""
    found = connection.execute(
        "SELECT at, relay, kind, text, fields FROM events WHERE (?1 IS NULL OR relay IS NULL OR relay = ?1) "
        "AND (?2 IS NULL OR kind = ?2) AND (?3 IS NULL OR at >= ?3) AND (?4 IS NULL OR at < ?4) "
        "ORDER BY at DESC, number DESC LIMIT ?5",
        (relay, kind, since, until, limit),
    )
    return [
        StoredEvent(at=_utc(at), relay=name, kind=kind, text=text, fields=json.loads(fields))
        for at, name, kind, text, fields in found
    ]


def _utc(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)
