from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.catalogue import Scenario
from monitor.errors import StartupError
from monitor.load.merge import merge
from monitor.load.result import read, totals_of
from monitor.load.totals import Hold, Totals
from tests.load.sample import COST, plan_of, result_of, totals_of_samples

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.load.result import Json

# Whole microseconds: what a result's nanoseconds hold exactly.
samples = st.lists(
    st.tuples(st.integers(0, 60), st.integers(100, 10_000_000).map(lambda micros: micros / 1e6)),
    min_size=4,
    max_size=60,
)
LATENCY = {"min", "max", "avg", "p50", "p95", "p99"}


def written(data: Json) -> Json:
    """As it comes back from a file."""
    back: Json = json.loads(json.dumps(data))
    return back


def test_the_keys_and_units_are_the_relay_teams() -> None:
    result = result_of(plan_of(), totals_of_samples([(5.0, 0.0104), (15.0, 0.0206)]))
    results = result["results"]
    assert result["config"] == {
        "connections": 100, "durationSec": 60, "rampUpSec": 10, "messageIntervalSec": 5, "crypto": "real"
    }  # fmt: skip
    assert results["connections"] == {
        "attempted": 2, "successful": 2, "failed": 0, "successRate": 100.0, "immediate": 2, "recovered": 0
    }  # fmt: skip
    assert results["timing"] == {"totalTimeMs": 60_000.0, "connectionsPerSec": pytest.approx(2 / 60)}
    assert results["retries"] == {"totalRetries": 0, "avgRetriesPerConnection": 0.0}
    assert results["messages"] == {
        "sent": 2,
        "received": 2,
        "failed": 0,
        "deliveryRate": 100.0,
        "latency": {"min": 10, "max": 21, "avg": 16, "p50": 10, "p95": 21, "p99": 21},
    }
    assert results["connectTime"].keys() == LATENCY
    steady = results["steadyMessaging"]
    assert (steady["durationSeconds"], steady["messageIntervalSeconds"], steady["disconnects"]) == (60.0, 5.0, 0)
    assert [(item["timestampMs"], item["p50"], item["exchanges"]) for item in steady["latencyOverTime"]] == [
        (0, 10, 1), (10_000, 21, 1)
    ]  # fmt: skip
    # And ours beside them.
    assert result["schemaVersion"] == 1
    assert results["latencyMs"]["messages"]["min"] == 10.4
    assert results["wireMs"]["request"]["max"] == 4.12
    assert results["verdicts"] == {"delivered": 4}
    assert result["meta"]["version"] == "1.2.3"


@pytest.mark.parametrize(
    ("scenario", "parts", "config"),
    [
        (Scenario.REALISTIC_SESSION, {"handshake", "messages"}, {"messagesPerSession": 3}),
        (Scenario.ASYNC_DELIVERY, {"handshake", "recovery"}, {"delaySec": 30}),
        (Scenario.STEADY_MESSAGING, {"handshake", "messages", "steadyMessaging"}, {"messageIntervalSec": 5}),
        (Scenario.CONNECTION_STORM, set(), {}),
        (Scenario.STEADY_STATE, {"steadyState"}, {}),
    ],
)
def test_each_scenario_has_its_parts_and_no_others(scenario: Scenario, parts: set[str], config: Json) -> None:
    result = result_of(plan_of(scenario), Totals())
    optional = {"handshake", "messages", "recovery", "steadyState", "steadyMessaging"}
    assert result["results"].keys() & optional == parts
    own = {"messagesPerSession", "delaySec", "messageIntervalSec"}
    assert {key: value for key, value in result["config"].items() if key in own} == config
    assert result["results"]["connectTime"] is None  # nothing connected


@settings(max_examples=40)
@given(samples)
def test_a_result_read_back_is_the_totals_it_was_made_of(dealt: list[tuple[float, float]]) -> None:
    totals = totals_of_samples(dealt)
    totals.reasons["tcp/refused"] = 3
    totals.disconnects = 1
    totals.aborted, totals.unfinished = 5, 2
    result = result_of(plan_of(), totals)
    back = result_of(plan_of(), totals_of(written(result)))
    assert differing(back["results"], result["results"]) == []


def differing(one: Json, other: Json) -> list[str]:
    """Where two results differ by more than the last digits of a mean, which is a sum of floats."""
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


def test_a_hold_is_read_back() -> None:
    totals = Totals(attempted=9, immediate=7, recovered=1, failed=1, retries=4, seconds=30.0)
    totals.due_seconds, totals.connected_seconds = 160.0, 123.456789
    totals.hold = Hold(seconds=20.0, current=2, peak=3, reconnects=4)
    result = result_of(plan_of(Scenario.STEADY_STATE), totals)
    assert result["results"]["steadyState"] == {
        "holdDurationMs": 20_000.0,
        "currentDisconnects": 2,
        "peakDisconnects": 3,
        "reconnectsDuringHold": 4,
        "connectionStability": 75.0,
    }
    assert result["results"]["stability"] == {"connectedSeconds": 123.456789, "dueSeconds": 160.0}
    back = totals_of(written(result))
    assert (back.due_seconds, back.connected_seconds) == (160.0, 123.456789)
    assert (back.hold, back.retries, back.recovered) == (totals.hold, 4, 1)


@settings(max_examples=40)
@given(samples)
def test_workers_results_merged_are_the_result_of_all_samples(dealt: list[tuple[float, float]]) -> None:
    """Four workers' parts, written and read, are to the last digit what one process would have written."""
    parts = [
        (f"{index}.json", written(result_of(plan_of(worker=(index, 4)), totals_of_samples(dealt[index::4]))))
        for index in range(4)
    ]
    plan, ended, objectives, metas = merge(parts)
    whole = result_of(plan, totals_of_samples(dealt))["results"]
    assert differing(result_of(plan, ended.totals)["results"], whole) == []
    assert ended.cost == {"cpuSeconds": 6.0, "peakRssMb": 320.0}
    assert [item.name for item in objectives] == ["round trip P99", "success", "delivery", "stability"]
    assert ended.missing == ()
    assert len(metas) == 4


def part(index: int, count: int = 4, **keys: Any) -> Json:
    return written(result_of(plan_of(worker=(index, count), **keys), totals_of_samples([(1.0, 0.01)])))


def test_a_missing_worker_is_named() -> None:
    _, ended, _, _ = merge([("a", part(0)), ("b", part(3))])
    assert ended.missing == (1, 2)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([("a", part(0)), ("b", part(0))], "b: is of the same worker 0/4 as a"),
        ([("a", part(0)), ("b", part(1, delay=3.0))], r"b: is of another test than a: delay 3.0 for 30.0"),
        ([("a", part(0)), ("b", part(1, 5))], "b: is of another test than a: worker 5 for 4"),
        ([("a", {"scenario": "x", "results": {}})], "a: has no sketches, so that it cannot be joined exactly"),
        ([("a", {**part(0), "meta": {}})], "a: is no complete result: KeyError"),
    ],
)
def test_what_does_not_belong_together_is_refused(parts: list[tuple[str, Json]], message: str) -> None:
    with pytest.raises(StartupError, match=message):
        merge(parts)


@pytest.mark.parametrize("text", ["", "[]", '{"scenario": "x"}', "\xff"])
def test_what_is_no_result_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(StartupError, match=r"r\.json"):
        read(path)


def test_the_cost_of_the_sample_is_what_the_test_expects() -> None:
    assert COST["cpuSeconds"] == 1.5
