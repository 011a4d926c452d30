"""Turns the totals of a load test into its result, and a result back into totals."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from monitor.load import host
from monitor.load.result import (
    Connections,
    Handshake,
    Latency,
    LatencyMs,
    LatencyWindow,
    LoadResult,
    Messages,
    Meta,
    Recovery,
    Results,
    Retries,
    ShownConfig,
    Sketches,
    Slo,
    Stability,
    SteadyMessaging,
    SteadyState,
    Timing,
    WholeLatency,
    WindowSketch,
    WireMs,
)
from monitor.load.sketch import Sketch
from monitor.load.totals import HoldTotals, Totals, Window
from monitor.load.verdict import SCALES, Aim, Objective, unscaled
from monitor.scenarios import EXCHANGING, OFFLINE, SPECS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.load.plan import Plan
    from monitor.load.totals import FinishedTest
    from monitor.load.verdict import Judged

QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}


def result_of(
    plan: Plan,
    finished: FinishedTest,
    judged: Sequence[Judged] = (),
    *,
    version: str,
    workers: int = 1,
    passed: bool | None = None,
) -> LoadResult:
    """Return the result of a test. `version` is that of the program, `workers` the number of processes that ran it."""
    began = datetime.fromtimestamp(finished.began, UTC)
    return LoadResult(
        scenario=plan.scenario,
        timestamp=began.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        target=plan.target,
        config=_config(plan),
        results=_results(plan, finished.totals, judged),
        meta=Meta(
            version=version,
            interrupted=finished.interrupted,
            workers=workers,
            included_workers=list(finished.included_workers or plan.worker[:1]),
            missing_workers=list(finished.missing_workers),
            config=plan,
            machine=host.describe(),
            cost=finished.cost,
        ),
        passed=passed,
    )


def _config(plan: Plan) -> ShownConfig:
    flags = SPECS[plan.scenario].load_flags or frozenset()
    return ShownConfig(
        connections=plan.total,
        duration_sec=plan.duration,
        ramp_up_sec=plan.ramp_up,
        messages_per_session=plan.messages_per_session if "messages_per_session" in flags else None,
        delay_sec=plan.delay if "delay" in flags else None,
        message_interval_sec=plan.message_interval if "message_interval" in flags else None,
        crypto=plan.crypto if plan.is_paired else None,
    )


def _results(plan: Plan, totals: Totals, judged: Sequence[Judged]) -> Results:
    scenario, sketches = plan.scenario, totals.sketches
    return Results(
        connections=_connections(totals),
        timing=Timing(
            total_time_ms=totals.seconds * 1e3,
            connections_per_sec=totals.attempted / totals.seconds if totals.seconds else 0.0,
        ),
        connect_time=_rounded(sketches["connectTime"]),
        retries=Retries(
            total_retries=totals.retries,
            avg_retries_per_connection=totals.retries / totals.attempted if totals.attempted else 0.0,
        ),
        handshake=_handshake(totals) if plan.is_paired else None,
        messages=_messages(totals) if scenario in EXCHANGING else None,
        recovery=_recovery(totals) if scenario in OFFLINE else None,
        steady_state=_steady_state(totals) if plan.is_steady and not plan.is_paired else None,
        steady_messaging=_steady_messaging(plan, totals) if plan.is_steady and plan.is_paired else None,
        stability=_stability(totals) if plan.is_steady else None,
        latency_ms=LatencyMs(
            connect_time=_exact(sketches["connectTime"]),
            handshake=_exact(sketches["handshake"]),
            messages=_exact(sketches["messages"]),
            recovery=_exact(sketches["recovery"]),
        ),
        wire_ms=WireMs(request=_exact(sketches["wireRequest"]), response=_exact(sketches["wireResponse"])),
        reasons=dict(totals.reasons.most_common()),
        verdicts=dict(totals.verdicts.most_common()),
        aborted=totals.aborted,
        unfinished=totals.unfinished,
        sketches=_sketches(totals),
        slos=[slo_of(item) for item in judged],
    )


def percent(part: int, total: int) -> float:
    """Return a share in percent; 0 if there is nothing to share."""
    return 100.0 * part / total if total else 0.0


def _connections(totals: Totals) -> Connections:
    return Connections(
        attempted=totals.attempted,
        successful=totals.successful,
        failed=totals.failed,
        success_rate=percent(totals.successful, totals.attempted),
        immediate=totals.immediate,
        recovered=totals.recovered,
    )


def _handshake(totals: Totals) -> Handshake:
    return Handshake(
        attempted=totals.attempted,
        successful=totals.successful,
        failed=totals.failed,
        success_rate=percent(totals.successful, totals.attempted),
        latency=_rounded(totals.sketches["handshake"]),
    )


def _messages(totals: Totals) -> Messages:
    return Messages(
        sent=totals.sent,
        received=totals.received,
        failed=totals.unanswered,
        delivery_rate=percent(totals.received, totals.sent),
        latency=_rounded(totals.sketches["messages"]),
    )


def _recovery(totals: Totals) -> Recovery:
    return Recovery(
        attempted=totals.recoveries_attempted,
        received=totals.recoveries_received,
        failed=totals.recoveries_failed,
        delivery_rate=percent(totals.recoveries_received, totals.recoveries_attempted),
        latency=_rounded(totals.sketches["recovery"]),
    )


def _steady_state(totals: Totals) -> SteadyState:
    hold = totals.hold
    return SteadyState(
        hold_duration_ms=hold.seconds * 1e3,
        current_disconnects=hold.current,
        peak_disconnects=hold.peak,
        reconnects_during_hold=hold.reconnects,
        connection_stability=percent(totals.successful - hold.current, totals.successful),
    )


def _steady_messaging(plan: Plan, totals: Totals) -> SteadyMessaging:
    return SteadyMessaging(
        duration_seconds=plan.duration,
        message_interval_seconds=plan.message_interval,
        disconnects=totals.disconnects,
        reconnects=totals.reconnects,
        latency_over_time=[_latency_window(window) for window in totals.windows],
    )


def _latency_window(window: Window) -> LatencyWindow:
    p50, p99 = (_milliseconds(window.sketch.quantile(share)) for share in (0.5, 0.99))
    return LatencyWindow(
        timestamp_ms=window.at * 1e3, p50=p50, p99=p99, exchanges=window.sketch.count, p50_ms=p50, p99_ms=p99
    )


def _stability(totals: Totals) -> Stability:
    return Stability(
        connected_seconds=round(totals.connected_seconds, 6),
        due_seconds=round(totals.due_seconds, 6),
    )


def _milliseconds(seconds: float) -> float:
    return max(0.0, round(seconds * 1e3, 6))


def _exact(sketch: Sketch) -> Latency | None:
    if not sketch.counts:
        return None
    return Latency(
        count=sketch.count,
        min=_milliseconds(sketch.minimum),
        max=_milliseconds(sketch.maximum),
        avg=_milliseconds(sketch.mean),
        **{name: _milliseconds(sketch.quantile(share)) for name, share in QUANTILES.items()},
    )


def _rounded(sketch: Sketch) -> WholeLatency | None:
    exact = _exact(sketch)
    if exact is None:
        return None
    return WholeLatency(min=exact.min, max=exact.max, avg=exact.avg, p50=exact.p50, p95=exact.p95, p99=exact.p99)


def _sketches(totals: Totals) -> Sketches:
    encoded = {name: sketch.encode() for name, sketch in totals.sketches.items()}
    return Sketches(
        connect_time=encoded["connectTime"],
        handshake=encoded["handshake"],
        messages=encoded["messages"],
        recovery=encoded["recovery"],
        wire_request=encoded["wireRequest"],
        wire_response=encoded["wireResponse"],
        over_time=[_window_sketch(window) for window in totals.windows],
    )


def _window_sketch(window: Window) -> WindowSketch:
    sketch = window.sketch
    return WindowSketch(
        timestamp_ms=window.at * 1e3,
        hdr=sketch.encode(),
        min=_milliseconds(sketch.minimum) if sketch.counts else 0.0,
        max=_milliseconds(sketch.maximum),
        avg=_milliseconds(sketch.mean),
    )


def slo_of(judged: Judged) -> Slo:
    """Return an objective as written in a result."""
    objective, value = judged.objective, judged.value
    scale = SCALES.get(objective.aim, 100)
    return Slo(
        name=objective.name,
        aim=objective.aim,
        objective=round(objective.limit * scale, 9),
        measured=None if value is None else round(value * scale, 9),
        passed=judged.passed,
        threshold_ms=round(objective.threshold * 1e3, 9) if objective.aim is Aim.WITHIN else None,
    )


def objective_of(slo: Slo) -> Objective:
    """Return the objective that `slo_of` wrote."""
    limit = unscaled(slo.objective, SCALES.get(slo.aim, 100))
    return Objective(name=slo.name, aim=slo.aim, limit=limit, threshold=unscaled(slo.threshold_ms or 0.0, 1000))


def totals_of(result: LoadResult) -> Totals:
    """Return the totals that a result was made of. Raises `ValueError` if a sketch cannot be decoded."""
    results = result.results
    connections = results.connections
    totals = Totals(
        attempted=connections.attempted,
        unfinished=results.unfinished,
        immediate=connections.immediate,
        recovered=connections.recovered,
        failed=connections.failed,
        retries=results.retries.total_retries,
        aborted=results.aborted,
        reasons=Counter(results.reasons),
        verdicts=Counter(results.verdicts),
        sketches=sketches_of(result),
        seconds=results.timing.total_time_ms / 1e3,
    )
    if (messages := results.messages) is not None:
        totals.sent, totals.received, totals.unanswered = messages.sent, messages.received, messages.failed
    if (recovery := results.recovery) is not None:
        totals.recoveries_attempted = recovery.attempted
        totals.recoveries_received, totals.recoveries_failed = recovery.received, recovery.failed
    if (persistent := results.steady_messaging) is not None:
        totals.disconnects, totals.reconnects = persistent.disconnects, persistent.reconnects
    if (hold := results.steady_state) is not None:
        totals.hold = HoldTotals(
            seconds=hold.hold_duration_ms / 1e3,
            current=hold.current_disconnects,
            peak=hold.peak_disconnects,
            reconnects=hold.reconnects_during_hold,
        )
    if (stability := results.stability) is not None:
        totals.due_seconds, totals.connected_seconds = stability.due_seconds, stability.connected_seconds
    totals.windows = [Window(item.timestamp_ms / 1e3, _decode(item.hdr, item)) for item in results.sketches.over_time]
    return totals


def sketches_of(result: LoadResult) -> dict[str, Sketch]:
    """Return the sketches of a result by their names in the JSON. Raises `ValueError` if one cannot be decoded."""
    sketches, latency, wire = result.results.sketches, result.results.latency_ms, result.results.wire_ms
    return {
        "connectTime": _decode(sketches.connect_time, latency.connect_time),
        "handshake": _decode(sketches.handshake, latency.handshake),
        "messages": _decode(sketches.messages, latency.messages),
        "recovery": _decode(sketches.recovery, latency.recovery),
        "wireRequest": _decode(sketches.wire_request, wire.request),
        "wireResponse": _decode(sketches.wire_response, wire.response),
    }


def _decode(text: str, exact: Latency | WindowSketch | None) -> Sketch:
    if exact is None:
        return Sketch.decode(text, minimum=0.0, maximum=0.0, mean=0.0)
    return Sketch.decode(text, minimum=exact.min / 1e3, maximum=exact.max / 1e3, mean=exact.avg / 1e3)
