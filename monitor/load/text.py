"""The summary of a result as text, in the relay team's colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.load.verdict import COLOURS, Aim, Judged, aborted_too_much, measured, passed
from monitor.scenarios import OFFLINE, PAIRED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.load.plan import Plan
    from monitor.load.sketch import Sketch
    from monitor.load.totals import FinishedTest

GREEN, YELLOW, RED, PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"
RULE: Final = "─" * 72


class Summary:
    """The summary of a test; with `colour` for a terminal."""

    def __init__(self, plan: Plan, finished: FinishedTest, judged: Sequence[Judged], *, colour: bool = False) -> None:
        self._plan, self._finished, self._totals, self._judged = plan, finished, finished.totals, judged
        self._colour = colour

    def lines(self) -> Iterator[str]:
        """Return the lines, from the number of connections to the verdict."""
        plan, totals = self._plan, self._totals
        noun = "pairs" if plan.is_paired else "connections"
        started = totals.attempted + totals.unfinished
        yield RULE
        yield f"{plan.scenario.value} at {plan.target}: {started} {noun} in {totals.seconds:.1f} s"
        yield RULE
        success = self._tinted(Aim.SUCCESS)
        yield f"{noun.capitalize():<14}{totals.successful} of {totals.attempted} connected  {success}"
        if not plan.is_paired:
            yield (
                f"{'':<14}immediate {totals.immediate}, recovered {totals.recovered}, failed {totals.failed}; "
                f"{totals.retries} retries"
            )
        yield from self._latency("Connect", "connectTime")
        yield from self._latency("Handshake", "handshake")
        yield from self._exchanges()
        if plan.is_steady and not plan.is_paired:
            hold = totals.hold
            yield (
                f"{'Hold':<14}{hold.seconds:.0f} s: disconnected at the end {hold.current}, at most {hold.peak}; "
                f"{hold.reconnects} reconnects"
            )
            yield from self._stability()
        for title, counter in (("Failures", totals.reasons), ("Verdicts", totals.verdicts)):
            if counter:
                yield f"{title:<14}" + ", ".join(f"{name} {count}" for name, count in counter.most_common(12))
        if totals.aborted:
            doing = "pairing" if plan.is_paired else "connecting"
            unfinished = f"; {totals.unfinished} were still {doing}" if totals.unfinished else ""
            yield f"{'Aborted':<14}{totals.aborted} aborted by this program, in no rate{unfinished}"
        yield RULE
        yield from self._verdict()

    def _exchanges(self) -> Iterator[str]:
        totals, scenario = self._totals, self._plan.scenario
        if scenario in OFFLINE:
            received = f"{totals.recoveries_received} of {totals.recoveries_attempted} messages"
            yield f"{'Recovery':<14}{received}  {self._tinted(Aim.RECOVERY)}"
            yield from self._latency("", "recovery")
        elif scenario in PAIRED:
            yield f"{'Exchanges':<14}{totals.received} of {totals.sent} delivered  {self._tinted(Aim.DELIVERY)}"
            yield from self._latency("Round trip", "messages")
            yield from self._latency("Wire", "wireRequest")
        if self._plan.is_steady and self._plan.is_paired:
            yield f"{'Drops':<14}{totals.disconnects} pairs dropped, {totals.reconnects} reconnects"
            yield from self._stability()
            if (trend := totals.trend) is not None:
                first, last = (value * 1e3 for value in trend)
                factor = f" ({last / first:.2f}×)" if first else ""
                yield f"{'Trend':<14}P99 of the first window {first:.1f} ms, of the last {last:.1f} ms{factor}"

    def _stability(self) -> Iterator[str]:
        totals = self._totals
        connected = f"connected {totals.connected_seconds:.1f} of {totals.due_seconds:.1f} s due"
        noun = "pairs" if self._plan.is_paired else "connections"
        yield f"{'Stability':<14}{self._tinted(Aim.STABILITY)}  {connected}, summed over all {noun}"

    def _latency(self, title: str, name: str) -> Iterator[str]:
        sketch = self._totals.sketches[name]
        if sketch.counts:
            yield f"{title:<14}{figures(sketch)}"

    def _tinted(self, aim: Aim) -> str:
        value = measured(self._plan.scenario, self._totals, aim)
        if value is None:
            return "none"
        green, yellow = COLOURS[aim]
        return self._tint(f"{value:.2%}", GREEN if value >= green else YELLOW if value >= yellow else RED)

    def _tint(self, text: str, colour: str) -> str:
        return f"{colour}{text}{PLAIN}" if self._colour else text

    def _verdict(self) -> Iterator[str]:
        for item in self._judged:
            word = self._tint("PASS", GREEN) if item.passed else self._tint("FAIL", RED)
            yield f"{word}  {item.objective.name}: {show(item)}"
        good = passed(self._plan.scenario, self._finished, self._judged)
        succeeded = self._totals.good if self._plan.is_paired else self._totals.successful
        if not succeeded:
            noun = "exchange" if self._plan.is_paired else "connection"
            yield f"{self._tint('FAIL', RED)}  no {noun} succeeded"
        if aborted_too_much(self._finished):
            yield f"{self._tint('FAIL', RED)}  this program aborted {self._totals.aborted}: too many to judge the relay"
        if missing := self._finished.missing_workers:
            workers = f"worker{'s' if len(missing) > 1 else ''} {', '.join(map(str, missing))}"
            yield f"{self._tint('FAIL', RED)}  no result of {workers}: missing in the figures above"
        verdict = self._tint("PASS" if good else "FAIL", GREEN if good else RED)
        yield f"{verdict} (interrupted; only what was measured until then)" if self._finished.interrupted else verdict


def figures(sketch: Sketch) -> str:
    """Return the percentiles of a sketch in milliseconds."""
    parts = [
        f"{name} {sketch.quantile(share) * 1e3:.1f}" for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    ]
    return f"{', '.join(parts)}, max {sketch.maximum * 1e3:.1f} ms"


def show(item: Judged) -> str:
    """Return the measured value and the objective, in the unit of the aim."""
    objective, value = item.objective, item.value
    match objective.aim:
        case Aim.ROUND_TRIP:
            return f"{'none' if value is None else f'{value * 1e3:.1f} ms'}, at most {objective.limit * 1e3:g} ms"
        case Aim.TREND:
            return f"{'none' if value is None else f'{value:.2f}×'}, at most {objective.limit:g}×"
        case Aim.WITHIN:
            wanted = f"at least {objective.limit * 100:g} % within {objective.threshold * 1e3:g} ms"
            return f"{'none' if value is None else f'{value:.3%}'}, {wanted}"
    return f"{'none' if value is None else f'{value:.3%}'}, at least {objective.limit * 100:g} %"
