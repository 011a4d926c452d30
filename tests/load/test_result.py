from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from monitor.cli import app
from monitor.errors import StartupError
from monitor.load.conversion import result_of as make_result
from monitor.load.conversion import totals_of
from monitor.load.merge import merge
from monitor.load.result import LoadResult
from monitor.load.result_file import NodeResult, parse, read
from monitor.load.totals import HoldTotals, Totals
from monitor.load.verdict import judge
from monitor.scenarios import LOAD_SCENARIOS, Scenario
from tests.load.sample import COST, plan_of, result_of, totals_of_samples

if TYPE_CHECKING:
    from monitor.load.plan import Plan
    from monitor.load.totals import FinishedTest
    from monitor.load.verdict import Objective
    from tests.load.sample import Json

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


def read_back(data: Json) -> LoadResult:
    """The result read from its JSON."""
    result = parse("r.json", data)
    assert isinstance(result, LoadResult)
    return result


def merged(*parts: tuple[str, Json]) -> tuple[Plan, FinishedTest, list[Objective]]:
    """Results merged, each read from its JSON."""
    return merge([(name, parse(name, data)) for name, data in parts])


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
    back = result_of(plan_of(), totals_of(read_back(result)))
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
    totals.hold = HoldTotals(seconds=20.0, current=2, peak=3, reconnects=4)
    result = result_of(plan_of(Scenario.STEADY_STATE), totals)
    assert result["results"]["steadyState"] == {
        "holdDurationMs": 20_000.0,
        "currentDisconnects": 2,
        "peakDisconnects": 3,
        "reconnectsDuringHold": 4,
        "connectionStability": 75.0,
    }
    assert result["results"]["stability"] == {"connectedSeconds": 123.456789, "dueSeconds": 160.0}
    back = totals_of(read_back(result))
    assert (back.due_seconds, back.connected_seconds) == (160.0, 123.456789)
    assert (back.hold, back.retries, back.recovered) == (totals.hold, 4, 1)


@pytest.mark.slow
@settings(max_examples=40)
@given(samples)
def test_workers_results_merged_are_the_result_of_all_samples(dealt: list[tuple[float, float]]) -> None:
    """Four workers' parts, written and read, are to the last digit what one process would have written."""
    parts = [
        (f"{index}.json", written(result_of(plan_of(worker=(index, 4)), totals_of_samples(dealt[index::4]))))
        for index in range(4)
    ]
    plan, finished, objectives = merged(*parts)
    whole = result_of(plan, totals_of_samples(dealt))["results"]
    assert differing(result_of(plan, finished.totals)["results"], whole) == []
    assert finished.cost == {"cpuSeconds": 6.0, "peakRssMb": 320.0}
    assert [item.name for item in objectives] == ["round trip P99", "success", "delivery", "stability"]
    assert (finished.included_workers, finished.missing_workers) == ((0, 1, 2, 3), ())


def part(index: int, count: int = 4, **keys: Any) -> Json:
    return written(result_of(plan_of(worker=(index, count), **keys), totals_of_samples([(1.0, 0.01)])))


def joined(*parts: Json) -> Json:
    """What `merge` writes of them."""
    plan, finished, objectives = merged(*((str(number), each) for number, each in enumerate(parts)))
    judged = judge(plan.scenario, finished.totals, objectives)
    return written(make_result(plan, finished, judged, version="1.2.3").to_json())


def changed(data: Json, path: str, value: Any) -> Json:
    """A result with another value at the path, or, of `...`, none."""
    *way, last = path.split(".")
    held = data
    for key in way:
        held = held[key]
    if value is ...:
        del held[last]
    else:
        held[last] = value
    return data


def test_a_missing_worker_is_named() -> None:
    _, finished, _ = merged(("a", part(0)), ("b", part(3)))
    assert finished.missing_workers == (1, 2)


def test_what_was_merged_is_merged_with_the_rest() -> None:
    some = joined(part(3), part(1))
    assert some["meta"]["includedWorkers"] == [1, 3]
    _, finished, _ = merged(("some", some))
    assert finished.missing_workers == (0, 2)
    _, finished, _ = merged(("some", some), ("rest", joined(part(0), part(2))))
    assert (finished.included_workers, finished.missing_workers, finished.totals.received) == ((0, 1, 2, 3), (), 4)


