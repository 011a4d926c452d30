"""A monitor in virtual time: probes, verdicts, pipeline and metrics of the daemon, without web server and threads."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from monitor.clock import LoopClock
from monitor.daemon.incidents import IncidentRecorder
from monitor.daemon.pipeline import ResultPipeline
from monitor.daemon.supervisor import ProbeSupervisor
from monitor.health import SelfCheck
from monitor.journal import Journal
from monitor.metrics import Metrics
from monitor.relays import MonitoredRelays
from monitor.results import RelayStatus, Run
from monitor.schedule import Maintenance, OnDemandWindows, Schedule
from monitor.supervision import Supervision
from monitor.vocabulary import Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from monitor.config import Config
    from monitor.reachability.verdict import RelayVerdict
    from monitor.results import Report


class KeptMetrics(Metrics):
    """Metrics that keep what they count: `kept` has the time and the report."""

    kept: list[tuple[float, Run | Report]]
    now: LoopClock

    def publish(self, report: Run | Report) -> None:
        self.kept.append((self.now.monotonic(), report))
        super().publish(report)


class VirtualMonitor:
    """The parts of the daemon that decide what is counted. Its self-checks find no fault but by `mark_unhealthy`.

    `before` is the monitor that ran before this one, whose journal and conditions it finds.
    """

    def __init__(self, config: Config, *, seed: int = 0, before: VirtualMonitor | None = None) -> None:
        self.config = config
        self.clock = LoopClock()
        self.metrics = KeptMetrics(config, version="0", clock=self.clock)
        self.metrics.kept, self.metrics.now = [], self.clock
        self.windows = OnDemandWindows(self.clock)
        self.maintenance = Maintenance(config.maintenance, self.clock, self.windows)
        self.health = SelfCheck(self.clock, on_lag=lambda _: None, on_change=self._on_health_change)
        self.journal: Journal = Journal(None) if before is None else before.journal
        self._known = {} if before is None else before.last_statuses()
        self.incidents = IncidentRecorder(
            self.journal, self.metrics, self.clock, install=config.install, location=config.location
        )
        self.statuses: list[tuple[float, RelayStatus]] = []
        self.pipeline = ResultPipeline(
            clock=self.clock,
            metrics=self.metrics,
            journal=self.journal,
            maintenance=lambda: self.maintenance,
            health=self.health,
            verdict_of=self.verdict,
            on_recorded=self.incidents.recorded,
        )
        self.relays = MonitoredRelays(
            config, self.clock, self.pipeline.process, rng=random.Random(seed), on_resolved=self.pipeline.release
        )
        self.schedule = Schedule(clock=self.clock, on_result=self.metrics.count_run, seed=config.location)
        self.supervisor = ProbeSupervisor(self.relays, self.schedule, self.metrics.count_run, Supervision())

    def verdict(self, relay: str) -> RelayVerdict | None:
        monitored = self.relays.relays.get(relay)
        return monitored.verdict if monitored is not None else None

    @property
    def up(self) -> bool | None:
        """Whether the first relay is up."""
        return self.relays.relays[self.config.relays[0].name].verdict.up

    def runs(self, outcomes: Iterable[Outcome] = Outcome) -> list[tuple[float, Run]]:
        """Return the counted runs of these outcomes, with when they were counted."""
        wanted = set(outcomes)
        return [(at, item) for at, item in self.metrics.kept if isinstance(item, Run) and item.outcome in wanted]

    def slo(self, name: str, outcome: str) -> float:
        """Return the number of events of an SLO."""
        self.metrics.flush()
        return sum(
            sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == "relay_slo_events_total"
            and (sample.labels["slo"], sample.labels["outcome"]) == (name, outcome)
        )

    async def start(self) -> None:
        self.incidents.restore(self.incidents.left_by_predecessor()(), [relay.name for relay in self.config.relays])
        await self.relays.start(self._on_status, on_attempt=self._on_attempt, known=self._known)
        await self.supervisor.start_all((relay, probe) for probe in self.config.probes for relay in probe.relays)
        await self.schedule.start()
        self._reviewing = asyncio.ensure_future(self._review())

    async def stop(self) -> None:
        self._reviewing.cancel()
        for task in list(self.schedule._tasks):
            task.cancel()
        await self.supervisor.stop_all(0.1)
        await self.relays.stop()
        self.pipeline.close()
        self.incidents.close()

    def last_statuses(self) -> dict[str, RelayStatus]:
        """Return the last condition of each relay."""
        return {status.relay: status for _, status in self.statuses}

    async def until_up(self, *, up: bool = True, seconds: float = 120.0) -> None:
        async with asyncio.timeout(seconds):
            while self.up is not up:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.5)

    async def _review(self) -> None:
        with suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(1)
                self.pipeline.review()
                for relay in self.relays.relays:
                    self.incidents.tick(relay, self.maintenance)
                self.incidents.save()

    def _on_status(self, status: RelayStatus) -> None:
        self.statuses.append((self.clock.monotonic(), status))
        self.incidents.status(status, self.maintenance)

    def _on_attempt(self, run: Run) -> None:
        self.journal.add(run)
        self.incidents.attempt(run)

    def _on_health_change(self, healthy: bool) -> None:
        self.relays.set_healthy(healthy=healthy)


@asynccontextmanager
async def virtual_monitor(
    config: Config, *, seed: int = 0, before: VirtualMonitor | None = None
) -> AsyncIterator[VirtualMonitor]:
    made = VirtualMonitor(config, seed=seed, before=before)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
