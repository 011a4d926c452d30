"""What a finished test says, in words: the same for the terminal and the report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from monitor.load.verdict import COLOURS, Aim, Judged, aborted_too_much, measured
from monitor.scenarios import OFFLINE, PAIRED, SPECS

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from monitor.load.plan import Plan
    from monitor.load.sketch import Sketch
    from monitor.load.totals import FinishedTest

MAX_NAMES: Final = 12
"""Reasons or verdicts that one line lists."""

LATENCIES: Final = {
    "connectTime": "Connect",
    "handshake": "Handshake",
    "messages": "Round trip",
    "recovery": "Recovery",
    "wireRequest": "Wire, request",
    "wireResponse": "Wire, response",
}
"""The names of the latencies that a test measures."""

QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}


class Grade(StrEnum):
    """How the relay's team reads a share."""

    GOOD = "good"
    FAIR = "fair"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line: a name and what there is to say; `share` is the part of it that `grade` judges."""

    name: str
    text: str
    share: str = ""
    grade: Grade | None = None


def heading(plan: Plan, finished: FinishedTest) -> str:
    """Return what was tested: scenario, target, how many, how long."""
    totals = finished.totals
    started = totals.attempted + totals.unfinished
    return f"{plan.scenario.value} at {plan.target}: {started} {_noun(plan)} in {totals.seconds:.1f} s"


def facts(plan: Plan, finished: FinishedTest) -> Iterator[Fact]:
    """Yield what was counted, latencies excepted."""
    totals = finished.totals
    connected = f"{totals.successful} of {totals.attempted} connected"
    yield _graded(plan, finished, Aim.SUCCESS, _noun(plan).capitalize(), connected)
    if not plan.is_paired:
        yield Fact(
            name="Connects",
            text=f"immediate {totals.immediate}, recovered {totals.recovered}, failed {totals.failed}; "
            f"{totals.retries} retries",
        )
    yield from _exchanges(plan, finished)
    if plan.is_steady and not plan.is_paired:
        hold = totals.hold
        yield Fact(
            name="Hold",
            text=f"{hold.seconds:.0f} s: disconnected at the end {hold.current}, at most {hold.peak}; "
            f"{hold.reconnects} reconnects",
        )
    if plan.is_steady:
        seconds = f"connected {totals.connected_seconds:.1f} of {totals.due_seconds:.1f} s due"
        yield _graded(plan, finished, Aim.STABILITY, "Stability", f"{seconds}, summed over all {_noun(plan)}")
    yield from _listed("Failures", totals.reasons)
    yield from _listed("Verdicts", totals.verdicts)
    if totals.aborted:
        doing = "pairing" if plan.is_paired else "connecting"
        unfinished = f"; {totals.unfinished} were still {doing}" if totals.unfinished else ""
        yield Fact(name="Aborted", text=f"{totals.aborted} aborted by this program, in no rate{unfinished}")


def _exchanges(plan: Plan, finished: FinishedTest) -> Iterator[Fact]:
    totals = finished.totals
    if plan.scenario in OFFLINE:
        received = f"{totals.recoveries_received} of {totals.recoveries_attempted} messages"
        yield _graded(plan, finished, Aim.RECOVERY, "Recovery", received)
    elif plan.scenario in PAIRED:
        delivered = f"{totals.received} of {totals.sent} delivered"
        yield _graded(plan, finished, Aim.DELIVERY, "Exchanges", delivered)
    if plan.is_steady and plan.is_paired:
        yield Fact(name="Drops", text=f"{totals.disconnects} pairs dropped, {totals.reconnects} reconnects")
        if (trend := totals.trend) is not None:
            first, last = (value * 1e3 for value in trend)
            factor = f" ({last / first:.2f}×)" if first else ""
            yield Fact(name="Trend", text=f"P99 of the first window {first:.1f} ms, of the last {last:.1f} ms{factor}")


def _noun(plan: Plan) -> str:
    return "pairs" if plan.is_paired else "connections"


def _listed(name: str, counter: Counter[str]) -> Iterator[Fact]:
    if counter:
        yield Fact(name=name, text=", ".join(f"{key} {count}" for key, count in counter.most_common(MAX_NAMES)))


def _graded(plan: Plan, finished: FinishedTest, aim: Aim, name: str, text: str) -> Fact:
    value = measured(plan.scenario, finished.totals, aim)
    if value is None:
        return Fact(name=name, text=text, share="none")
    good, fair = COLOURS[aim]
    grade = Grade.GOOD if value >= good else Grade.FAIR if value >= fair else Grade.BAD
    return Fact(name=name, text=text, share=f"{value * 100:.2f} %", grade=grade)


def latencies(finished: FinishedTest) -> list[tuple[str, ...]]:
    """Return a row for each latency that was measured: name, count, and figures in milliseconds."""
    sketches = finished.totals.sketches
    return [(LATENCIES[name], *_row(sketches[name])) for name in LATENCIES if sketches[name].counts]


def _row(sketch: Sketch) -> tuple[str, ...]:
    values = [sketch.minimum, *(sketch.quantile(share) for share in QUANTILES.values()), sketch.maximum]
    return f"{sketch.count}", *(f"{value * 1e3:.1f}" for value in values)


def shown(item: Judged) -> tuple[str, str]:
    """Return the value measured and the objective, in the unit of the aim."""
    objective, value = item.objective, item.value
    match objective.aim:
        case Aim.ROUND_TRIP:
            return _value(value, 1e3, ".1f", " ms"), f"at most {objective.limit * 1e3:g} ms"
        case Aim.TREND:
            return _value(value, 1, ".2f", "×"), f"at most {objective.limit:g}×"
        case Aim.WITHIN:
            limit = f"at least {objective.limit * 100:g} % within {objective.threshold * 1e3:g} ms"
            return _value(value, 100, ".3f", " %"), limit
    return _value(value, 100, ".3f", " %"), f"at least {objective.limit * 100:g} %"


def _value(value: float | None, scale: float, digits: str, unit: str) -> str:
    return "none" if value is None else f"{value * scale:{digits}}{unit}"


def obstacles(plan: Plan, finished: FinishedTest) -> Iterator[str]:
    """Yield why a test fails besides its objectives."""
    totals = finished.totals
    if not (totals.good if plan.is_paired else totals.successful):
        yield f"no {'exchange' if plan.is_paired else 'connection'} succeeded"
    if aborted_too_much(finished):
        yield f"this program aborted {totals.aborted}: too many to judge the relay"
    if missing := finished.missing_workers:
        workers = f"worker{'s' if len(missing) > 1 else ''} {', '.join(map(str, missing))}"
        yield f"no result of {workers}: missing in the figures above"


def parameters(plan: Plan) -> list[tuple[str, str]]:
    """Return the flags of the test that its scenario has, and their values."""
    values = {
        "connections": f"{plan.connections}",
        "connection_pairs": f"{plan.connection_pairs}",
        "duration": f"{plan.duration:g} s",
        "messages_per_session": f"{plan.messages_per_session}",
        "delay": f"{plan.delay:g} s",
        "message_interval": f"{plan.message_interval:g} s",
        "crypto": plan.crypto,
    }
    rows = [("--scenario", plan.scenario.value), ("--target", plan.target)]
    rows += [(_flag(name), value) for name, value in values.items() if name in (SPECS[plan.scenario].load_flags or ())]
    rows += [("--ramp-up", f"{plan.ramp_up:g} s"), ("--timeout", f"{plan.timeout:g} s")]
    if plan.seed is not None:
        rows.append(("--seed", f"{plan.seed}"))
    return rows


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
