"""A result as lines for a person, in the colours that the relay's team reads by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.load.verdict import COLOURS, Aim, Judged, gave_up, measured, passed
from monitor.scenarios import OFFLINE, PAIRED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.load.load_runner import Ended
    from monitor.load.plan import Plan
    from monitor.load.sketch import Sketch

GREEN, YELLOW, RED, PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"
RULE: Final = "─" * 72


class Summary:
    """The lines of one result; `colour` for a terminal."""

    def __init__(self, plan: Plan, ended: Ended, judged: Sequence[Judged], *, colour: bool = False) -> None:
        self._plan, self._ended, self._totals, self._judged = plan, ended, ended.totals, judged
        self._colour = colour

    def lines(self) -> Iterator[str]:
        """The whole, from what was tried to the verdict."""
        plan, totals = self._plan, self._totals
        what = "pairs" if plan.is_paired else "connections"
        begun = totals.attempted + totals.unfinished
        yield RULE
        yield f"{plan.scenario.value} at {plan.target}: {begun} {what} in {totals.seconds:.1f} s"
        yield RULE
        success = self._tinted(Aim.SUCCESS)
        yield f"{what.capitalize():<14}{totals.successful} of {totals.attempted} connected  {success}"
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
                f"{'Hold':<14}{hold.seconds:.0f} s: away at the end {hold.current}, at worst {hold.peak}; "
                f"{hold.reconnects} reconnects"
            )
            yield from self._stability()
        for title, counter in (("Failures", totals.reasons), ("Verdicts", totals.verdicts)):
            if counter:
                yield f"{title:<14}" + ", ".join(f"{name} {count}" for name, count in counter.most_common(12))
        if totals.aborted:
            doing = "pairing" if plan.is_paired else "connecting"
            making = f"; {totals.unfinished} were still {doing}" if totals.unfinished else ""
            yield f"{'Aborted':<14}{totals.aborted} given up by this program, not held against the relay{making}"
        yield RULE
        yield from self._verdict()

    def _exchanges(self) -> Iterator[str]:
        totals, scenario = self._totals, self._plan.scenario
        if scenario in OFFLINE:
            yield f"{'Recovery':<14}{totals.brought} of {totals.awaited} messages  {self._tinted(Aim.RECOVERY)}"
            yield from self._latency("", "recovery")
        elif scenario in PAIRED:
            yield f"{'Exchanges':<14}{totals.received} of {totals.sent} delivered  {self._tinted(Aim.DELIVERY)}"
            yield from self._latency("Round trip", "messages")
            yield from self._latency("Wire", "wireRequest")
        if self._plan.is_steady and self._plan.is_paired:
            yield (f"{'Drops':<14}{totals.disconnects} pairs dropped, {totals.reconnects} times one was whole again")
            yield from self._stability()
            if (trend := totals.trend) is not None:
                first, last = (value * 1e3 for value in trend)
                factor = f" ({last / first:.2f}×)" if first else ""
                yield f"{'Trend':<14}P99 of the first snapshot {first:.1f} ms, of the last {last:.1f} ms{factor}"

    def _stability(self) -> Iterator[str]:
        totals = self._totals
        stood = f"connected {totals.connected_seconds:.1f} of the {totals.due_seconds:.1f} s that were due"
        what = "pairs" if self._plan.is_paired else "connections"
        yield f"{'Stability':<14}{self._tinted(Aim.STABILITY)}  {stood}, all {what} together"

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
        good = passed(self._plan.scenario, self._ended, self._judged)
        through = self._totals.good if self._plan.is_paired else self._totals.successful
        if not through:
            yield f"{self._tint('FAIL', RED)}  not a single {'exchange' if self._plan.is_paired else 'connection'}"
        if gave_up(self._ended):
            told = f"this program gave up {self._totals.aborted}: what they would have shown is not known"
            yield f"{self._tint('FAIL', RED)}  {told}"
        if missing := self._ended.missing:
            which = f"worker{'s' if len(missing) > 1 else ''} {', '.join(map(str, missing))}"
            yield f"{self._tint('FAIL', RED)}  no result of {which}: their part is in no figure above"
        verdict = self._tint("PASS" if good else "FAIL", GREEN if good else RED)
        yield f"{verdict}, of what was played until it was interrupted" if self._ended.interrupted else verdict


def figures(sketch: Sketch) -> str:
    """Percentiles of a sketch in milliseconds."""
    parts = [
        f"{name} {sketch.quantile(share) * 1e3:.1f}" for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    ]
    return f"{', '.join(parts)}, max {sketch.greatest * 1e3:.1f} ms"


def show(item: Judged) -> str:
    """What was measured and what was asked, in the aim's own unit."""
    objective, value = item.objective, item.value
    match objective.aim:
        case Aim.ROUND_TRIP:
            return f"{'none' if value is None else f'{value * 1e3:.1f} ms'}, at most {objective.limit * 1e3:g} ms"
        case Aim.TREND:
            return f"{'none' if value is None else f'{value:.2f}×'}, at most {objective.limit:g}×"
        case Aim.WITHIN:
            asked = f"at least {objective.limit * 100:g} % within {objective.threshold * 1e3:g} ms"
            return f"{'none' if value is None else f'{value:.3%}'}, {asked}"
    return f"{'none' if value is None else f'{value:.3%}'}, at least {objective.limit * 100:g} %"
