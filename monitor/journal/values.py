"""What the journal says about runs in sum: values for the pages and the API.

All times are aware datetimes in UTC, and all durations are seconds.
"""

# ruff: noqa: TC003 - pydantic reads annotations at run time

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.vocabulary import BUCKETS, Outcome, Reason, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One run without its parts.

    step, reason, status, detail: those of its failure; None and "" without one.
    failed_at: when its fault was, which may be long after its start; None if it has no failure.
    """

    id: str
    started_at: datetime
    duration: float
    outcome: Outcome
    step: Step | None = None
    reason: Reason | None = None
    status: str = ""
    detail: str = ""
    failed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The runs of one probe at one relay in one span of time, from `start`.

    lost: messages lost. worst: the worst outcome, None without a run. run_id: the id of a stored run with that outcome.
    """

    start: datetime
    ok: int = 0
    failed: int = 0
    aborted: int = 0
    excluded: int = 0
    lost: int = 0
    worst: Outcome | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """Good and bad events of one SLO at one relay; the figures cover the time from `since`."""

    good: float
    bad: float
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Failed runs of one probe at one relay with the same cause. `detail` and `run_id` are those of the last."""

    relay: str
    probe: str
    step: Step
    reason: Reason
    status: str
    detail: str
    count: int
    first: datetime
    last: datetime
    run_id: str | None


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of latencies: one for each bucket of `vocabulary.BUCKETS`, and one for what is above all of them."""

    counts: tuple[int, ...] = (0,) * (len(BUCKETS) + 1)

    @property
    def total(self) -> int:
        """How many latencies were counted."""
        return sum(self.counts)

    def quantile(self, q: float) -> float | None:
        """Return the latency in seconds below which a share `q` of all is, or None without any.

        Between the bounds of a bucket it is interpolated, as `histogram_quantile` of Prometheus does; above the last
        bound it is that bound.
        """
        total = self.total
        if not total:
            return None
        wanted, below = q * total, 0
        for number, count in enumerate(self.counts):
            if count and below + count >= wanted:
                if number == len(BUCKETS):
                    return BUCKETS[-1]
                low = BUCKETS[number - 1] if number else 0.0
                return low + (BUCKETS[number] - low) * max(0.0, wanted - below) / count
            below += count
        return BUCKETS[-1]  # pragma: no cover - rounding


def bucket_of(seconds: float) -> int:
    """Return the number of the bucket in which a latency is counted."""
    return bisect_left(BUCKETS, seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """Something that happened to the monitor, or to one relay: a reload, a maintenance, a start, a gap."""

    at: datetime
    relay: str | None
    kind: str
    text: str
    fields: Mapping[str, Any]
