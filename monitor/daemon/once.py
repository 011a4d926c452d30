"""Run each configured probe once, in parallel, and format the timelines: `relay-monitor once`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from monitor.clock import SYSTEM_CLOCK
from monitor.daemon.pipeline import log_run
from monitor.probes.registry import PROBES
from monitor.probes.runner import execute, wait_for_admission
from monitor.relays import MonitoredRelays
from monitor.results import Run
from monitor.scenarios import SPECS
from monitor.vocabulary import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitor.config import Config, ProbeConfig
    from monitor.pairs.context import ProbeContext
    from monitor.probes.runner import Probe
    from monitor.results import Report


async def run_once(config: Config, publish: Callable[[Run | Report], None]) -> list[Run]:
    """Run each probe once at each of its relays and return the runs, in the order of the configuration.

    Raises `StartupError` if an embedded relay cannot start.
    """

    def publish_report(report: Run | Report, _: ProbeContext) -> None:
        if isinstance(report, Run):
            log_run(report)
        publish(report)

    monitored_relays = MonitoredRelays(config, SYSTEM_CLOCK, publish_report)
    await monitored_relays.start(lambda _: None)
    try:
        runs = [
            _run(PROBES[probe.scenario](), monitored_relays.context(relay, single_run_of(probe)))
            for probe in config.probes
            for relay in probe.relays
        ]
        return list(await asyncio.gather(*runs))
    finally:
        await monitored_relays.stop()


async def _run(probe: Probe, context: ProbeContext) -> Run:
    await wait_for_admission(context)
    return await execute(probe, context)


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
        yield f"    step {run.failure.step}, reason {run.failure.reason}: {run.failure.detail}"
    yield f"    {'start ms':>10} {'duration':>9}  side    step"
    for mark in sorted(run.timeline, key=lambda mark: (mark.started, mark.ended)):
        took = (mark.ended - mark.started) * 1000
        note = f"  {mark.note}" if mark.note else ""
        yield f"    {mark.started * 1000:10.1f} {took:9.1f}  {mark.side:<7} {mark.step}{note}"
    if run.pairing is not None and run.pairing.seconds is not None:
        yield f"    pairing {run.pairing.seconds * 1000:.1f} ms"
    for exchange in run.exchanges:
        if exchange.round_trip is not None:
            yield f"    round trip {exchange.round_trip * 1000:.1f} ms"
        if exchange.recovery is not None:
            yield f"    recovery {exchange.recovery * 1000:.1f} ms"
