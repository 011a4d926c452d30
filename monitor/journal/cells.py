"""Reads from the roll-ups: outcomes and latencies by span of time.

A page of many relays shows tens of thousands of cells, nearly all of which have not changed since the last time. So
those that are older than `MAX_DELAY` are kept, and only newer ones are read again.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from monitor.journal.packing import unpack_id
from monitor.journal.queries import probe_keys, probe_numbers
from monitor.journal.schema import BUCKET_COLUMNS, HOUR, MINUTE, OUTCOMES, QUARTER, ROLLUPS
from monitor.journal.values import Cell, Histogram

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from monitor.journal.database import Database

    Key = tuple[str, str]
    Cells = dict[Key, dict[int, Cell]]
    Read = Callable[[sqlite3.Connection, int, int, int, str | None], dict[Key, dict[int, "Value"]]]

Value = TypeVar("Value")

MAX_DELAY: Final = 360.0
"""Seconds after which a run is counted at the latest: it may be held until it is known whether it counts."""

MAX_CACHED_SECONDS: Final = 90_000
"""The longest span of which cells are kept: 25 hours."""

MAX_CACHED_CELLS: Final = 200
"""The largest number of cells that are kept for one probe."""


SLICE: Final = 12
"""Cells of each probe that are read at once."""


class CellReader(Generic[Value]):
    """Reads cells of all relays by `read`, and keeps those that no longer change. Usable in any thread."""

    def __init__(self, database: Database, read: Read[Value]) -> None:
        self._database = database
        self._read = read
        self._lock = threading.Lock()
        self._kept: dict[int, tuple[int, int, dict[Key, dict[int, Value]]]] = {}  # by seconds: since, until, cells

    def read(self, since: float, until: float, cell: int, relay: str | None) -> dict[Key, dict[int, Value]]:
        """Return the cells by start that begin in [since, until), oldest first, without empty ones.

        Raises `JournalUnavailableError`.
        """
        low, high = -(-int(since) // cell) * cell, int(until)
        if relay is None and high - low <= min(MAX_CACHED_SECONDS, MAX_CACHED_CELLS * cell):
            with self._lock:
                return self._refresh(low, high, cell)
        with self._database.reading() as connection:
            found = self._read(connection, low, high, cell, relay)
        return {key: dict(sorted(spans.items())) for key, spans in found.items()}

    def _refresh(self, low: int, high: int, cell: int) -> dict[Key, dict[int, Value]]:
        kept_since, kept_until, cells = self._kept.get(cell, (0, 0, {}))
        if not kept_since <= low < kept_until or high < kept_until:
            kept_since, kept_until, cells = low, low, {}
        for spans in cells.values():
            for start in [start for start in spans if start < low]:
                del spans[start]
        final = max(kept_until, int(high - MAX_DELAY - cell) // cell * cell)
        # In slices, each with a deadline of its own: what has been read need not be read again if a later one fails.
        for start in range(kept_until, high, SLICE * cell):
            end = min(high, start + SLICE * cell)
            with self._database.reading() as connection:
                for key, spans in self._read(connection, start, end, cell, None).items():
                    cells.setdefault(key, {}).update(spans)
            self._kept[cell] = (low, min(end, final), cells)
        return {
            key: {start: spans[start] for start in sorted(spans) if start < high}
            for key, spans in cells.items()
            if spans
        }

    def forget(self) -> None:
        """Forget all cells: the database is another one."""
        with self._lock:
            self._kept.clear()


def read_cells(connection: sqlite3.Connection, low: int, high: int, cell: int, relay: str | None) -> Cells:
    """Return the cells by probe and start."""
    keys, (condition, values) = probe_keys(connection), _of_relay(connection, relay)
    sums: dict[tuple[int, int], tuple[int, ...]] = {}
    found: Cells = {}
    rows = connection.execute(
        "SELECT start / ?1 * ?1, probe, ok, failed, aborted, excluded, lost, worst, run "  # noqa: S608 - our names
        f"FROM {_table(cell)} WHERE start >= ?2 AND start < ?3 {condition} ORDER BY start",
        (cell, low, high, *values),
    )
    for start, probe, ok, failed, aborted, excluded, lost, worst, run in rows:
        spans = found.setdefault(keys[probe], {})
        earlier = sums.get((start, probe))
        if earlier is not None:  # several rows make one cell
            before = spans[start]
            ok, failed, aborted, excluded, lost = (  # noqa: PLW2901 - the sums
                number + more for number, more in zip(earlier, (ok, failed, aborted, excluded, lost), strict=True)
            )
            if before.worst is not None and worst <= OUTCOMES.index(before.worst):
                worst, run = OUTCOMES.index(before.worst), before.run_id  # noqa: PLW2901 - the worst of both
        if cell != _seconds(cell):
            sums[start, probe] = (ok, failed, aborted, excluded, lost)
        spans[start] = Cell(
            start=_utc(start),
            ok=ok,
            failed=failed,
            aborted=aborted,
            excluded=excluded,
            lost=lost,
            worst=OUTCOMES[worst] if worst >= 0 else None,
            run_id=unpack_id(run) if run is not None else None,
        )
    return found


def read_latencies(
    connection: sqlite3.Connection, low: int, high: int, cell: int, relay: str | None
) -> dict[Key, dict[int, Histogram]]:
    """Return the histograms by probe and start. Empty ones are left out."""
    keys, (condition, values) = probe_keys(connection), _of_relay(connection, relay)
    sums = ", ".join(f"sum({column})" for column in BUCKET_COLUMNS)
    found: dict[Key, dict[int, Histogram]] = {}
    rows = connection.execute(
        f"SELECT (start - ?2) / ?1 AS span, probe, {sums} FROM {_table(cell)} "  # noqa: S608 - ours
        f"WHERE start >= ?2 AND start < ?3 {condition} GROUP BY span, probe",
        (cell, low, high, *values),
    )
    for number, probe, *counts in rows:
        if any(counts):
            found.setdefault(keys[probe], {})[low + number * cell] = Histogram(tuple(counts))
    return found


def _of_relay(connection: sqlite3.Connection, relay: str | None) -> tuple[str, list[int]]:
    """Return a condition on the column `probe` and its values, from the fourth parameter on."""
    if relay is None:
        return "", []
    numbers = probe_numbers(connection, relay, None)
    return f"AND probe IN ({', '.join(f'?{4 + index}' for index in range(len(numbers)))})", numbers


def _seconds(cell: int) -> int:
    """Return the seconds of the roll-up that the cells are made of."""
    return next((seconds for seconds in (HOUR, QUARTER) if cell % seconds == 0), MINUTE)


def _table(cell: int) -> str:
    return ROLLUPS[_seconds(cell)]


@lru_cache(maxsize=1_024)
def _utc(timestamp: int) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)
