"""When what is removed: every minute what is too old, and at once what there is no room for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.journal.retention import (
    FULL_SHARE,
    TrustedClock,
    make_room,
    newest_entry,
    remove_old,
    thin,
)
from monitor.journal.schema import DAY, MINUTE

if TYPE_CHECKING:
    import sqlite3

    from monitor.journal.database import Database

INTERVAL: Final = float(MINUTE)
"""Seconds between two looks at ages and size, unless there is more to remove."""

MAX_THINNED: Final = 2 * DAY
"""The longest time of which runs are thinned out at once, after a pause."""


@dataclass(slots=True)
class Pruning:
    """Removes entries step by step. Set `max_age` in seconds, and by `tick` what time it is."""

    max_age: float = 30.0 * DAY
    is_behind: bool = False
    _wall: float | None = None
    _monotonic: float = 0.0
    _next: float = 0.0
    _clock: TrustedClock | None = None
    is_full: bool = False

    def tick(self, wall: float, monotonic: float) -> None:
        """Set the time, by both clocks."""
        self._wall, self._monotonic = wall, monotonic

    def hurry(self) -> None:
        """Make room in the next step: the database is full."""
        self.is_full = self.is_behind = True

    def step(self, database: Database) -> None:
        """Remove some of what must go, if it is time. Raises `sqlite3.Error`."""
        if self._wall is None or (not self.is_behind and self._monotonic < self._next):
            return
        self._next = self._monotonic + INTERVAL
        with database.writing() as connection:
            if self._clock is None:
                self._clock = TrustedClock(newest_entry(connection), self._monotonic)
            now = self._clock.trusted(self._wall, self._monotonic)
            more = remove_old(connection, now, self.max_age)
            _thin(connection, now)
        if database.used_bytes() > FULL_SHARE * database.content_bytes:  # otherwise it is the disk that is full
            with database.writing() as connection:
                more |= make_room(connection)
                connection.execute("PRAGMA incremental_vacuum(1000)").fetchall()
        self.is_full = False
        self.is_behind = more


def _thin(connection: sqlite3.Connection, now: float) -> None:
    found = connection.execute("SELECT value FROM meta WHERE key = 'thinned'").fetchone()
    since = max(float(found[0]), now - MAX_THINNED) if found is not None else now - MAX_THINNED
    thin(connection, since, now)
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('thinned', ?)", (str(max(since, now)),))