def test_a_file_left_over_from_another_day_stands_in_for_no_worker() -> None:
    other = changed(part(1, 2), "timestamp", "2023-11-07T22:13:20+00:00")
    with pytest.raises(StartupError, match=r"^a: of a different test than b, which had ended \d+ s before it began"):
        merged(("a", part(0, 2)), ("b", other))


def test_workers_held_against_different_objectives_are_not_joined() -> None:
    lax = part(1, 2)
    lax["results"]["slos"] = lax["results"]["slos"][1:]
    with pytest.raises(StartupError, match=r"^b: has different objectives than a$"):
        merged(("a", part(0, 2)), ("b", lax))


def test_the_same_file_twice_is_refused_by_the_command_too(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(part(0, 1)))
    out = str(tmp_path / "merged.json")
    done = CliRunner().invoke(app, ["merge", str(path), "--output", out])
    assert (done.exit_code, json.loads(Path(out).read_text())["meta"]["workers"]) == (0, 1)
    for files in ([path, path], [path, out]):
        done = CliRunner().invoke(app, ["merge", *map(str, files), "--output", str(tmp_path / "twice.json")])
        assert f"{files[1]}: of the same worker 0/1 as {path}" in str(done.exception)
    assert not (tmp_path / "twice.json").exists()
    done = CliRunner().invoke(app, ["merge", str(path), "--output", out, "--report", out], env={"COLUMNS": "400"})
    assert done.exit_code == 2
    assert "is already the file of --output" in done.stderr


def test_a_worker_that_an_earlier_result_misses_is_missed_by_the_joined_one() -> None:
    """Also one of before `includedWorkers` was written, whose plan knows of no other worker."""
    old = part(0, 1)
    del old["meta"]["includedWorkers"]
    old["meta"]["missingWorkers"] = [1]
    _, finished, _ = merged(("old", old))
    assert finished.missing_workers == (1,)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([("a", part(0)), ("b", part(0))], "b: of the same worker 0/4 as a"),
        ([("a", part(2)), ("a", part(2))], "a: of the same worker 2/4 as a"),
        ([("a", part(0, 1)), ("b", part(0, 1))], "b: of the same worker 0/1 as a"),
        ([("a", joined(part(0), part(1))), ("b", part(1))], "b: of the same worker 1/4 as a"),
        ([("a", part(1)), ("b", joined(part(0), part(1)))], "b: of the same worker 1/4 as a"),
        ([("a", part(0)), ("b", part(1, delay=3.0))], r"b: of a different test than a: delay 3.0 instead of 30.0"),
        ([("a", part(0)), ("b", part(1, 5))], "b: of a different test than a: worker 5 instead of 4"),
        ([("a", {"scenario": "x", "results": {}})], "a: has no sketches, so that it cannot be merged exactly"),
        (
            [("a", changed(part(0), "results.sketches.messages", "AAAA"))],
            "a: not a complete result: not an HDR",
        ),
        ([("a", changed(part(0), "timestamp", "noon"))], "a: not a complete result: timestamp: Invalid isoformat"),
        (
            [("a", changed(part(0), "meta.config.moons", 3))],
            "a: not a complete result: meta.config.moons: ",
        ),
    ],
)
def test_what_does_not_belong_together_is_refused(parts: list[tuple[str, Json]], message: str) -> None:
    with pytest.raises(StartupError, match=message):
        merged(*parts)


