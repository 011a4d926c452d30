"""What the journal removes: what is too old, good runs that stand too close, and the most where there is no room.

Everything is done in small steps, so that no transaction takes long. Roll-ups are removed for lack of room only after
all runs are gone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import structlog

from monitor.journal.schema import DAY, HOUR, OUTCOMES, QUARTER
from monitor.vocabulary import Outcome

if TYPE_CHECKING:
    import sqlite3

_log = structlog.get_logger(__name__)

SHORT_AGE: Final = 25 * HOUR
"""Age up to which there are minutes and quarters."""

MAX_EVENTS: Final = 10_000
"""Largest number of events of the monitor."""

MAX_INCIDENTS: Final = 10_000
"""Largest number of incidents."""

FULL_SHARE: Final = 0.9
"""Share of the largest size above which something is removed."""

STEP_RUNS: Final = 500
"""Runs that are removed in one step."""

STEP_ROWS: Final = 5_000
"""Rows of each roll-up that are removed in one step."""

_FAILED: Final = OUTCOMES.index(Outcome.FAILED)

THINNED: Final = ((HOUR, QUARTER), (SHORT_AGE, HOUR))
"""Age from which of the runs that did not fail only the first of each span stays, with the seconds of that span."""


class TrustedClock:
    """The time by which old entries are removed: a wall clock that was stepped forward counts after an hour at most.

    A clock that is a year ahead for a while must not empty the journal. Times are in seconds, on the wall clock and on
    the monotonic one.
    """

    def __init__(self, newest: float | None, monotonic: float) -> None:
        self._anchor: tuple[float, float] | None = (newest, monotonic) if newest is not None else None
        self._next: tuple[float, float] | None = None  # the anchor of the next hour

    def trusted(self, wall: float, monotonic: float) -> float:
        """Return the time to remove by."""
        if self._anchor is None:
            self._anchor = (wall, monotonic)
        if self._next is None:
            self._next = (wall, monotonic)
        elif monotonic - self._next[1] >= HOUR:
            self._anchor, self._next = self._next, (wall, monotonic)
        at, since = self._anchor
        return min(wall, at + HOUR + monotonic - since)


def newest_entry(connection: sqlite3.Connection) -> float | None:
    """Return the Unix time of the newest roll-up; None in an empty database."""
    newest: float | None = connection.execute("SELECT max(start) FROM hours").fetchone()[0]
    return newest


def remove_old(connection: sqlite3.Connection, now: float, max_age: float) -> bool:
    """Remove some of what is too old. Return whether there may be more."""
    more = False
    short = min(SHORT_AGE, max_age)
    for table, age in (
        ("minutes", short), ("quarters", short), ("hours", max_age), ("failures", max_age),
        ("slo_hours", max_age + DAY), ("slo_days", max_age + DAY),
    ):  # fmt: skip
        more |= _remove_rows(connection, table, now - age)
    removed = connection.execute(
        "DELETE FROM runs WHERE number IN (SELECT number FROM runs WHERE started < ? LIMIT ?)",
        (now - max_age, STEP_RUNS),
    ).rowcount
    more |= removed == STEP_RUNS
    connection.execute("DELETE FROM incidents WHERE closed < ?", (now - max_age,))
    connection.execute("DELETE FROM events WHERE at < ?", (now - max_age,))
    _remove_surplus(connection, "incidents", "rowid", "opened", MAX_INCIDENTS)
    _remove_surplus(connection, "events", "number", "number", MAX_EVENTS)
    return more


def _remove_rows(connection: sqlite3.Connection, table: str, before: float) -> bool:
    """Remove rows that start earlier, `STEP_ROWS` at least if there are as many. Return whether there may be more."""
    found = connection.execute(
        f"SELECT start FROM {table} WHERE start < ? ORDER BY start LIMIT 1 OFFSET ?",  # noqa: S608 - our names
        (before, STEP_ROWS),
    ).fetchone()
    until = before if found is None else found[0] + 1
    connection.execute(f"DELETE FROM {table} WHERE start < ?", (until,))  # noqa: S608 - our names
    return found is not None


def _remove_surplus(connection: sqlite3.Connection, table: str, key: str, order: str, most: int) -> None:
    connection.execute(
        f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} ORDER BY {order} DESC LIMIT -1 OFFSET ?)",  # noqa: S608 - ours
        (most,),
    )


def thin(connection: sqlite3.Connection, since: float, until: float) -> None:
    """Remove runs that did not fail and are not the first of their span, of those that pass an age in THINNED.

    To be called with the time of the last call and of this one.
    """
    for age, span in THINNED:
        low, high = (since - age) // span * span, (until - age) // span * span
        if low >= high:
            continue
        connection.execute(
            """
            DELETE FROM runs WHERE number IN (
                SELECT number FROM (
                    SELECT number, row_number() OVER (
                        PARTITION BY probe, outcome, CAST(started / ?1 AS INTEGER) ORDER BY started, number
                    ) AS place
                    FROM runs WHERE started >= ?2 AND started < ?3 AND outcome <> ?4
                ) WHERE place > 1
            )
            """,
            (span, low, high, _FAILED),
        )


def make_room(connection: sqlite3.Connection) -> bool:
    """Remove some of what is needed least. Return whether there was anything to remove.

    First runs that did not fail, the oldest first; then the oldest failed runs of the probe that has the most of them,
    so that a relay that is down for long does not cost the others theirs; then the oldest roll-ups.
    """
    removed = connection.execute(
        "DELETE FROM runs WHERE number IN (SELECT number FROM runs WHERE outcome <> ? ORDER BY started LIMIT ?)",
        (_FAILED, STEP_RUNS),
    ).rowcount
    if removed:
        return True
    most = connection.execute("SELECT probe, count(*) AS runs FROM runs GROUP BY probe ORDER BY runs DESC LIMIT 1")
    if (found := most.fetchone()) is not None:
        connection.execute(
            "DELETE FROM runs WHERE number IN (SELECT number FROM runs WHERE probe = ? ORDER BY started LIMIT ?)",
            (found[0], STEP_RUNS),
        )
        return True
    for table in ("minutes", "quarters", "failures", "hours"):
        if connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None:  # noqa: S608 - our names
            _remove_rows(connection, table, math.inf)
            return True
    return False
