from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from monitor.cli import app
from monitor.errors import StartupError
from monitor.load.compare import Change
from monitor.load.compare import compare as compare_results
from monitor.load.compare_text import lines, verdict
from monitor.load.result_file import parse
from monitor.load.sketch import Sketch
from monitor.load.totals import Totals
from monitor.scenarios import Scenario
from tests.load.sample import plan_of, result_of, totals_of_samples

if TYPE_CHECKING:
    from pathlib import Path

    from tests.load.sample import Json


def result(factor: float, count: int = 2000, seed: int = 1) -> Json:
    rng = random.Random(seed)
    return result_of(plan_of(), totals_of_samples([(1.0, factor * rng.gammavariate(4, 0.002)) for _ in range(count)]))


def round_trips(seed: int) -> Json:
    """A result without other latencies, whose intervals take as long to compute as this one's."""
    rng = random.Random(seed)
    totals = totals_of_samples([(1.0, rng.gammavariate(4, 0.002)) for _ in range(300)])
    totals.sketches |= {"connectTime": Sketch(), "handshake": Sketch()}
    return result_of(plan_of(), totals)


def nodes(p50: int, p99: int, received: int = 100) -> Json:
    """Return a result of the Node tool, as far as it is read."""
    latency = {"min": 1, "max": p99, "avg": p50, "p50": p50, "p95": p99, "p99": p99}
    return {
        "scenario": "steady-messaging",
        "results": {
            "connections": {"attempted": 100, "successful": 100},
            "connectTime": None,
            "messages": {"sent": 100, "received": received, "latency": latency},
        },
    }


def compare(before: Json, after: Json, *, ratio: float, names: tuple[str, str] = ("A", "B")) -> list[Change]:
    """Compare two results, each read from its JSON."""
    return compare_results(parse(names[0], before), parse(names[1], after), ratio=ratio, names=names)


def change(changes: list[Change], name: str) -> Change:
    return next(item for item in changes if item.name == name)


def test_the_same_distribution_is_no_regression_and_its_interval_contains_one() -> None:
    changes = compare(result(1.0), result(1.0, seed=2), ratio=1.2)
    found = change(changes, "round trip p99")
    assert found.interval is not None
    assert found.interval[0] < 1.0 < found.interval[1]
    assert not any(item.worse for item in changes)


def test_a_latency_grown_beyond_the_ratio_is_a_regression() -> None:
    changes = compare(result(1.0), result(1.5, seed=2), ratio=1.2)
    found = change(changes, "round trip p50")
    assert found.effect == pytest.approx(1.5, rel=0.1)
    assert found.interval is not None
    assert found.interval[0] < 1.5 < found.interval[1]
    assert found.worse


def test_a_change_by_chance_is_no_regression() -> None:
    """One slow exchange of eight proves nothing."""
    slow = totals_of_samples([(1.0, 0.01)] * 7 + [(1.0, 0.1)])
    before = result_of(plan_of(), totals_of_samples([(1.0, 0.01 + number / 1000) for number in range(8)]))
    changes = compare(before, result_of(plan_of(), slow), ratio=1.2)
    found = change(changes, "round trip p99")
    assert found.effect is not None
    assert found.effect > 5
    assert not found.worse


def test_too_few_samples_are_undecided_rather_than_passed() -> None:
    """Of 20 exchanges no P99 is known, and 20 of 20 leaves room for 16 % of failures."""
    few = compare(result(1.0, count=20), result(1.0, count=20, seed=2), ratio=1.2)
    assert change(few, "round trip p99").undecided
    assert change(few, "delivered").undecided
    undecided = sum(item.undecided for item in few)
    assert verdict(few, 1.2) == (
        f"UNDECIDED: nothing proves to be worse beyond 1.2×, but {undecided} of {len(few)} figures have too few "
        "samples to rule it out"
    )
    many = compare(result(1.0), result(1.0, seed=2), ratio=1.5)
    assert not any(item.undecided for item in many)
    assert verdict(many, 1.5) == "PASS: nothing worse beyond 1.5×"


