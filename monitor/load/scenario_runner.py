"""One worker's part of a load test, from its first start to its last disconnect."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import structlog

from monitor.config import Config
from monitor.load.bare_connection import Hold, connection_storm, steady_state
from monitor.load.pacing import Door, paced
from monitor.load.plan import RELAY
from monitor.load.scenarios import LoadContext, async_delivery, realistic_session, steady_messaging
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

_RUNNERS = {
    Scenario.REALISTIC_SESSION: realistic_session,
    Scenario.ASYNC_DELIVERY: async_delivery,
    Scenario.STEADY_MESSAGING: steady_messaging,
    Scenario.CONNECTION_STORM: connection_storm,
}


def config_of(plan: Plan, slos: tuple[SloConfig, ...] = ()) -> Config:
    """The configuration of a monitor that has this load test for its only probe."""
    return Config(relays=(plan.relay(),), probes=(plan.probe(),), slos=slos)


class ScenarioRunner:
    """One worker's part of a test, while it runs: `tally` is what it has come to by now.

    `publish` also gets every run and report, as the daemon's metrics do.
    """

    def __init__(self, plan: Plan, clock: Clock, publish: Callable[[Run | Report], None] = lambda _: None) -> None:
        self.plan = plan
        self.tally = LoadStatistics(plan.scenario, clock)
        self.interrupted = False
        self._clock = clock
        self._publish = publish
        index, _ = plan.worker
        # Chance spreads back-offs and picks turns; a worker's own, so that no two make the same choices.
        chance = random.Random() if plan.seed is None else random.Random(f"{plan.seed}/{index}")  # noqa: S311
        # Each stands for a user of their own, who knows nothing of what the relay asked another to do.
        self._fleet = MonitoredRelays(config_of(plan), clock, self._take, rng=chance, share_retry_after=False)

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Play until all is done, or until `stop` is set. Raises `StartupError`."""
        await self._fleet.start(lambda _name, _up: None)
        stop = stop or asyncio.Event()
        try:
            freeze_gc()
            self.tally.began = self._clock.monotonic()
            playing = asyncio.ensure_future(self._play())
            stopping = asyncio.ensure_future(stop.wait())
            try:
                await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
                self.interrupted = stop.is_set()
                if not playing.done():
                    playing.cancel()
                with suppress(asyncio.CancelledError):
                    await playing
            finally:
                stopping.cancel()
                playing.cancel()
                self.tally.totals.seconds = self._clock.monotonic() - self.tally.began
            if not self.interrupted:
                await self._settle(stop)
        finally:
            await self._fleet.stop()

    async def _play(self) -> None:
        plan, clock = self.plan, self._clock
        context = self._fleet.context(RELAY, self._fleet.config.probes[0])
        scene = LoadContext(
            plan=plan,
            context=context,
            tally=self.tally,
            clock=clock,
            door=Door(plan, clock),
            presence=UptimeMeter(context, clock),
            began=self.tally.began,
        )
        present = asyncio.ensure_future(scene.presence.run())
        try:
            await self._play_all(scene)
        finally:
            present.cancel()

    async def _play_all(self, scene: LoadContext) -> None:
        plan, clock = self.plan, self._clock
        one: Callable[[int], Awaitable[None]]
        if plan.scenario is Scenario.STEADY_STATE:
            hold = Hold(scene)
            holding = asyncio.ensure_future(hold.run())
            one = partial(steady_state, scene, hold=hold)
            try:
                await paced(plan, clock, scene.began, partial(self._guarded, one))
            finally:
                holding.cancel()
                with suppress(asyncio.CancelledError):
                    await holding
            return
        one = partial(_RUNNERS[plan.scenario], scene)
        await paced(plan, clock, scene.began, partial(self._guarded, one))

    async def _guarded(self, one: Callable[[int], Awaitable[None]], number: int) -> None:
        """A fault in this program is nobody's failure but ours, and must not vanish."""
        try:
            await one(number)
        except Exception:  # noqa: BLE001 - logged, and named as what it is; what it took is counted where it was
            _log.exception("given up: a fault in this program", number=number)
            self.tally.totals.reasons[f"close/{Reason.INTERNAL.value}"] += 1

    async def _settle(self, stop: asyncio.Event) -> None:
        """Give messages that have not come yet their time, so that late ones are not taken for lost."""
        if not self._fleet.background:
            return

        async def linger() -> None:
            while self._fleet.background:  # who has looked once more for a message may linger for it then
                await asyncio.wait(self._fleet.background)

        stopping = asyncio.ensure_future(stop.wait())
        lingering = asyncio.ensure_future(linger())
        try:
            await asyncio.wait(
                {stopping, lingering}, timeout=self.plan.settle_timeout, return_when=asyncio.FIRST_COMPLETED
            )
            self.interrupted = stop.is_set()
        finally:
            stopping.cancel()
            lingering.cancel()

    def _take(self, report: Run | Report, _: ProbeContext) -> None:
        self.tally.take(report)
        self._publish(report)
