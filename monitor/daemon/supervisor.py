"""Who is on duty: each probe at each of its relays, standing ones as tasks and bounded ones in the schedule."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from monitor.config import Continuous
from monitor.probes.registry import PROBES, continuous_probe
from monitor.probes.runner import execute, wait_for_admission

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from monitor.config import ProbeConfig, ProbeKey
    from monitor.relays import MonitoredRelays
    from monitor.schedule import Schedule

LEAVE: Final = 1.0
"""Seconds a probe that was told to stop has for its last words."""


class ProbeSupervisor:
    """Starts and stops probes. `count` is told relay, probe and what became of each slot of a standing one."""

    def __init__(
        self, monitored_relays: MonitoredRelays, schedule: Schedule, count: Callable[[str, str, str], None]
    ) -> None:
        self._fleet = monitored_relays
        self._schedule = schedule
        self._count = count
        self._standing: dict[ProbeKey, asyncio.Task[None]] = {}

    def start(self, relay: str, probe: ProbeConfig) -> None:
        """Put a probe on duty at a relay of the fleet."""
        if isinstance(probe.schedule, Continuous):
            context = self._fleet.context(relay, probe, lambda result: self._count(relay, probe.name, result))
            persistent = continuous_probe(probe.scenario)
            self._standing[relay, probe.name] = asyncio.ensure_future(
                persistent.serve(context, self._fleet.relays[relay].verdict.pairs)
            )
            return
        context = self._fleet.context(relay, probe)
        played = PROBES[probe.scenario]()

        async def run(slot: datetime) -> None:
            del slot
            await wait_for_admission(context)
            await execute(played, context)

        self._schedule.add(relay=relay, probe=probe.name, schedule=probe.schedule, run=run)

    async def stop(self, places: Iterable[ProbeKey]) -> None:
        """Take probes off duty; what they were at is aborted, and published as that before this returns."""
        ending = set()
        for place in places:
            if (task := self._standing.pop(place, None)) is None:
                task = self._schedule.remove(*place)
            if task is not None:
                task.cancel()
                ending.add(task)
        if ending:
            await asyncio.wait(ending, timeout=LEAVE)

    async def stop_all(self, grace: float) -> None:
        """End everything: bounded runs get `grace` seconds to finish, then they are aborted."""
        for task in self._standing.values():
            task.cancel()
        await self._schedule.stop(grace)
        if self._standing:
            await asyncio.wait(self._standing.values(), timeout=LEAVE)
