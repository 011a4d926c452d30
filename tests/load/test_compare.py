from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from monitor.cli import app
from monitor.errors import StartupError
from monitor.load.compare import Change, compare, lines
from tests.load.sample import plan_of, result_of, totals_of_samples

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.load.result import Json


def result(factor: float, count: int = 2000, seed: int = 1) -> Json:
    rng = random.Random(seed)
    return result_of(plan_of(), totals_of_samples([(1.0, factor * rng.gammavariate(4, 0.002)) for _ in range(count)]))


def nodes(p50: int, p99: int, received: int = 100) -> Json:
    """What the relay team's own tool writes, as far as it is looked at."""
    latency = {"min": 1, "max": p99, "avg": p50, "p50": p50, "p95": p99, "p99": p99}
    return {
        "scenario": "steady-messaging",
        "results": {
            "connections": {"attempted": 100, "successful": 100},
            "connectTime": None,
            "messages": {"sent": 100, "received": received, "latency": latency},
        },
    }


def change(changes: list[Change], name: str) -> Change:
    return next(item for item in changes if item.name == name)


def test_the_same_distribution_is_no_regression_and_its_interval_holds_one() -> None:
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


def test_what_chance_can_do_is_no_regression() -> None:
    """Of eight exchanges each, one slow one proves nothing."""
    slow = totals_of_samples([(1.0, 0.01)] * 7 + [(1.0, 0.1)])
    before = result_of(plan_of(), totals_of_samples([(1.0, 0.01 + number / 1000) for number in range(8)]))
    changes = compare(before, result_of(plan_of(), slow), ratio=1.2)
    found = change(changes, "round trip p99")
    assert found.effect > 5
    assert not found.worse


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    covered = 0
    for seed in range(40):
        found = change(compare(result(1.0, 300, 2 * seed), result(1.0, 300, 2 * seed + 1), ratio=9), "round trip p50")
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


def test_the_relay_teams_own_results_are_compared_without_intervals() -> None:
    changes = compare(nodes(10, 20), nodes(10, 30), ratio=1.2)
    found = change(changes, "round trip p99")
    assert (found.before, found.after, found.effect, found.interval, found.worse) == (20.0, 30.0, 1.5, None, True)
    assert change(changes, "delivered").interval is not None
    assert "none: no sketches" in "\n".join(lines(changes, 1.2))
    mixed = compare(nodes(10, 20), result(1.0), ratio=100.0)
    assert change(mixed, "round trip p99").interval is None


def test_different_scenarios_are_not_compared() -> None:
    with pytest.raises(StartupError, match="cannot compare steady-messaging with async-delivery"):
        compare(nodes(1, 1), nodes(1, 1) | {"scenario": "async-delivery"}, ratio=1.2)


@pytest.mark.parametrize(("factor", "status", "verdict"), [(1.0, 0, "PASS"), (2.0, 1, "FAIL")])
def test_the_command_exits_by_what_it_found(tmp_path: Path, factor: float, status: int, verdict: str) -> None:
    files: list[Any] = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, data in zip(files, (result(1.0), result(factor, seed=2)), strict=True):
        path.write_text(json.dumps(data))
    done = CliRunner().invoke(app, ["compare", *map(str, files)])
    assert done.exit_code == status
    assert done.stdout.splitlines()[-1].startswith(verdict)
    as_json = CliRunner().invoke(app, ["compare", *map(str, files), "--output", "json"])
    assert {item["name"] for item in json.loads(as_json.stdout)} >= {"round trip p99", "connected"}
