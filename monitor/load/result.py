"""A load test's result as JSON: the relay team's own keys and units, and beside them what makes it mergeable.

Their latencies are whole milliseconds, their rates percent. Ours adds `schemaVersion` and `meta` at the top, and under
`results` the keys `latencyMs`, `wireMs`, `reasons`, `verdicts`, `aborted`, `unfinished`, `stability`, `sketches`
and `slos`.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from monitor.errors import StartupError
from monitor.load import shape
from monitor.load.sketch import Sketch
from monitor.load.totals import SKETCHES, Hold, Totals, Window
from monitor.scenarios import PAIRED, Scenario

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.load.plan import Plan

SCHEMA_VERSION: Final = 1

QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}
WIRE: Final = {"wireRequest": "request", "wireResponse": "response"}
"""Sketches that are told under `wireMs`, and their names there."""

Json = dict[str, Any]


def to_json(plan: Plan, totals: Totals, meta: Json, slos: list[Json], timestamp: float) -> Json:
    """The whole result; `timestamp` is when the test began, in seconds since the epoch."""
    moment = datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "schemaVersion": SCHEMA_VERSION,
        "scenario": plan.scenario.value,
        "timestamp": moment,
        "target": plan.target,
        "config": _config(plan),
        "results": _results(plan.scenario, plan, totals) | {"slos": slos},
        "meta": meta,
    }


def _config(plan: Plan) -> Json:
    config: Json = {"connections": plan.total, "durationSec": plan.duration, "rampUpSec": plan.ramp_up}
    match plan.scenario:
        case Scenario.REALISTIC_SESSION:
            config["messagesPerSession"] = plan.messages_per_session
        case Scenario.ASYNC_DELIVERY:
            config["delaySec"] = plan.delay
        case Scenario.STEADY_MESSAGING:
            config["messageIntervalSec"] = plan.message_interval
    whole: Json = {name: int(value) if value == int(value) else value for name, value in config.items()}
    return whole | {"crypto": plan.crypto} if plan.is_paired else whole


def _results(scenario: Scenario, plan: Plan, totals: Totals) -> Json:
    results: Json = {
        "connections": {
            "attempted": totals.attempted,
            "successful": totals.successful,
            "failed": totals.failed,
            "successRate": percent(totals.successful, totals.attempted),
            "immediate": totals.immediate,
            "recovered": totals.recovered,
        },
        "timing": {
            "totalTimeMs": totals.seconds * 1e3,
            "connectionsPerSec": totals.attempted / totals.seconds if totals.seconds else 0.0,
        },
        "connectTime": _whole(totals.sketches["connectTime"]),
        "retries": {
            "totalRetries": totals.retries,
            "avgRetriesPerConnection": totals.retries / totals.attempted if totals.attempted else 0.0,
        },
    }
    if scenario in PAIRED:
        results["handshake"] = {
            "attempted": totals.attempted,
            "successful": totals.successful,
            "failed": totals.failed,
            "successRate": percent(totals.successful, totals.attempted),
            "latency": _whole(totals.sketches["handshake"]),
        }
    match scenario:
        case Scenario.REALISTIC_SESSION | Scenario.STEADY_MESSAGING:
            results["messages"] = {
                "sent": totals.sent,
                "received": totals.received,
                "failed": totals.unheard,
                "deliveryRate": percent(totals.received, totals.sent),
                "latency": _whole(totals.sketches["messages"]),
            }
        case Scenario.ASYNC_DELIVERY:
            results["recovery"] = {
                "attempted": totals.awaited,
                "received": totals.brought,
                "failed": totals.missed,
                "deliveryRate": percent(totals.brought, totals.awaited),
                "latency": _whole(totals.sketches["recovery"]),
            }
        case Scenario.STEADY_STATE:
            results["steadyState"] = {
                "holdDurationMs": totals.hold.seconds * 1e3,
                "currentDisconnects": totals.hold.current,
                "peakDisconnects": totals.hold.peak,
                "reconnectsDuringHold": totals.hold.reconnects,
                "connectionStability": percent(totals.successful - totals.hold.current, totals.successful),
            }
    if scenario is Scenario.STEADY_MESSAGING:
        results["steadyMessaging"] = {
            "durationSeconds": plan.duration,
            "messageIntervalSeconds": plan.message_interval,
            "disconnects": totals.disconnects,
            "reconnects": totals.reconnects,
            "latencyOverTime": [_snapshot(window) for window in totals.windows],
        }
    if plan.is_steady:
        # Not the share of those that stand at the end: one that was away and came back was away.
        results["stability"] = {
            "connectedSeconds": round(totals.connected_seconds, 6),
            "dueSeconds": round(totals.due_seconds, 6),
        }
    return results | {
        "latencyMs": {name: _exact(totals.sketches[name]) for name in SKETCHES if name not in WIRE},
        "wireMs": {WIRE[name]: _exact(totals.sketches[name]) for name in SKETCHES if name in WIRE},
        "reasons": dict(totals.reasons.most_common()),
        "verdicts": dict(totals.verdicts.most_common()),
        "aborted": totals.aborted,
        "unfinished": totals.unfinished,
        "sketches": {name: sketch.encode() for name, sketch in totals.sketches.items()}
        | {"overTime": [{"timestampMs": round(item.at * 1e3), **_kept(item.sketch)} for item in totals.windows]},
    }


def percent(part: int, whole: int) -> float:
    """A share in percent; 0 of nothing."""
    return 100.0 * part / whole if whole else 0.0


def _whole(sketch: Sketch) -> Json | None:
    """Whole milliseconds, as the relay team's tool writes them."""
    exact = _exact(sketch)
    return None if exact is None else {name: round(exact[name]) for name in ("min", "max", "avg", "p50", "p95", "p99")}


