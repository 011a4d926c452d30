"""Merging the results of workers."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from typer.testing import CliRunner

from monitor.cli import app
from monitor.errors import StartupError
from monitor.load.conversion import result_of as make_result
from monitor.load.verdict import judge
from monitor.scenarios import Scenario
from tests.load.parts import SAMPLES, changed, differing, from_file, merge_parts, part
from tests.load.sample import COST, plan_of, result_of, totals_of_samples

if TYPE_CHECKING:
    from tests.load.sample import Json


@pytest.mark.slow
@settings(max_examples=40)
@given(SAMPLES)
def test_merged_results_are_the_result_of_all_samples(dealt: list[tuple[float, float]]) -> None:
    """The merged parts of four workers equal, to the last digit, the result of one process."""
    parts = [
        (f"{index}.json", from_file(result_of(plan_of(worker=(index, 4)), totals_of_samples(dealt[index::4]))))
        for index in range(4)
    ]
    plan, finished, objectives = merge_parts(*parts)
    expected = result_of(plan, totals_of_samples(dealt))["results"]
    assert differing(result_of(plan, finished.totals)["results"], expected) == []
    assert finished.cost == {name: 4 * value for name, value in COST.items()}
    assert [item.name for item in objectives] == ["round trip P99", "success", "delivery", "stability"]
    assert (finished.included_workers, finished.missing_workers) == ((0, 1, 2, 3), ())


def merged_json(*parts: Json) -> Json:
    """Return the JSON of the merged results."""
    plan, finished, objectives = merge_parts(*((str(number), each) for number, each in enumerate(parts)))
    judged = judge(plan.scenario, finished.totals, objectives)
    return from_file(make_result(plan, finished, judged, version="1.2.3").to_json())


def test_a_missing_worker_is_named() -> None:
    _, finished, _ = merge_parts(("a", part(0)), ("b", part(3)))
    assert finished.missing_workers == (1, 2)


def test_a_merged_result_can_be_merged_with_the_remaining_parts() -> None:
    some = merged_json(part(3), part(1))
    assert some["meta"]["includedWorkers"] == [1, 3]
    _, finished, _ = merge_parts(("some", some))
    assert finished.missing_workers == (0, 2)
    _, finished, _ = merge_parts(("some", some), ("rest", merged_json(part(0), part(2))))
    assert (finished.included_workers, finished.missing_workers, finished.totals.received) == ((0, 1, 2, 3), (), 4)


def test_parts_of_two_tests_of_the_same_minute_are_rejected() -> None:
    with pytest.raises(StartupError, match=r"^b: of a different test than a: test id 'another' instead of 'a-test'$"):
        merge_parts(("a", part(0, 2)), ("b", part(1, 2, test_id="another")))


@pytest.mark.parametrize("hours", [-3, 3, 24 * 365 * 30])
def test_wrong_clocks_do_not_matter(hours: int) -> None:
    """The merged test began when most of its workers say."""
    began = datetime.fromisoformat(part(0, 3)["timestamp"])
    other = changed(part(1, 3), "timestamp", (began + timedelta(hours=hours)).isoformat())
    _, finished, _ = merge_parts(("a", part(0, 3)), ("b", other), ("c", part(2, 3)))
    assert (finished.missing_workers, finished.began) == ((), began.timestamp())


def test_a_result_of_an_older_version_can_only_be_merged_alone() -> None:
    """It has no test id."""
    old = [changed(part(index, 2), "meta.config.test_id", ...) for index in range(2)]
    assert merge_parts(("a", old[0]))[1].missing_workers == (1,)
    with pytest.raises(StartupError, match=r"^a: has no test id, so that its test is not known"):
        merge_parts(("a", old[0]), ("b", old[1]))


def test_parts_of_different_versions_are_rejected() -> None:
    with pytest.raises(StartupError, match=r"^b: of version 9, but a is of version 1\.2\.3$"):
        merge_parts(("a", part(0, 2)), ("b", changed(part(1, 2), "meta.version", "9")))


def test_a_part_needs_a_test_id(tmp_path: Path) -> None:
    output = str(tmp_path / "r.json")
    flags = ("--target", "ws://127.0.0.1:1/x", "--worker", "0/2", "--output", output)
    done = CliRunner().invoke(app, ["load", *flags], env={"COLUMNS": "400"})
    assert done.exit_code == 2
    assert "--test-id: is required with --worker" in done.stderr
    done = CliRunner().invoke(app, ["load", *flags, "--test-id", "a b"], env={"COLUMNS": "400"})
    assert done.exit_code == 2
    assert "'a b' is not 1–64 letters" in done.stderr


def test_parts_with_different_objectives_are_rejected() -> None:
    other_objectives = part(1, 2)
    other_objectives["results"]["slos"] = other_objectives["results"]["slos"][1:]
    with pytest.raises(StartupError, match=r"^b: has different objectives than a$"):
        merge_parts(("a", part(0, 2)), ("b", other_objectives))


def test_the_command_rejects_the_same_file_twice(tmp_path: Path) -> None:
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


def test_a_worker_missing_in_a_part_is_missing_in_the_merged_result() -> None:
    """Also in an older part without `includedWorkers`, whose plan has no other worker."""
    old = part(0, 1)
    del old["meta"]["includedWorkers"]
    old["meta"]["missingWorkers"] = [1]
    _, finished, _ = merge_parts(("old", old))
    assert finished.missing_workers == (1,)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([("a", part(0)), ("b", part(0))], "b: of the same worker 0/4 as a"),
        ([("a", part(2)), ("a", part(2))], "a: of the same worker 2/4 as a"),
        ([("a", part(0, 1)), ("b", part(0, 1))], "b: of the same worker 0/1 as a"),
        ([("a", merged_json(part(0), part(1))), ("b", part(1))], "b: of the same worker 1/4 as a"),
        ([("a", part(1)), ("b", merged_json(part(0), part(1)))], "b: of the same worker 1/4 as a"),
        ([("a", part(0)), ("b", part(1, delay=3.0))], r"b: of a different test than a: delay 3.0 instead of 30.0"),
        ([("a", part(0)), ("b", part(1, 5))], "b: of a different test than a: worker 5 instead of 4"),
        (
            [("a", part(0)), ("b", part(1, scenario=Scenario.REALISTIC_SESSION))],
            "b: of a different test than a: scenario 'realistic-session' instead of 'steady-messaging'",
        ),
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
def test_parts_that_do_not_belong_together_are_rejected(parts: list[tuple[str, Json]], message: str) -> None:
    with pytest.raises(StartupError, match=message):
        merge_parts(*parts)