def test_failures_that_grew_by_chance_are_undecided() -> None:
    before, after = nodes(10, 20, received=1), nodes(10, 20)
    before["results"]["messages"] |= {"sent": 1000, "received": 999}
    after["results"]["messages"] |= {"sent": 1000, "received": 997}
    found = change(compare(before, after, ratio=1.2), "delivered")
    assert (found.worse, found.undecided) == (False, True)
    after["results"]["messages"] |= {"received": 1000}
    assert not change(compare(before, after, ratio=1.2), "delivered").undecided


@pytest.mark.slow
def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    covered = 0
    for seed in range(40):
        found = change(compare(round_trips(2 * seed), round_trips(2 * seed + 1), ratio=9), "round trip p50")
        assert found.interval is not None
        covered += found.interval[0] <= 1.0 <= found.interval[1]
    assert covered >= 34  # of 40, at 95 %: fewer would happen once in a hundred


def test_more_failures_than_chance_makes_are_a_regression() -> None:
    before, after = nodes(10, 20, received=1), nodes(10, 20)
    before["results"]["messages"] |= {"sent": 10_000, "received": 9_999}
    after["results"]["messages"] |= {"sent": 10_000, "received": 9_950}
    assert change(compare(before, after, ratio=1.2), "delivered").worse
    after["results"]["messages"] |= {"received": 9_998}
    assert not change(compare(before, after, ratio=1.2), "delivered").worse


def test_newcombes_interval_is_that_of_his_paper() -> None:
    """56/70 against 48/80: difference −0.2 with (−0.3339, −0.0524), table II of Newcombe 1998, method 10."""
    before, after = nodes(1, 1), nodes(1, 1)
    before["results"]["messages"] |= {"sent": 70, "received": 56}
    after["results"]["messages"] |= {"sent": 80, "received": 48}
    found = change(compare(before, after, ratio=1.2), "delivered")
    assert found.interval == pytest.approx((-33.39, -5.24), abs=0.01)


def test_results_of_the_node_tool_are_compared_without_intervals() -> None:
    changes = compare(nodes(10, 20), nodes(10, 30), ratio=1.2)
    found = change(changes, "round trip p99")
    assert (found.before, found.after, found.effect, found.interval, found.worse) == (20.0, 30.0, 1.5, None, True)
    assert change(changes, "delivered").interval is not None
    assert "no sketches" in "\n".join(lines(changes, 1.2))
    mixed = compare(nodes(10, 20), result(1.0), ratio=100.0)
    assert change(mixed, "round trip p99").interval is None


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [(0, 1, False), (1, 2, False), (2, 3, False), (0, 2, True), (2, 4, True), (9, 14, True)],
)
def test_a_change_that_rounding_explains_is_no_regression(before: int, after: int, worse: bool) -> None:
    assert change(compare(nodes(before, 20), nodes(after, 20), ratio=1.2), "round trip p50").worse is worse


def dropped(scenario: str, count: int) -> Json:
    """Return a result of the Node tool with a hundred connections, of which `count` dropped."""
    parts = {
        "steady-state": ("steadyState", "peakDisconnects"),
        "steady-messaging": ("steadyMessaging", "disconnects"),
    }
    key, drops = parts[scenario]
    made = nodes(10, 20)
    made["results"][key] = {drops: count}
    return made | {"scenario": scenario}


@pytest.mark.parametrize("scenario", ["steady-state", "steady-messaging"])
def test_more_drops_than_chance_makes_are_a_regression(scenario: str) -> None:
    found = change(compare(dropped(scenario, 0), dropped(scenario, 90), ratio=1.2), "stable")
    assert (found.before, found.after, found.worse) == (100.0, 10.0, True)
    assert found.effect == -90.0
    assert not change(compare(dropped(scenario, 4), dropped(scenario, 5), ratio=1.2), "stable").worse


def result_with_peak(peak: int, workers: int = 1) -> Json:
    """Return a result with a hundred held connections, of one process or merged of several."""
    plan = plan_of(Scenario.STEADY_STATE)
    totals = Totals(attempted=100, immediate=100, seconds=60.0, due_seconds=6000.0, connected_seconds=5990.0)
    totals.hold.seconds, totals.hold.peak = 60.0, peak
    totals.sketches["connectTime"].record(0.01)
    made = result_of(plan, totals)
    made["meta"] |= {"includedWorkers": list(range(workers)), "workers": workers}
    made["meta"]["config"]["worker"] = [0, workers]
    return made


