"""Durations and steps, as Grafana calculates them for a Prometheus data source."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0, "y": 31_536_000.0}

MAX_POINTS: Final = 11_000
"""Points of a series that Prometheus returns at most."""

MIN_POINTS: Final = 100
"""Points that a narrow panel asks for."""

RATE_SCRAPES: Final = 4
"""`$__rate_interval` has at least this many scrape intervals."""

_ROUNDED: Final = (
    (0.015, 0.01), (0.035, 0.02), (0.075, 0.05), (0.15, 0.1), (0.35, 0.2), (0.75, 0.5), (1.5, 1), (3.5, 2), (7.5, 5),
    (12.5, 10), (17.5, 15), (25, 20), (45, 30), (90, 60), (210, 120), (450, 300), (750, 600), (1050, 900),
    (1500, 1200), (2700, 1800), (5400, 3600), (9000, 7200), (16_200, 10_800), (32_400, 21_600), (86_400, 43_200),
    (604_800, 86_400),
)  # fmt: skip
"""Intervals below the first number become the second."""


def seconds(duration: str) -> float:
    """Return the seconds of a duration such as `1h30m`. Raises `ValueError`."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhdwy])", duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise ValueError(f"{duration!r} is no duration")
    return sum(float(number) * SECONDS[unit] for number, unit in parts)


def duration(length: float) -> str:
    """Return seconds as a duration: whole seconds, or milliseconds."""
    return f"{length:.0f}s" if length >= 1 and length == int(length) else f"{max(1, round(length * 1000))}ms"


def rounded(interval: float) -> float:
    """Return an interval as one of Grafana's round ones."""
    return float(next((value for below, value in _ROUNDED if interval < below), 604_800))


@dataclass(frozen=True, slots=True)
class TimeRange:
    """The selected time range, in seconds since the epoch."""

    start: float
    end: float

    @classmethod
    def parse(cls, start: str, end: str, now: float) -> TimeRange:
        """Return the range of two times such as `now-3h`, or of seconds since the epoch."""
        return cls(_time(start, now), _time(end, now))

    @property
    def length(self) -> float:
        """Its length in seconds."""
        return self.end - self.start

    def share(self, at: float) -> float:
        """Return where a time is: 0 at the start, 1 at the end, and never outside."""
        return (min(max(at, self.start), self.end) - self.start) / self.length

    def marks(self, most: float) -> list[tuple[float, str]]:
        """Return at most about this many round times, with their labels."""
        steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
        step = next((step for step in steps if self.length / step <= max(2.0, most)), 604_800)
        pattern = "%H:%M:%S" if step < 60 else "%H:%M" if step < 86_400 else "%m/%d"
        first = math.ceil(self.start / step)
        return [
            (at * step, datetime.fromtimestamp(at * step, UTC).strftime(pattern))
            for at in range(first, math.floor(self.end / step) + 1)
        ]


def _time(text: str, now: float) -> float:
    if text == "now":
        return now
    if text.startswith("now-"):
        return now - seconds(text.removeprefix("now-"))
    return float(text)


@dataclass(frozen=True, slots=True)
class Steps:
    """The step of a query and the length of its rates, in seconds; `start` and `end` are multiples of the step."""

    step: float
    rate: float
    start: float
    end: float

    @classmethod
    def of(cls, times: TimeRange, points: float, scrape: float, minimum: float | None) -> Steps:
        """Return the steps of a query: about `points` of them, none shorter than a scrape or the query's `minimum`."""
        shortest = minimum if minimum is not None else scrape
        step = max(rounded(times.length / max(MIN_POINTS, points)), shortest, times.length / MAX_POINTS)
        rate = max(step + shortest, RATE_SCRAPES * shortest)
        return cls(step, rate, math.floor(times.start / step) * step, math.floor(times.end / step) * step)

    def macros(self, times: TimeRange) -> dict[str, str]:
        """Return Grafana's variables of time by name."""
        return {
            "__interval": duration(self.step),
            "__interval_ms": f"{self.step * 1000:.0f}",
            "__rate_interval": duration(self.rate),
            "__range": duration(round(times.length)),
            "__range_s": f"{times.length:.0f}",
            "__range_ms": f"{times.length * 1000:.0f}",
            "__from": f"{times.start * 1000:.0f}",
            "__to": f"{times.end * 1000:.0f}",
        }
