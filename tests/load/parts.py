"""Results of tests and workers, changed, written and read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import strategies as st

from monitor.load.merge import merge
from monitor.load.result import LoadResult
from monitor.load.result_file import parse
from tests.load.sample import plan_of, result_of, totals_of_samples

if TYPE_CHECKING:
    from monitor.load.plan import Plan
    from monitor.load.totals import FinishedTest
    from monitor.load.verdict import Objective
    from tests.load.sample import Json

# Whole microseconds, which the nanoseconds of a result can represent exactly.
SAMPLES = st.lists(
    st.tuples(st.integers(0, 60), st.integers(100, 10_000_000).map(lambda micros: micros / 1e6)),
    min_size=4,
    max_size=60,
)


def from_file(data: Json) -> Json:
    """Return the JSON as it is read from a file."""
    back: Json = json.loads(json.dumps(data))
    return back


def read_back(data: Json) -> LoadResult:
    """Read a result from its JSON."""
    result = parse("r.json", data)
    assert isinstance(result, LoadResult)
    return result


def merge_parts(*parts: tuple[str, Json]) -> tuple[Plan, FinishedTest, list[Objective]]:
    """Merge results, each read from its JSON."""
    return merge([(name, parse(name, data)) for name, data in parts])


def differing(one: Json, other: Json) -> list[str]:
    """Return where two results differ by more than the last digits of a mean, which is a sum of floats."""
    paths: list[tuple[tuple[str, ...], Any, Any]] = [(("results",), one, other)]
    found = []
    while paths:
        path, mine, theirs = paths.pop()
        if isinstance(mine, dict) and isinstance(theirs, dict):
            paths += [((*path, key), mine.get(key), theirs.get(key)) for key in mine.keys() | theirs.keys()]
        elif isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
            paths += [((*path, str(at)), *pair) for at, pair in enumerate(zip(mine, theirs, strict=True))]
        elif mine != (pytest.approx(theirs, abs=2e-6) if path[-1] == "avg" else theirs):
            found.append(".".join(path))
    return found


def part(index: int, count: int = 4, **keys: Any) -> Json:
    """Return the result of one worker of a test."""
    return from_file(result_of(plan_of(worker=(index, count), **keys), totals_of_samples([(1.0, 0.01)])))


def changed(data: Json, path: str, value: Any) -> Json:
    """Return a result with another value at the path, or without it if the value is `...`."""
    *way, last = path.split(".")
    parent = data
    for key in way:
        parent = parent[key]
    if value is ...:
        del parent[last]
    else:
        parent[last] = value
    return data
