"""Results of several workers, of one machine or many, joined into one: sketches are added, nothing is averaged."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from monitor.errors import StartupError
from monitor.load.load_runner import Ended
from monitor.load.plan import Plan
from monitor.load.result import is_ours, totals_of
from monitor.load.totals import Totals
from monitor.load.verdict import Objective

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.load.result import Json


APART: Final = 60.0
"""Seconds that may lie between two parts of one test: short ones are started by hand."""


def merge(results: Sequence[tuple[str, Json]]) -> tuple[Plan, Ended, list[Objective]]:
    """One test out of its workers' results, each with the name of its file, and joined before or not.

    Raises `StartupError` for what cannot be joined: no sketches, another test, another time, the same worker twice.
    """
    totals = Totals()
    plans: list[tuple[str, Plan]] = []
    metas: list[Json] = []
    spans: list[tuple[str, float, float]] = []
    objectives: list[tuple[str, list[Objective]]] = []
    for name, data in results:
        if not is_ours(data):
            raise StartupError(f"{name}: has no sketches, so that it cannot be joined exactly; another tool wrote it")
        try:
            plans.append((name, Plan.from_json(data["meta"]["config"])))
            totals.add(totals_of(data))
            began = datetime.fromisoformat(data["timestamp"]).timestamp()
            spans.append((name, began, began + data["results"]["timing"]["totalTimeMs"] / 1e3))
            objectives.append((name, [Objective.from_json(item) for item in data["results"]["slos"]]))
            metas.append(data["meta"])
        except (ValueError, TypeError) as error:  # of what `shape` has checked: a sketch, a time, a plan of tomorrow
            raise StartupError(f"{name}: is no complete result: {type(error).__name__}: {error}") from error
    _same_test(plans)
    _same_time(spans)
    _same_objectives(objectives)
    included = _included(plans, metas)
    plan = plans[0][1]
    every = set(range(plan.worker[1])).union(*(meta.get("missingWorkers", ()) for meta in metas))
    ended = Ended(
        totals=totals,
        interrupted=any(meta["interrupted"] for meta in metas),
        began=min(start for _, start, _ in spans),
        cost={name: sum(meta["cost"].get(name, 0.0) for meta in metas) for name in ("cpuSeconds", "peakRssMb")},
        included=included,
        missing=tuple(sorted(every.difference(included))),
    )
    return plan, ended, objectives[0][1]


def _same_test(plans: Sequence[tuple[str, Plan]]) -> None:
    first_name, first = plans[0]
    for name, plan in plans:
        mine, theirs = _alike(first), _alike(plan)
        different = sorted(key for key in mine if mine[key] != theirs[key])
        if different:
            what = ", ".join(f"{key} {theirs[key]!r} for {mine[key]!r}" for key in different)
            raise StartupError(f"{name}: is of another test than {first_name}: {what}")


def _same_time(spans: Sequence[tuple[str, float, float]]) -> None:
    """Workers load the relay together: a file left over from another day is no part of this test."""
    first, _, ended = min(spans, key=lambda span: span[2])
    last, began, _ = max(spans, key=lambda span: span[1])
    if began > ended + APART:
        raise StartupError(
            f"{last}: is of another test than {first}, which had ended {began - ended:.0f} s before it began"
        )


def _same_objectives(objectives: Sequence[tuple[str, list[Objective]]]) -> None:
    first_name, first = objectives[0]
    for name, found in objectives:
        if found != first:
            raise StartupError(f"{name}: was held against other objectives than {first_name}")


def _included(plans: Sequence[tuple[str, Plan]], metas: Sequence[Json]) -> tuple[int, ...]:
    """The workers whose results these are, no one twice."""
    seen: dict[int, str] = {}
    for (name, plan), meta in zip(plans, metas, strict=True):
        index, count = plan.worker
        for each in meta.get("includedWorkers") or (index,):
            if each in seen:
                raise StartupError(f"{name}: is of the same worker {each}/{count} as {seen[each]}")
            seen[each] = name
    return tuple(sorted(seen))


def _alike(plan: Plan) -> dict[str, Any]:
    """What all workers of one test have in common."""
    fields = plan.to_json()
    return fields | {"worker": plan.worker[1]}
