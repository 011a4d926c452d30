"""Starts and stops the probes: continuous ones as tasks, bounded ones as jobs of the schedule."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from monitor.config import Continuous
from monitor.errors import MisuseError
from monitor.probes.registry import PROBES, continuous_probe
from monitor.probes.runner import run_slot
from monitor.schedule.spread import start_delay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from monitor.config import ProbeConfig, ProbeKey
    from monitor.relays import MonitoredRelays
    from monitor.schedule import Schedule
    from monitor.supervision import Supervision

STOP_TIMEOUT: Final = 1.0
"""Seconds that a cancelled probe has to publish its last reports."""


class ProbeSupervisor:
    """Starts and stops probes. `count` is called with relay, probe and result for each slot of a continuous probe."""

    def __init__(
        self,
        monitored_relays: MonitoredRelays,
        schedule: Schedule,
        count: Callable[[str, str, str], None],
        supervision: Supervision,
    ) -> None:
        self._monitored_relays = monitored_relays
        self._schedule = schedule
        self._count = count
        self._supervision = supervision
        self._stopped = False
        self._continuous: dict[ProbeKey, asyncio.Task[None]] = {}

    async def start_all(self, probes: Iterable[tuple[str, ProbeConfig]]) -> None:
        """Start probes at monitored relays, in slices, so that the event loop is never blocked for long.

        The probes of the second and each further relay begin a little later than those of the one before.
        """
        probes = list(probes)
        relays = {relay: index for index, relay in enumerate(dict.fromkeys(relay for relay, _ in probes))}
        for relay, probe in probes:
            self.start(relay, probe, delay=start_delay(relays[relay], len(relays), relay))
            await asyncio.sleep(0)

    def start(self, relay: str, probe: ProbeConfig, *, delay: float = 0.0) -> None:
        """Start a probe at a monitored relay after `delay` seconds.

        Raises `MisuseError` after `stop_all`.
        """
        if self._stopped:
            raise MisuseError("a probe cannot start once all are stopped")
        if isinstance(probe.schedule, Continuous):
            context = self._monitored_relays.context(
                relay, probe, lambda result: self._count(relay, probe.name, result)
            )
            continuous = continuous_probe(probe.scenario)
            pairs = self._monitored_relays.relays[relay].verdict.pairs
            starts_at = asyncio.get_running_loop().time() + delay

            async def serve() -> None:
                await asyncio.sleep(max(0.0, starts_at - asyncio.get_running_loop().time()))
                await continuous.serve(context, pairs)

            self._continuous[relay, probe.name] = self._supervision.watch("probe", serve, relay=relay)
            return
        context = self._monitored_relays.context(relay, probe)
        runner = PROBES[probe.scenario]()

        async def run(slot: datetime) -> None:
            del slot
            await run_slot(runner, context)

        def on_skipped() -> None:
            context.publish_skipped(context.clock.monotonic())

        self._schedule.add(
            relay=relay, probe=probe.name, schedule=probe.schedule, run=run, on_skipped=on_skipped, delay=delay
        )

    async def stop(self, keys: Iterable[ProbeKey]) -> None:
        """Stop probes. Their running runs are aborted and published before this returns."""
        ending = set()
        for key in keys:
            if (task := self._continuous.pop(key, None)) is None:
                task = self._schedule.remove(*key)
            if task is not None:
                task.cancel()
                ending.add(task)
        if ending:
            await asyncio.wait(ending, timeout=STOP_TIMEOUT)

    async def stop_all(self, timeout: float) -> None:
        """Stop all probes. Bounded runs have `timeout` seconds to finish before they are aborted."""
        self._stopped = True
        for task in self._continuous.values():
            task.cancel()
        await self._schedule.stop(timeout)
        if self._continuous:
            await asyncio.wait(self._continuous.values(), timeout=STOP_TIMEOUT)
