"""The composition root: puts the parts together, starts them in order, and stops them in time."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any, Final

import structlog

import monitor
from monitor.booking import Booking
from monitor.clock import Clock, SystemClock, utc
from monitor.config import Continuous, Cron, Every, show_duration
from monitor.errors import ConfigError, Fault
from monitor.fleet import Fleet, Watched, settle_memory
from monitor.health import Health
from monitor.journal import Journal
from monitor.metrics import Metrics
from monitor.probes.registry import SCENARIOS, STANDING
from monitor.probes.runner import admission, execute
from monitor.schedule import Maintenance, Schedule, longest_gap
from monitor.web import Access, WebServer, WebState, build_app, read_terms

if TYPE_CHECKING:
    from datetime import datetime

    from monitor.config import Config, ProbeConfig
    from monitor.probes.reachability import Reachability

_log = structlog.get_logger(__name__)

STOP_GRACE: Final = 4.0
"""Seconds running probes get to finish when the monitor stops; with what follows, all of it is over within ten."""


class Monitor:
    """The daemon: schedules probes, keeps the standing ones going, and serves what they find."""

    def __init__(self, config: Config, *, shard: tuple[int, int] = (0, 1), clock: Clock | None = None) -> None:
        self.config = config
        self.clock = clock or SystemClock()
        self.metrics = Metrics(
            config, version=monitor.__version__, shard=f"{shard[0]}/{shard[1]}", longest_gap=longest_gap
        )
        self.journal = Journal(config.state_dir)
        self.maintenance = Maintenance(config.maintenance, self.clock)
        self.schedule = Schedule(clock=self.clock, on_result=self.metrics.count_run, seed=config.location)
        self.started_at = utc(self.clock)
        self.health = Health(
            self.clock,
            on_lag=self.metrics.observe_loop_lag,
            on_change=self._trust,
            references=config.references,
            crosses_elsewhere=self._crosses_elsewhere,
        )
        self.booking = Booking(
            metrics=self.metrics,
            journal=self.journal,
            maintenance=lambda: self.maintenance,
            health=self.health,
            reachability=self._reachability,
        )
        self.fleet = Fleet(
            config, self.clock, self.booking.take, ours=self.health.ours, on_settled=self.booking.settled
        )
        self._calendar: asyncio.Task[None] | None = None
        self._standing: list[asyncio.Task[None]] = []
        self._armed = False

    async def start(self) -> None:
        """Start everything. Raises `StartupError`."""
        self.metrics.set_healthy(True)
        self.metrics.set_reload(at=self.clock.time(), ok=True)
        await self.fleet.start(self.metrics.set_relay_up)
        for probe in self.config.probes:
            for relay in probe.relays:
                self._arm(relay, probe)
        await self.schedule.start()
        self.health.start()
        self._calendar = asyncio.ensure_future(self._show_maintenance())
        self._armed = True
        settle_memory()
        _log.info("monitor started", relays=len(self.config.relays), probes=len(self.config.probes))

    async def stop(self) -> None:
        """Stop within ten seconds: running probes get a moment to finish, then they are aborted and counted so."""
        self._armed = False
        for task in self._standing:
            task.cancel()
        if self._calendar is not None:
            self._calendar.cancel()
        await self.health.stop()
        await self.schedule.stop(STOP_GRACE)
        standing = [task for task in self._standing if not task.done()]
        if standing:
            await asyncio.wait(standing, timeout=1)
        await self.fleet.stop()
        self.journal.close()
        _log.info("monitor stopped")

    def web_state(self) -> WebState:
        """What the pages may know."""
        return WebState(status=self.status, journal=self.journal, metrics=self.metrics.render, ready=self.ready)

    def ready(self) -> str | None:
        """Why it is not ready, or None."""
        return None if self._armed else "the schedule is not armed yet"

    def status(self) -> dict[str, Any]:
        """What the on-call page shows of the monitor as a whole; JSON."""
        return {
            "version": monitor.__version__,
            "location": self.config.location,
            "startedAt": self.started_at.isoformat(),
            "healthy": self.health.healthy,
            "distrust": self.health.reasons,
            "relays": [self._relay_status(watched) for watched in self.fleet.relays.values()],
        }

    def _relay_status(self, watched: Watched) -> dict[str, Any]:
        name = watched.config.name
        probes = [probe for probe in self.config.probes if name in probe.relays]
        return {
            "name": name,
            "url": watched.config.url,
            "up": watched.reachability.up,
            "maintenance": self.maintenance.active(name),
            "probes": [
                {
                    "name": probe.name,
                    "scenario": probe.scenario.value,
                    "schedule": _schedule_text(probe),
                    "nextDue": self._next_due(name, probe),
                }
                for probe in probes
            ],
        }

    def _next_due(self, relay: str, probe: ProbeConfig) -> str | None:
        due = None if probe.is_continuous else self.schedule.next_due(relay, probe.name)
        return due.isoformat() if due is not None else None

    # Probes.

    def _arm(self, relay: str, probe: ProbeConfig) -> None:
        if isinstance(probe.schedule, Continuous):
            bench = self.fleet.bench(relay, probe, lambda result: self.metrics.count_run(relay, probe.name, result))
            standing = STANDING[probe.scenario]()
            self._standing.append(asyncio.ensure_future(standing.serve(bench)))
            return
        bench = self.fleet.bench(relay, probe)
        played = SCENARIOS[probe.scenario]()

        async def run(slot: datetime) -> None:
            del slot
            await admission(played, bench)
            await execute(played, bench)

        self.schedule.add(relay=relay, probe=probe.name, schedule=probe.schedule, run=run)

    # Our own health, and what is shown of the calendar.

    def _trust(self, healthy: bool) -> None:  # noqa: FBT001 - a state, named
        self.metrics.set_healthy(healthy)
        for watched in self.fleet.relays.values():
            if healthy:
                watched.reachability.thaw()
            else:
                # Attempts that are on their way would be judged by a monitor that does not trust itself.
                watched.reachability.freeze()

    def _reachability(self, relay: str) -> Reachability | None:
        watched = self.fleet.relays.get(relay)
        return watched.reachability if watched is not None else None

    def _crosses_elsewhere(self, seconds: float) -> bool:
        """Whether a message crossed some relay of another machine within so many seconds."""
        since = self.clock.monotonic() - seconds
        return any(
            watched.reachability.crossed_at > since and not watched.is_near for watched in self.fleet.relays.values()
        )

    async def _show_maintenance(self) -> None:
        while True:
            await asyncio.sleep(1)
            for name in self.fleet.relays:
                active = self.maintenance.active(name) is not None
                for probe in self.config.probes:
                    if name in probe.relays:
                        self.metrics.set_maintenance(name, probe.name, active)


def _schedule_text(probe: ProbeConfig) -> str:
    match probe.schedule:
        case Every(every=period):
            return f"every {show_duration(period)}"
        case Cron(cron=line, timezone=timezone):
            return f"{line} {timezone}"
    return "continuous"


def shard_of(config: Config, index: int, count: int) -> Config:
    """The part of a configuration that shard `index` of `count` runs: every `count`-th relay.

    Raises `ConfigError` where nothing is left for it.
    """
    mine = tuple(relay for number, relay in enumerate(config.relays) if number % count == index)
    names = {relay.name for relay in mine}
    probes = tuple(
        probe.model_copy(update={"relays": tuple(name for name in probe.relays if name in names)})
        for probe in config.probes
        if names & set(probe.relays)
    )
    if not mine:
        raise ConfigError(
            f"shard {index}/{count}", [Fault(0, "relays", f"no relay is left for it: there are {len(config.relays)}")]
        )
    kept = {probe.name for probe in probes}
    slos = tuple(slo for slo in config.slos if kept & set(slo.probe))
    return config.model_copy(update={"relays": mine, "probes": probes, "slos": slos})


async def serve(config: Config, *, shard: tuple[int, int] = (0, 1)) -> None:
    """Run the daemon until SIGTERM or SIGINT. Raises `StartupError` where it cannot start."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    daemon = Monitor(config, shard=shard)
    access = Access(read_terms(config.server.web_config_file))
    web = WebServer(build_app(daemon.web_state(), access), config.server.host, config.server.port, access)
    await web.start()
    try:
        await daemon.start()
        await stop.wait()
    finally:
        await daemon.stop()
        await web.stop()