def _exact(sketch: Sketch) -> Json | None:
    if not sketch.counts:
        return None
    found = {"count": sketch.count, "min": sketch.least, "max": sketch.greatest, "avg": sketch.mean}
    found |= {name: sketch.quantile(share) for name, share in QUANTILES.items()}
    return {name: value if name == "count" else round(value * 1e3, 6) for name, value in found.items()}


def _snapshot(window: Window) -> Json:
    p50, p99 = (round(window.sketch.quantile(share) * 1e3, 6) for share in (0.5, 0.99))
    return {
        "timestampMs": round(window.at * 1e3),
        "p50": round(p50),
        "p99": round(p99),
        "exchanges": window.sketch.count,
        "p50Ms": p50,
        "p99Ms": p99,
    }


def _kept(sketch: Sketch) -> Json:
    exact = _exact(sketch) or {}
    return {"hdr": sketch.encode()} | {name: exact.get(name, 0.0) for name in ("min", "max", "avg")}


# And back.


def read(path: Path) -> Json:
    """A result's file, ours or the relay team's, of which `shape` has been checked. Raises `StartupError`."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise StartupError(f"{path}: cannot be read as a result: {error}") from error
    if not (isinstance(data, dict) and isinstance(data.get("results"), dict) and "scenario" in data):
        raise StartupError(f"{path}: is no result of a load test: it has no `scenario` and `results`")
    shape.check(str(path), data)
    return data


def is_ours(data: Json) -> bool:
    """Whether a result has sketches."""
    return isinstance(data["results"].get("sketches"), dict)


def totals_of(data: Json) -> Totals:
    """The totals a result of ours was made of, complete. Raises `ValueError` where a sketch is none."""
    results = data["results"]
    connections, messages = results["connections"], results.get("messages") or {}
    recovery, steady = results.get("recovery") or {}, results.get("steadyMessaging") or {}
    held = results.get("steadyState")
    totals = Totals(
        attempted=connections["attempted"],
        unfinished=results.get("unfinished", 0),
        immediate=connections["immediate"],
        recovered=connections["recovered"],
        failed=connections["failed"],
        retries=results["retries"]["totalRetries"],
        sent=messages.get("sent", 0),
        received=messages.get("received", 0),
        unheard=messages.get("failed", 0),
        aborted=results.get("aborted", 0),
        awaited=recovery.get("attempted", 0),
        brought=recovery.get("received", 0),
        missed=recovery.get("failed", 0),
        disconnects=steady.get("disconnects", 0),
        reconnects=steady.get("reconnects", 0),
        reasons=Counter(results["reasons"]),
        verdicts=Counter(results["verdicts"]),
        seconds=results["timing"]["totalTimeMs"] / 1e3,
    )
    if held is not None:
        totals.hold = Hold(
            seconds=held["holdDurationMs"] / 1e3,
            current=held["currentDisconnects"],
            peak=held["peakDisconnects"],
            reconnects=held["reconnectsDuringHold"],
        )
    if (stability := results.get("stability")) is not None:
        totals.due_seconds, totals.connected_seconds = stability["dueSeconds"], stability["connectedSeconds"]
    sketches = results["sketches"]
    for name in SKETCHES:
        figures = results["wireMs"][WIRE[name]] if name in WIRE else results["latencyMs"][name]
        totals.sketches[name] = _sketch(sketches[name], figures)
    totals.windows = [Window(item["timestampMs"] / 1e3, _sketch(item["hdr"], item)) for item in sketches["overTime"]]
    return totals


def _sketch(text: str, figures: Json | None) -> Sketch:
    figures = figures or {"min": 0.0, "max": 0.0, "avg": 0.0}
    return Sketch.decode(text, least=figures["min"] / 1e3, greatest=figures["max"] / 1e3, mean=figures["avg"] / 1e3)
