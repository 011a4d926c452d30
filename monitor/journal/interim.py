"""Queries of the journal that are answered from the runs in memory."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from monitor.journal.values import Cell, Events, FailureGroup, Histogram, RunSummary, bucket_of
from monitor.vocabulary import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from monitor.journal.stored import StoredRun
    from monitor.results import Run

_WORST = (Outcome.FAILED, Outcome.ABORTED, Outcome.EXCLUDED, Outcome.OK)


class StoredIncident(Protocol):
    """What the journal reads of an incident."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def relay(self) -> str:
        """Its relay."""

    @property
    def opened_at(self) -> datetime:
        """When it opened."""

    @property
    def closed_at(self) -> datetime | None:
        """When it closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """Something that happened to the monitor, or to one relay: a reload, a maintenance, a start, a gap."""

    at: datetime
    relay: str | None
    kind: str
    text: str
    fields: Mapping[str, Any]


def summary(run: Run) -> RunSummary:
    """Return the run without its parts."""
    failure = run.failure
    return RunSummary(
        id=run.id,
        started_at=run.started_at,
        duration=run.duration,
        outcome=run.outcome,
        step=None if failure is None else failure.step,
        reason=None if failure is None else failure.reason,
        detail="" if failure is None else failure.detail,
    )


def cells(runs: Iterable[StoredRun], seconds: float) -> dict[tuple[str, str], list[Cell]]:
    """Return the runs by probe and span."""
    grouped: dict[tuple[str, str], dict[float, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for stored in runs:
        run = stored.run
        start = run.started_at.timestamp() // seconds * seconds
        grouped[run.relay, run.probe][start].append(run)
    return {key: [_cell(start, spans[start]) for start in sorted(spans)] for key, spans in grouped.items()}


def _cell(start: float, runs: list[Run]) -> Cell:
    outcomes = [run.outcome for run in runs]
    worst = next(outcome for outcome in _WORST if outcome in outcomes)
    return Cell(
        start=datetime.fromtimestamp(start, UTC),
        ok=outcomes.count(Outcome.OK),
        failed=outcomes.count(Outcome.FAILED),
        aborted=outcomes.count(Outcome.ABORTED),
        excluded=outcomes.count(Outcome.EXCLUDED),
        worst=worst,
        run_id=next(run.id for run in runs if run.outcome is worst),
    )


def histograms(runs: Iterable[StoredRun]) -> dict[tuple[str, str], Histogram]:
    """Return the round trips by probe."""
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: list(Histogram().counts))
    for stored in runs:
        for exchange in stored.run.exchanges:
            if exchange.outcome is Outcome.OK and exchange.round_trip is not None:
                counts[stored.run.relay, stored.run.probe][bucket_of(exchange.round_trip)] += 1
    return {key: Histogram(tuple(found)) for key, found in counts.items()}


def failures(runs: Iterable[StoredRun], limit: int) -> list[FailureGroup]:
    """Return the failed runs by cause, the newest group first."""
    groups: dict[tuple[str, ...], list[Run]] = defaultdict(list)
    for stored in runs:
        run = stored.run
        if run.outcome is Outcome.FAILED and (failure := run.failure) is not None:
            groups[run.relay, run.probe, failure.step, failure.reason, failure.status].append(run)
    found = []
    for members in groups.values():
        members.sort(key=lambda run: run.started_at)
        newest = members[-1]
        assert newest.failure is not None
        found.append(
            FailureGroup(
                relay=newest.relay,
                probe=newest.probe,
                step=newest.failure.step,
                reason=newest.failure.reason,
                status=newest.failure.status,
                detail=newest.failure.detail,
                count=len(members),
                first=members[0].started_at,
                last=newest.started_at,
                run_id=newest.id,
            )
        )
    found.sort(key=lambda group: group.last, reverse=True)
    return found[:limit]


__all__ = ["Events", "StoredEvent", "StoredIncident", "cells", "failures", "histograms", "summary"]
