"""Run each configured probe once, in parallel, and format the timelines: `relay-monitor once`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from monitor.clock import SYSTEM_CLOCK
from monitor.daemon.pipeline import log_run
from monitor.errors import printable
from monitor.probes.registry import PROBES
from monitor.probes.runner import execute, wait_for_admission
from monitor.relays import MonitoredRelays
from monitor.results import Run
from monitor.scenarios import SPECS
from monitor.vocabulary import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from monitor.config import Config, ProbeConfig
    from monitor.pairs.context import ProbeContext, RunRecorder
    from monitor.probes.runner import Probe
    from monitor.results import Report


@dataclass(slots=True)
class RunProgress:
    """How far one run is: `recorder` once it has begun, `run` once it has ended."""

    relay: str
    probe: str
    recorder: RunRecorder | None = None
    run: Run | None = None

    def begin(self, recorder: RunRecorder) -> None:
        """Note the run's recorder."""
        self.recorder = recorder


async def run_once(
    config: Config,
    publish: Callable[[Run | Report], None],
    watch: Callable[[Sequence[RunProgress]], Coroutine[None, None, None]] | None = None,
) -> list[Run]:
    """Run each probe once at each of its relays and return the runs, in the order of the configuration.

    `watch` shows their progress until it is cancelled. Raises `StartupError` if an embedded relay cannot start.
    """

    def publish_report(report: Run | Report, _: ProbeContext) -> None:
        if isinstance(report, Run):
            log_run(report)
        publish(report)

    monitored_relays = MonitoredRelays(config, SYSTEM_CLOCK, publish_report)
    await monitored_relays.start(lambda _: None)
    progress, runs = [], []
    for probe in config.probes:
        for relay in probe.relays:
            each = RunProgress(relay, probe.name)
            context = replace(monitored_relays.context(relay, single_run_of(probe)), on_run=each.begin)
            progress.append(each)
            runs.append(_run(PROBES[probe.scenario](), context, each))
    watching = asyncio.ensure_future(watch(progress)) if watch is not None else None
    try:
        return list(await asyncio.gather(*runs))
    finally:
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await monitored_relays.stop()


async def _run(probe: Probe, context: ProbeContext, progress: RunProgress) -> Run:
    await wait_for_admission(context)
    progress.run = await execute(probe, context)
    return progress.run


def single_run_of(probe: ProbeConfig) -> ProbeConfig:
    """Return a probe reduced to one run: for a continuous one, one exchange of one pair, or one connection."""
    if not probe.is_continuous:
        return probe
    duration = None if SPECS[probe.scenario].paired else probe.timeout
    return probe.model_copy(update={"pairs": 1, "connections": 1, "ramp_up": 0.0, "duration": duration})


def timeline_lines(run: Run) -> Iterator[str]:
    """Yield the lines of a run: its outcome, then the steps with their times in milliseconds."""
    verdict = "ok" if run.outcome is Outcome.OK else run.outcome.value.upper()
    yield f"{verdict}  {run.probe} at {run.relay}  ({run.scenario}, {run.duration:.2f} s, run {run.id})"
    if run.failure is not None:
        yield f"    step {run.failure.step}, reason {run.failure.reason}: {printable(run.failure.detail)}"
    yield f"    {'start ms':>10} {'duration':>9}  side    step"
    for mark in sorted(run.timeline, key=lambda mark: (mark.started, mark.ended)):
        took = (mark.ended - mark.started) * 1000
        note = "  ".join(part for part in ("", "FAILED" if mark.failed else "", printable(mark.note)) if part)
        yield f"    {mark.started * 1000:10.1f} {took:9.1f}  {mark.side:<7} {mark.step}  {note}".rstrip()
    if run.pairing is not None and run.pairing.seconds is not None:
        yield f"    pairing {run.pairing.seconds * 1000:.1f} ms"
    for exchange in run.exchanges:
        if exchange.round_trip is not None:
            yield f"    round trip {exchange.round_trip * 1000:.1f} ms"
        if exchange.recovery is not None:
            yield f"    recovery {exchange.recovery * 1000:.1f} ms"
