"""The tables of the journal. `PRAGMA user_version` is the number of the migrations that a file has had.

Roll-ups have one row for each probe at each relay in a minute, a quarter of an hour and an hour in which something
happened. Their counts only ever grow, so a row is written by adding to it, and sums over time or probes are SQL.
Times are Unix time in seconds; `start` is a whole number of its unit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.vocabulary import BUCKETS, Outcome

if TYPE_CHECKING:
    import sqlite3

MINUTE: Final = 60
QUARTER: Final = 900
HOUR: Final = 3_600
DAY: Final = 86_400

ROLLUPS: Final = {MINUTE: "minutes", QUARTER: "quarters", HOUR: "hours"}
"""Table by the seconds that one of its rows covers."""

SLO_ROLLUPS: Final = {HOUR: "slo_hours", DAY: "slo_days"}

OUTCOMES: Final = (Outcome.OK, Outcome.EXCLUDED, Outcome.ABORTED, Outcome.FAILED)
"""The outcomes from best to worst; the position of one is its severity in the column `worst`."""

BUCKET_COLUMNS: Final = tuple(f"b{number}" for number in range(len(BUCKETS) + 1))

_COUNTS: Final = ("ok", "failed", "aborted", "excluded", "lost", *BUCKET_COLUMNS)

_ROLLUP: Final = """
CREATE TABLE {table} (
    start INTEGER NOT NULL,
    probe INTEGER NOT NULL,
    {counts},
    worst INTEGER NOT NULL,
    run,
    PRIMARY KEY (start, probe)
) WITHOUT ROWID;
"""

_SLO_ROLLUP: Final = """
CREATE TABLE {table} (
    start INTEGER NOT NULL,
    slo INTEGER NOT NULL,
    good REAL NOT NULL,
    bad REAL NOT NULL,
    PRIMARY KEY (start, slo)
) WITHOUT ROWID;
"""

_FIRST: Final = (
    """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE probes (id INTEGER PRIMARY KEY, relay TEXT NOT NULL, probe TEXT NOT NULL, UNIQUE (relay, probe));
CREATE TABLE slos (
    id INTEGER PRIMARY KEY, relay TEXT NOT NULL, slo TEXT NOT NULL, begun REAL NOT NULL, UNIQUE (relay, slo)
);
CREATE TABLE runs (
    number INTEGER PRIMARY KEY,
    id NOT NULL UNIQUE,
    probe INTEGER NOT NULL,
    started REAL NOT NULL,
    outcome INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX runs_by_time ON runs (started);
CREATE INDEX runs_by_probe ON runs (probe, outcome, started);
CREATE INDEX runs_by_outcome ON runs (outcome, started);
CREATE TABLE failures (
    start INTEGER NOT NULL,
    probe INTEGER NOT NULL,
    step TEXT NOT NULL,
    reason TEXT NOT NULL,
    status TEXT NOT NULL,
    count INTEGER NOT NULL,
    first REAL NOT NULL,
    last REAL NOT NULL,
    run,
    detail TEXT NOT NULL,
    PRIMARY KEY (start, probe, step, reason, status)
) WITHOUT ROWID;
CREATE TABLE incidents (
    id TEXT PRIMARY KEY,
    relay TEXT NOT NULL,
    opened REAL NOT NULL,
    closed REAL,
    body BLOB NOT NULL
);
CREATE INDEX incidents_by_relay ON incidents (relay, opened);
CREATE INDEX incidents_by_time ON incidents (opened);
CREATE TABLE events (
    number INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    relay TEXT,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    fields TEXT NOT NULL
);
CREATE INDEX events_by_time ON events (at);
"""
    + "".join(
        _ROLLUP.format(table=table, counts=", ".join(f"{name} INTEGER NOT NULL" for name in _COUNTS))
        for table in ROLLUPS.values()
    )
    + "".join(_SLO_ROLLUP.format(table=table) for table in SLO_ROLLUPS.values())
)

MIGRATIONS: Final = (_FIRST,)
"""What each version of the schema adds. A published one is never changed: what is new is one more."""


def version_of(connection: sqlite3.Connection) -> int:
    """Return how many migrations a database has had; 0 for an empty one."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a database to the current version, each step as a whole or not at all."""
    for number in range(version_of(connection), len(MIGRATIONS)):
        connection.executescript(f"BEGIN IMMEDIATE;{MIGRATIONS[number]};PRAGMA user_version = {number + 1};COMMIT;")


def rollup_upsert(table: str) -> str:
    """Return the statement that adds to a row of a roll-up: start, probe, counts, worst, run."""
    columns = ("start", "probe", *_COUNTS, "worst", "run")
    sums = ", ".join(f"{name} = {name} + excluded.{name}" for name in _COUNTS)
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "  # noqa: S608 - our names
        f"ON CONFLICT (start, probe) DO UPDATE SET {sums}, worst = max(worst, excluded.worst), "
        "run = CASE WHEN excluded.worst > worst OR run IS NULL THEN excluded.run ELSE run END"
    )


def slo_upsert(table: str) -> str:
    """Return the statement that adds to a row of an SLO's roll-up: start, slo, good, bad."""
    return (
        f"INSERT INTO {table} (start, slo, good, bad) VALUES (?, ?, ?, ?) "  # noqa: S608 - our names
        "ON CONFLICT (start, slo) DO UPDATE SET good = good + excluded.good, bad = bad + excluded.bad"
    )
