"""What the journal says of all relays, for the pages: read in a thread, and no more often than reading is cheap."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from monitor.config import ProbeKey
    from monitor.journal import Cell, Events, FailureGroup, Histogram, Journal, RunSummary

    Latencies = Mapping[ProbeKey, Sequence[tuple[datetime, Histogram]]]

COST_SHARE: Final = 20
"""A figure is read again once it is this many times older than reading it took: 5 % of one core at most."""

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
MINUTE_CELL: Final = 60
"""Seconds of a cell of the strip of an hour."""

DAY_CELL: Final = 900
"""Seconds of a cell of the strip of a day."""

LATENCY_CELL: Final = 300
"""Seconds of a point of the chart of round trips."""

MAX_FAILURES: Final = 200
"""Groups of failures of all relays."""

Value = TypeVar("Value")


class _Remembered(Generic[Value]):
    """One figure with the time at which it was read; it is not read again for `min_age` seconds."""

    def __init__(self, min_age: float, read: Callable[[datetime], Value]) -> None:
        self._min_age = min_age
        self._read = read
        self._value: Value | None = None
        self._expires = float("-inf")

    def get(self, now: datetime) -> Value:
        """Return the figure; it is read again if it is old. May block."""
        began = time.monotonic()
        if self._value is None or began >= self._expires:
            self._value = self._read(now)
            ended = time.monotonic()
            self._expires = ended + max(self._min_age, COST_SHARE * (ended - began))
        return self._value


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of all relays. `events` are by relay and SLO."""

    last: Mapping[ProbeKey, RunSummary] = field(default_factory=dict)
    last_good: Mapping[ProbeKey, datetime] = field(default_factory=dict)
    hour: Mapping[ProbeKey, Sequence[Cell]] = field(default_factory=dict)
    day: Mapping[ProbeKey, Sequence[Cell]] = field(default_factory=dict)
    latencies: Latencies = field(default_factory=dict)
    events: Mapping[tuple[str, str], Events] = field(default_factory=dict)
    failures: Sequence[FailureGroup] = ()


class JournalFigures:
    """Reads the figures. To be used by one thread at a time; `read` may block."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        # The least seconds for which each figure is not read again: the shorter, the sooner it shows something new.
        self._last = _Remembered(0.5, lambda _: journal.last_all())
        self._last_good = _Remembered(0.5, lambda _: journal.last_good_all())
        self._hour = _Remembered(0.5, lambda now: journal.cells(now - HOUR, now, MINUTE_CELL))
        self._day = _Remembered(30, lambda now: journal.cells(now - DAY, now, DAY_CELL))
        self._latencies = _Remembered(0.5, lambda now: journal.latency_cells(now - HOUR, now, LATENCY_CELL))
        self._failures = _Remembered(0.5, lambda now: journal.failures(now - HOUR, MAX_FAILURES))
        self._events: dict[float, _Remembered[Mapping[tuple[str, str], Events]]] = {}  # by window

    def read(self, now: datetime, slos: Mapping[str, float]) -> Figures:
        """Return the figures. `slos` are the windows of the SLOs, in seconds, by name."""
        return Figures(
            last=self._last.get(now),
            last_good=self._last_good.get(now),
            hour=self._hour.get(now),
            day=self._day.get(now),
            latencies=self._latencies.get(now),
            events=self._events_of(now, slos),
            failures=self._failures.get(now),
        )

    def _events_of(self, now: datetime, slos: Mapping[str, float]) -> Mapping[tuple[str, str], Events]:
        found: dict[tuple[str, str], Events] = {}
        for window in sorted(set(slos.values())):
            if window not in self._events:
                self._events[window] = _Remembered(10, partial(self._read_events, window))
            events = self._events[window].get(now)
            found.update({key: value for key, value in events.items() if slos.get(key[1]) == window})
        for window in self._events.keys() - set(slos.values()):  # of an earlier configuration
            del self._events[window]
        return found

    def _read_events(self, window: float, now: datetime) -> Mapping[tuple[str, str], Events]:
        return self._journal.events(now - timedelta(seconds=window), now)
