"""Reading and checking the files of results."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from monitor.errors import StartupError
from monitor.load.result import LoadResult
from monitor.load.result_file import NodeResult, read
from monitor.scenarios import LOAD_SCENARIOS
from tests.load.parts import changed, from_file, part
from tests.load.sample import plan_of, result_of, totals_of_samples

if TYPE_CHECKING:
    from pathlib import Path

    from tests.load.sample import Json

NODE_RESULT: Final = {
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
        (
            "results.reasons",
            {"tcp/refused": None},
            "results.reasons.tcp/refused: Input should be a valid integer",
        ),
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
def test_a_damaged_result_is_rejected_with_the_path_of_the_error(
    path: str, value: Any, message: str, tmp_path: Path
) -> None:
    assert_rejected(changed(part(0), path, value), message, tmp_path)


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
def test_a_damaged_result_of_the_node_tool_is_rejected(path: str, value: Any, message: str, tmp_path: Path) -> None:
    assert_rejected(changed(from_file(NODE_RESULT), path, value), message, tmp_path)


def assert_rejected(data: Json, message: str, folder: Path) -> None:
    """Assert that it cannot be read, with one line that names the file."""
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


def test_results_of_every_scenario_are_read_and_written_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    for scenario in LOAD_SCENARIOS:
        for samples in ([], [(1.0, 0.01)]):
            data = from_file(result_of(plan_of(scenario), totals_of_samples(samples)))
            path.write_text(json.dumps(data))
            result = read(path)
            assert isinstance(result, LoadResult)
            assert result.to_json() == data
    path.write_text(json.dumps(NODE_RESULT), encoding="utf-16")
    assert isinstance(read(path), NodeResult)


@pytest.mark.parametrize("text", ["[" * 100_000, "", "[]", '{"scenario": "x"}', "\xff"])
def test_other_files_are_rejected(text: str, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(StartupError, match=r"r\.json"):
        read(path)
