"""Totals of a test that never was, of samples that can be dealt out to workers."""

from __future__ import annotations

from typing import Any

from monitor.load.load_runner import Ended
from monitor.load.plan import Plan
from monitor.load.result import Json, to_json
from monitor.load.totals import Totals
from monitor.load.verdict import judge, objectives
from monitor.scenarios import Scenario

TARGET = "ws://relay.test/connection/websocket"
COST = {"cpuSeconds": 1.5, "peakRssMb": 80.0}


def plan_of(scenario: Scenario = Scenario.STEADY_MESSAGING, **keys: Any) -> Plan:
    return Plan(target=TARGET, scenario=scenario, **keys)


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


def ended_with(totals: Totals, **keys: Any) -> Ended:
    """The end of a test that came to `totals`."""
    fields: dict[str, Any] = {"totals": totals, "interrupted": False, "began": 1_700_000_000.0, "cost": COST} | keys
    return Ended(**fields)


def result_of(plan: Plan, totals: Totals) -> Json:
    """Its result, as the command writes it."""
    ended = ended_with(totals)
    judged = judge(plan.scenario, totals, objectives(plan.scenario, None, {}))
    return to_json(plan, totals, ended.meta("1.2.3", plan), [item.to_json() for item in judged], ended.began)