def test_summed_peaks_are_not_compared() -> None:
    """Each of four workers had 20 connections away at another moment: their sum was never away at once."""
    assert change(compare(result_with_peak(20), result_with_peak(80), ratio=1.2), "stable").worse
    for before, after in (
        (result_with_peak(20), result_with_peak(80, workers=4)),
        (result_with_peak(80, workers=4), result_with_peak(20)),
        (result_with_peak(9, 4), result_with_peak(80, 4)),
    ):
        changes = compare(before, after, ratio=1.2)
        assert "stable" not in {item.name for item in changes}
        assert not any(item.worse for item in changes)


def test_a_figure_that_is_missing_in_b_is_a_regression() -> None:
    complete = result_of(plan_of(), totals_of_samples([(1.0, 0.01)] * 20))
    totals = totals_of_samples([(1.0, 0.01)] * 20)
    totals.sent = totals.received = 0
    totals.sketches["messages"] = Sketch()
    for before, after in ((complete, result_of(plan_of(), totals)), (nodes(1, 1), mute(nodes(1, 1)))):
        changes = compare(before, after, ratio=1.2)
        for name in ("delivered", "round trip p50", "round trip p99"):
            found = change(changes, name)
            assert (found.after, found.effect, found.interval, found.worse) == (None, None, None, True)
            assert found.to_json()["after"] is None
        assert not change(changes, "connected").worse
        shown = next(line for line in lines(changes, 1.2) if line.startswith("delivered"))
        assert " ".join(shown.split()) == "delivered 100.00 % none not measured in B WORSE"
        names = "round trip p50, round trip p95, round trip p99, delivered"
        assert lines(changes, 1.2)[-1] == f"FAIL: 4 worse beyond 1.2×: {names}"
        gained = compare(after, before, ratio=1.2)
        assert {item.name for item in gained} & {"delivered", "round trip p50"} == set()


def mute(data: Json) -> Json:
    """Return the result without any message."""
    data["results"]["messages"] = {"sent": 0, "received": 0, "latency": None}
    return data


def test_an_empty_result_cannot_be_compared_with() -> None:
    empty: Json = {"scenario": "steady-messaging", "results": {}}
    for after in (empty, nodes(1, 1)):
        with pytest.raises(StartupError, match=r"^a\.json: nothing to compare"):
            compare(empty, after, ratio=1.2, names=("a.json", "b.json"))
    assert all(item.worse for item in compare(nodes(1, 1), empty, ratio=1.2))


def test_a_share_is_at_most_100_percent() -> None:
    assert change(compare(nodes(1, 1, received=101), nodes(1, 1), ratio=1.2), "delivered").before == 100.0


@pytest.mark.parametrize(
    ("meta", "why"), [({"missingWorkers": [1]}, "lacks worker 1"), ({"interrupted": True}, "interr")]
)
def test_an_incomplete_test_is_not_compared(meta: Json, why: str) -> None:
    complete = result_of(plan_of(), totals_of_samples([(1.0, 0.01)] * 20))
    part = complete | {"meta": complete["meta"] | meta}
    for pair in ((complete, part), (part, complete)):
        with pytest.raises(StartupError, match=f"not a complete result: .*{why}"):
            compare(*pair, ratio=1.2)


def test_different_scenarios_are_not_compared() -> None:
    with pytest.raises(StartupError, match="cannot compare steady-messaging with async-delivery"):
        compare(nodes(1, 1), nodes(1, 1) | {"scenario": "async-delivery"}, ratio=1.2)


@pytest.mark.parametrize(("factor", "status", "word"), [(1.0, 0, "PASS"), (2.0, 1, "FAIL")])
def test_the_command_exits_by_what_it_found(tmp_path: Path, factor: float, status: int, word: str) -> None:
    files: list[Any] = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, data in zip(files, (result(1.0), result(factor, seed=2)), strict=True):
        path.write_text(json.dumps(data))
    done = CliRunner().invoke(app, ["compare", *map(str, files)], env={"COLUMNS": "80"})
    assert done.exit_code == status
    assert done.stdout.splitlines()[-1].startswith(word)
    as_json = CliRunner().invoke(app, ["compare", *map(str, files), "--output", "json"])
    assert {item["name"] for item in json.loads(as_json.stdout)} >= {"round trip p99", "connected"}
