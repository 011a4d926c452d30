"""One worker's part of a load test, from its first start to its last disconnect."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import structlog

from monitor.config import Config
from monitor.load.bare_connection import HoldPhase, connection_storm, steady_state
from monitor.load.load_context import LoadContext
from monitor.load.pacing import disconnect_pacer, run_paced
from monitor.load.pair_scenarios import async_delivery, realistic_session, steady_messaging
from monitor.load.plan import RELAY
from monitor.load.statistics import LoadStatistics
from monitor.pairs.uptime import UptimeMeter
from monitor.relays import MonitoredRelays, freeze_gc
from monitor.scenarios import Scenario
from monitor.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from monitor.clock import Clock
    from monitor.config import SloConfig
    from monitor.load.plan import Plan
    from monitor.pairs.context import ProbeContext
    from monitor.results import Report, Run

_log = structlog.get_logger(__name__)

_FUNCTIONS = {
    Scenario.REALISTIC_SESSION: realistic_session,
    Scenario.ASYNC_DELIVERY: async_delivery,
    Scenario.STEADY_MESSAGING: steady_messaging,
    Scenario.CONNECTION_STORM: connection_storm,
}


def config_of(plan: Plan, slos: tuple[SloConfig, ...] = ()) -> Config:
    """Return the configuration of a monitor whose only probe is this load test."""
    return Config(relays=(plan.relay(),), probes=(plan.probe(),), slos=slos)


class ScenarioRunner:
    """One worker's part of a test. `statistics` has its results so far, also while it runs.

    `publish` also gets every run and report, as the daemon's metrics do.
    """

    def __init__(self, plan: Plan, clock: Clock, publish: Callable[[Run | Report], None] = lambda _: None) -> None:
        self.plan = plan
        self.statistics = LoadStatistics(plan.scenario, clock)
        self.interrupted = False
        self._clock = clock
        self._publish = publish
        index, _ = plan.worker
        # For back-offs and the choice of endpoints. Each worker has its own, so that no two make the same choices.
        rng = random.Random() if plan.seed is None else random.Random(f"{plan.seed}/{index}")  # noqa: S311
        # Each pair stands for a user of its own, who does not know the Retry-After that another one got.
        self._relays = MonitoredRelays(config_of(plan), clock, self._on_report, rng=rng, share_retry_after=False)

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Run the scenario until all pairs or connections are done, or `stop` is set. Raises `StartupError`."""
        await self._relays.start(lambda _: None)
        stop = stop or asyncio.Event()
        try:
            freeze_gc()
            self.statistics.began = self._clock.monotonic()
            running = asyncio.ensure_future(self._run_scenario())
            stopping = asyncio.ensure_future(stop.wait())
            try:
                await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
                self.interrupted = stop.is_set()
                if not running.done():
                    running.cancel()
                with suppress(asyncio.CancelledError):
                    await running
            finally:
                stopping.cancel()
                running.cancel()
                self.statistics.totals.seconds = self._clock.monotonic() - self.statistics.began
            if not self.interrupted:
                await self._await_verdicts(stop)
        finally:
            await self._relays.stop()

    async def _run_scenario(self) -> None:
        plan, clock = self.plan, self._clock
        context = self._relays.context(RELAY, self._relays.config.probes[0])
        load = LoadContext(
            plan=plan,
            probe_context=context,
            statistics=self.statistics,
            clock=clock,
            disconnect_pacer=disconnect_pacer(plan, clock),
            uptime=UptimeMeter(context),
            began=self.statistics.began,
        )
        metering = asyncio.ensure_future(load.uptime.run())
        try:
            await self._run_all(load)
        finally:
            metering.cancel()

    async def _run_all(self, load: LoadContext) -> None:
        plan, clock = self.plan, self._clock
        run_one: Callable[[int], Awaitable[None]]
        if plan.scenario is Scenario.STEADY_STATE:
            hold = HoldPhase(load)
            hold_task = asyncio.ensure_future(hold.run())
            run_one = partial(steady_state, load, hold=hold)
            try:
                await run_paced(plan, clock, load.began, partial(self._guarded, run_one))
            finally:
                hold_task.cancel()
                with suppress(asyncio.CancelledError):
                    await hold_task
            return
        run_one = partial(_FUNCTIONS[plan.scenario], load)
        await run_paced(plan, clock, load.began, partial(self._guarded, run_one))

    async def _guarded(self, run_one: Callable[[int], Awaitable[None]], number: int) -> None:
        """Run one pair or connection; log and count an exception, which is a fault of this program."""
        try:
            await run_one(number)
        except Exception:  # noqa: BLE001 - logged, and counted under a reason of its own
            _log.exception("aborted: internal error", number=number)
            self.statistics.totals.reasons[f"close/{Reason.INTERNAL.value}"] += 1

    async def _await_verdicts(self, stop: asyncio.Event) -> None:
        """Wait for messages that are still under way, so that late ones do not count as lost."""
        if not self._relays.background:
            return

        async def wait_for_background() -> None:
            while self._relays.background:  # a background task may start another one
                await asyncio.wait(self._relays.background)

        stopping = asyncio.ensure_future(stop.wait())
        waiting = asyncio.ensure_future(wait_for_background())
        try:
            await asyncio.wait(
                {stopping, waiting}, timeout=self.plan.verdict_timeout, return_when=asyncio.FIRST_COMPLETED
            )
            self.interrupted = stop.is_set()
        finally:
            stopping.cancel()
            waiting.cancel()

    def _on_report(self, report: Run | Report, _: ProbeContext) -> None:
        self.statistics.record(report)
        self._publish(report)
