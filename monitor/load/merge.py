"""Merges the results of several workers, of one machine or many: sketches are added, no percentile is averaged."""

from __future__ import annotations

from dataclasses import asdict
from statistics import median_low
from typing import TYPE_CHECKING, Any

from monitor.errors import StartupError
from monitor.load.conversion import objective_of, totals_of
from monitor.load.result import LoadResult
from monitor.load.totals import FinishedTest, Totals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.load.plan import Plan
    from monitor.load.result_file import NodeResult
    from monitor.load.verdict import Objective

_Named = tuple[str, LoadResult]
"""A result and the name of its file."""


def merge(results: Sequence[tuple[str, LoadResult | NodeResult]]) -> tuple[Plan, FinishedTest, list[Objective]]:
    """Merge the results of one test's workers, each with the name of its file; merged results can be merged again.

    Raises `StartupError` for results without sketches, of different tests, versions or objectives, and for a worker
    that is contained twice. The clocks of the workers' machines do not matter.
    """
    parts: list[_Named] = []
    totals = Totals()
    for name, result in results:
        if not isinstance(result, LoadResult):
            raise StartupError(f"{name}: has no sketches, so that it cannot be merged exactly; another tool wrote it")
        try:
            totals.add(totals_of(result))
        except ValueError as error:
            raise StartupError(f"{name}: not a complete result: {error}") from error
        parts.append((name, result))
    _check_same_test(parts)
    objectives = _check_same_objectives(parts)
    included = _included_workers(parts)
    plan, metas = parts[0][1].meta.config, [result.meta for _, result in parts]
    every = set(range(plan.worker[1])).union(*(meta.missing_workers for meta in metas))
    finished = FinishedTest(
        totals=totals,
        interrupted=any(meta.interrupted for meta in metas),
        began=median_low(result.began for _, result in parts),  # a clock may be wrong
        cost={name: sum(meta.cost.get(name, 0.0) for meta in metas) for name in ("cpuSeconds", "peakRssMb")},
        included_workers=included,
        missing_workers=tuple(sorted(every.difference(included))),
        version=metas[0].version,
    )
    return plan, finished, objectives


def _check_same_test(parts: Sequence[_Named]) -> None:
    first_name, first = parts[0]
    for name, result in parts if len(parts) > 1 else ():
        if not result.meta.config.test_id:
            raise StartupError(f"{name}: has no test id, so that its test is not known; an older version wrote it")
        if result.meta.version != first.meta.version:
            raise StartupError(
                f"{name}: of version {result.meta.version}, but {first_name} is of version {first.meta.version}"
            )
    expected = _common_settings(first.meta.config)
    for name, result in parts:
        settings = _common_settings(result.meta.config)
        if settings["test_id"] != expected["test_id"]:
            raise StartupError(
                f"{name}: of a different test than {first_name}: "
                f"test id {settings['test_id']!r} instead of {expected['test_id']!r}"
            )
        different = sorted(key for key in expected if expected[key] != settings[key])
        if different:
            details = ", ".join(f"{key} {settings[key]!r} instead of {expected[key]!r}" for key in different)
            raise StartupError(f"{name}: of a different test than {first_name}: {details}")


def _common_settings(plan: Plan) -> dict[str, Any]:
    """Return what the plans of all workers of one test have in common."""
    return asdict(plan) | {"scenario": plan.scenario.value, "worker": plan.worker[1]}


def _check_same_objectives(parts: Sequence[_Named]) -> list[Objective]:
    """Return the objectives of all parts."""
    first_name, first = parts[0]
    expected = [objective_of(slo) for slo in first.results.slos]
    for name, result in parts:
        if [objective_of(slo) for slo in result.results.slos] != expected:
            raise StartupError(f"{name}: has different objectives than {first_name}")
    return expected


def _included_workers(parts: Sequence[_Named]) -> tuple[int, ...]:
    """Return the workers whose results the parts contain."""
    seen: dict[int, str] = {}
    for name, result in parts:
        index, count = result.meta.config.worker
        for each in result.meta.included_workers or (index,):
            if each in seen:
                raise StartupError(f"{name}: of the same worker {each}/{count} as {seen[each]}")
            seen[each] = name
    return tuple(sorted(seen))
