"""Totals and results made of samples, which tests can split over workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.load.conversion import result_of as make_result
from monitor.load.plan import Plan
from monitor.load.totals import FinishedTest, Totals
from monitor.load.verdict import judge, objectives
from monitor.scenarios import Scenario

if TYPE_CHECKING:
    from monitor.load.result import LoadResult

Json = dict[str, Any]

TARGET = "ws://relay.test/connection/websocket"
COST = {"cpuSeconds": 1.5, "peakRssMb": 80.0}


def plan_of(scenario: Scenario = Scenario.STEADY_MESSAGING, **keys: Any) -> Plan:
    return Plan(target=TARGET, scenario=scenario, **({"test_id": "a-test"} | keys))


def totals_of_samples(samples: list[tuple[float, float]]) -> Totals:
    """One pair and one exchange for each (when it ended, its round trip), both in seconds."""
    totals = Totals(seconds=60.0)
    for at, seconds in samples:
        totals.attempted += 1
        totals.immediate += 1
        totals.due_seconds += 60.0
        totals.connected_seconds += 60.0
        totals.sent += 1
        totals.received += 1
        totals.verdicts["delivered"] += 2
        totals.window(at).record(seconds)
        for name, share in (("messages", 1.0), ("wireRequest", 0.2), ("connectTime", 0.5), ("handshake", 2.0)):
            totals.sketches[name].record(seconds * share)
    return totals


def finished_with(totals: Totals, **keys: Any) -> FinishedTest:
    """A finished test with `totals`."""
    fields: dict[str, Any] = {"totals": totals, "interrupted": False, "began": 1_700_000_000.0, "cost": COST} | keys
    return FinishedTest(**fields)


def model_of(plan: Plan, totals: Totals, *, passed: bool | None = None) -> LoadResult:
    """The result of a test with `totals`, as the command makes it."""
    judged = judge(plan.scenario, totals, objectives(plan.scenario, None, {}))
    return make_result(plan, finished_with(totals), judged, version="1.2.3", passed=passed)


def result_of(plan: Plan, totals: Totals) -> Json:
    """The JSON of that result."""
    return model_of(plan, totals).to_json()
