"""The JSON of a result, and its conversion from totals and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from monitor.load.conversion import totals_of
from monitor.load.totals import HoldTotals, Totals
from monitor.scenarios import Scenario
from tests.load.parts import SAMPLES, differing, read_back
from tests.load.sample import plan_of, result_of, totals_of_samples

if TYPE_CHECKING:
    from tests.load.sample import Json

LATENCY = {"min", "max", "avg", "p50", "p95", "p99"}


def test_keys_and_units_are_those_of_the_node_tool() -> None:
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
    steady_messaging = results["steadyMessaging"]
    assert (
        steady_messaging["durationSeconds"],
        steady_messaging["messageIntervalSeconds"],
        steady_messaging["disconnects"],
    ) == (60.0, 5.0, 0)
    assert [(item["timestampMs"], item["p50"], item["exchanges"]) for item in steady_messaging["latencyOverTime"]] == [
        (0, 10, 1), (10_000, 21, 1)
    ]  # fmt: skip
    # The additional keys.
    assert result["schemaVersion"] == 1
    assert results["latencyMs"]["messages"]["min"] == 10.4
    assert results["wireMs"]["request"]["max"] == 4.12
    assert results["verdicts"] == {"delivered": 4}
    assert result["meta"]["version"] == "1.2.3"


def test_keys_are_written_in_the_order_of_the_node_tool() -> None:
    result = result_of(plan_of(), totals_of_samples([(5.0, 0.0104)]))
    assert list(result) == ["schemaVersion", "scenario", "timestamp", "target", "config", "results", "meta"]
    assert " ".join(result["results"]) == (
        "connections timing connectTime retries handshake messages steadyMessaging "
        "stability latencyMs wireMs reasons verdicts aborted unfinished sketches slos"
    )
    assert " ".join(result["results"]["messages"]) == "sent received failed deliveryRate latency"
    assert " ".join(result["results"]["sketches"]["overTime"][0]) == "timestampMs hdr min max avg"


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
@given(SAMPLES)
def test_a_result_converts_back_to_its_totals(dealt: list[tuple[float, float]]) -> None:
    totals = totals_of_samples(dealt)
    totals.reasons["tcp/refused"] = 3
    totals.disconnects = 1
    totals.aborted, totals.unfinished = 5, 2
    result = result_of(plan_of(), totals)
    back = result_of(plan_of(), totals_of(read_back(result)))
    assert differing(back["results"], result["results"]) == []


def test_a_hold_converts_back() -> None:
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