NODES: Final = {
    "scenario": "steady-state",
    "results": {
        "connections": {"attempted": 100, "successful": 100},
        "connectTime": {"min": 1, "max": 9, "avg": 3, "p50": 2, "p95": 8, "p99": 9},
        "steadyState": {"currentDisconnects": 0, "peakDisconnects": 0},
    },
}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("meta.interrupted", ..., "meta.interrupted: Field required"),
        ("meta.cost", [], "meta.cost: Input should be an object"),
        ("meta.config.worker", [0, "4"], "meta.config.worker.1: Input should be a valid integer"),
        ("meta.config.worker", [4, 4], "meta: a test of 4 workers has workers 0 to 3"),
        ("meta.includedWorkers", [7], "meta: a test of 4 workers has workers 0 to 3"),
        ("meta.includedWorkers", [], "meta.includedWorkers: List should have at least 1 item"),
        ("meta.config.scenario", "tea", "meta.config.scenario: Input should be"),
        ("results.messages", None, "steady-messaging has results.messages"),
        ("results.messages", ..., "steady-messaging has results.messages"),
        ("results.steadyMessaging", None, "steady-messaging has results.steadyMessaging"),
        ("results.messages.sent", True, "results.messages.sent: Input should be a valid integer"),
        ("results.messages.failed", -1, "results.messages.failed: Input should be greater than or equal to 0"),
        ("results.connections", None, "results.connections: Input should be an object"),
        ("results.reasons", {"tcp/refused": None}, "results.reasons.tcp/refused: Input should be a valid integer"),
        ("results.sketches", None, "results.sketches: Input should be an object"),
        (
            "results.sketches.overTime",
            [{"timestampMs": 0, "hdr": ""}],
            "results.sketches.overTime.0.min: Field required",
        ),
        ("results.latencyMs.messages", 5, "results.latencyMs.messages: Input should be an object"),
        ("results.slos", [{"name": "x", "aim": "moon", "objective": 1}], "results.slos.0.aim: Input should be"),
        ("results.connectTime.p50", float("nan"), "results.connectTime.p50: Input should be a finite number"),
    ],
)
def test_a_damaged_result_is_refused_with_what_is_wrong_and_where(
    path: str, value: Any, message: str, tmp_path: Path
) -> None:
    refused(changed(part(0), path, value), message, tmp_path)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("results.connectTime.p50", ..., "results.connectTime.p50: Field required"),
        ("results.connectTime", 5, "results.connectTime: Input should be an object"),
        ("results.connectTime.p99", None, "results.connectTime.p99: Input should be a valid number"),
        ("results.connections.successful", "all", "results.connections.successful: Input should be a valid integer"),
        ("results.steadyState", [], "results.steadyState: Input should be an object"),
        ("scenario", 7, "scenario: Input should be a valid string"),
    ],
)
def test_so_is_one_of_the_relay_teams_tool(path: str, value: Any, message: str, tmp_path: Path) -> None:
    refused(changed(written(NODES), path, value), message, tmp_path)


def refused(data: Json, message: str, folder: Path) -> None:
    """That it cannot be read, by one line which names the file."""
    path = folder / "r.json"
    path.write_text(json.dumps(data))
    with pytest.raises(StartupError) as caught:
        read(path)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{path}: not a complete result: {message}")


@pytest.mark.integration
@pytest.mark.parametrize("command", ["compare", "merge"])
@pytest.mark.parametrize(("path", "value"), [("results.messages", None), ("results.sketches.connectTime", "AAAA")])
def test_the_commands_exit_2_on_a_damaged_result(command: str, path: str, value: Any, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(part(1)))
    bad.write_text(json.dumps(changed(part(0), path, value)))
    done = subprocess.run(
        [sys.executable, "-m", "monitor", command, good, bad], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"relay-monitor: {bad}: not a complete result: ")


def test_a_result_of_each_scenario_and_an_empty_one_are_read(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    for scenario in LOAD_SCENARIOS:
        for samples in ([], [(1.0, 0.01)]):
            data = written(result_of(plan_of(scenario), totals_of_samples(samples)))
            path.write_text(json.dumps(data))
            result = read(path)
            assert isinstance(result, LoadResult)
            assert result.to_json() == data
    path.write_text(json.dumps(NODES), encoding="utf-16")
    assert isinstance(read(path), NodeResult)


@pytest.mark.parametrize("text", ["[" * 100_000, "", "[]", '{"scenario": "x"}', "\xff"])
def test_what_is_no_result_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(StartupError, match=r"r\.json"):
        read(path)


def test_the_cost_of_the_sample_is_what_the_test_expects() -> None:
    assert COST["cpuSeconds"] == 1.5
