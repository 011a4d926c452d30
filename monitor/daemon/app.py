"""The composition root: puts the parts together, starts them in order, and stops them in time."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog

import monitor
from monitor.clock import SYSTEM_CLOCK, Clock, utc
from monitor.config import Cron, Every, changes, refusals, show_duration
from monitor.daemon.pipeline import ResultPipeline
from monitor.daemon.supervisor import ProbeSupervisor
from monitor.errors import ConfigError, ConfigProblem, MonitorError, StartupError
from monitor.health import SelfCheck
from monitor.journal import Journal
from monitor.metrics import Metrics
from monitor.relays import MonitoredRelay, MonitoredRelays, freeze_gc
from monitor.schedule import Maintenance, Schedule
from monitor.threads import run_in_thread
from monitor.web import Access, WebServer, WebState, build_app, read_terms

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from monitor.config import Changes, Config, ProbeConfig
    from monitor.reachability.verdict import RelayVerdict
    from monitor.web.auth import Terms

_log = structlog.get_logger(__name__)

STOP_GRACE: Final = 4.0
"""Seconds running probes get to finish when the monitor stops; with what follows, all of it is over within ten."""


RELOAD_GRACE: Final = 2.0
"""Seconds a reload that goes on gets to finish when the monitor stops."""


MAX_RELOADS: Final = 2
"""Reloads by SIGHUP at once: one that goes on, and one that waits."""


class Monitor:
    """The daemon: schedules probes, keeps the standing ones going, and serves what they find.

    `source` reads the configuration anew, in a thread, and raises `MonitorError`; None: there is no reload. Raises what
    `read_terms` raises.
    """

    def __init__(
        self,
        config: Config,
        *,
        shard: tuple[int, int] = (0, 1),
        clock: Clock | None = None,
        source: Callable[[], Config] | None = None,
    ) -> None:
        self.config = config
        self._source = source
        self.clock = clock or SYSTEM_CLOCK
        self.metrics = Metrics(config, version=monitor.__version__, shard=f"{shard[0]}/{shard[1]}")
        self.journal = Journal(config.state_dir)
        self.maintenance = Maintenance(config.maintenance, self.clock)
        self.schedule = Schedule(clock=self.clock, on_result=self.metrics.count_run, seed=config.location)
        self.started_at = utc(self.clock)
        self.health = SelfCheck(
            self.clock,
            on_lag=self.metrics.observe_loop_lag,
            on_change=self._trust,
            references=config.references,
            delivers_elsewhere=self._delivers_elsewhere,
        )
        self.pipeline = ResultPipeline(
            metrics=self.metrics,
            journal=self.journal,
            maintenance=lambda: self.maintenance,
            health=self.health,
            reachability=self._reachability,
        )
        self.monitored_relays = MonitoredRelays(
            config,
            self.clock,
            self.pipeline.take,
            is_local_fault=self.health.is_local_fault,
            on_resolved=self.pipeline.settled,
        )
        self.supervisor = ProbeSupervisor(self.monitored_relays, self.schedule, self.metrics.count_run)
        self.access = Access(read_terms(config.server.web_config_file))
        self._beside: list[asyncio.Task[None]] = []  # what goes on for as long as the monitor does
        self._turn = asyncio.Lock()  # to start, or to take up another configuration
        self._armed = self._stopping = False

    async def start(self) -> None:
        """Start everything. Raises `StartupError`."""
        async with self._turn:
            self.metrics.set_healthy(True)
            self.metrics.set_reload(at=self.clock.time(), ok=True)
            await self.monitored_relays.start(self.metrics.set_relay_up)
            for probe in self.config.probes:
                for relay in probe.relays:
                    self.supervisor.start(relay, probe)
            await self.schedule.start()
            self.health.start()
            lasting = (self.monitored_relays.check_certificates(), self._show_maintenance())
            self._beside = [asyncio.ensure_future(each) for each in lasting]
            self._armed = True
        freeze_gc()
        _log.info("monitor started", relays=len(self.config.relays), probes=len(self.config.probes))

    async def stop(self) -> None:
        """Stop within ten seconds: running probes get a moment to finish, then they are aborted and counted so."""
        self._armed, self._stopping = False, True
        with suppress(TimeoutError):
            async with asyncio.timeout(RELOAD_GRACE), self._turn:
                pass
        for task in self._beside:
            task.cancel()
        await self.health.stop()
        await self.supervisor.stop_all(STOP_GRACE)
        await self.monitored_relays.stop()
        self.journal.close()
        _log.info("monitor stopped")

    def web_state(self) -> WebState:
        """What the pages may know."""
        return WebState(
            status=self.status,
            journal=self.journal,
            metrics=self.metrics.render,
            ready=self.ready,
            reload=self.reload if self._source is not None else None,
        )

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
            "relays": [self._relay_status(watched) for watched in self.monitored_relays.relays.values()],
        }

    def _relay_status(self, watched: MonitoredRelay) -> dict[str, Any]:
        name, reachability = watched.config.name, watched.verdict
        ago = self.clock.monotonic() - reachability.delivered_at
        probes = [probe for probe in self.config.probes if name in probe.relays]
        return {
            "name": name,
            "url": watched.config.url,
            "up": reachability.up,
            "since": _iso(reachability.since),
            "lastCrossing": None if ago == float("inf") else _iso(utc(self.clock, ago)),
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
        return _iso(None if probe.is_continuous else self.schedule.next_due(relay, probe.name))

    # Another configuration.

    async def reload(self) -> None:
        """Take up the configuration anew: what did not change goes on untouched, what went takes its series along.

        One reload at a time, in the order they were asked for. Raises `ConfigError` with what is wrong, or another
        `MonitorError` where it cannot be taken up; the configuration then stays as it was, all of it.
        """
        async with self._turn:
            try:
                config, maintenance, terms = await self._read()
                difference = changes(self.config, config)
                opened = await self.monitored_relays.open(difference.opened)
                await self._change(config, difference, opened)
            except MonitorError as error:
                self.metrics.set_reload(at=self.clock.time(), ok=False)
                _log.error("configuration stays as it was", why=str(error))
                raise
            except Exception as error:
                self.metrics.set_reload(at=self.clock.time(), ok=False)
                _log.exception("reload broken off by a fault of this program")
                why = f"a fault of this program, {type(error).__name__}: {error}; it is in the log; restart the monitor"
                raise StartupError(why) from error
            self.maintenance = maintenance
            self.access.take_up(terms)
            self.metrics.set_reload(at=self.clock.time(), ok=True)
            _log.info("configuration taken up", stopped=len(difference.stopped), started=len(difference.started))

    async def _read(self) -> tuple[Config, Maintenance, Terms]:
        """The configuration as it is written now, and what is made of it; all of it checked."""
        if self._stopping or self._source is None:
            raise StartupError("the monitor is stopping" if self._stopping else "it knows no file to read")
        config = await run_in_thread("read of the configuration", self._source)
        if faults := refusals(self.config, config):
            raise ConfigError("the configuration", faults)
        terms = await run_in_thread("read of the web configuration", partial(read_terms, config.server.web_config_file))
        return config, Maintenance(config.maintenance, self.clock), terms

    async def _change(self, config: Config, difference: Changes, opened: list[MonitoredRelay]) -> None:
        """Go from one configuration to another. Nothing here can be refused any more."""
        await self.supervisor.stop(difference.stopped)
        left = [self.monitored_relays.relays[name] for name in difference.closed]
        await self.monitored_relays.close(left)
        # Their series go once they have said all they had to say.
        self.metrics.reconfigure(config)
        self.metrics.forget(difference.closed & {relay.name for relay in config.relays})
        self.monitored_relays.apply(config, difference, opened)
        if config.references != self.config.references:
            self.health.references = config.references
        self.config = config
        for relay, probe in difference.started:
            self.supervisor.start(relay, probe)

    # Our own health, and what is shown of the calendar.

    def _trust(self, healthy: bool) -> None:  # noqa: FBT001 - a state, named
        self.metrics.set_healthy(healthy)
        for watched in self.monitored_relays.relays.values():
            if healthy:
                watched.verdict.resume()
            else:
                # Attempts that are on their way would be judged by a monitor that does not trust itself.
                watched.verdict.suspend()

    def _reachability(self, relay: str) -> RelayVerdict | None:
        watched = self.monitored_relays.relays.get(relay)
        return watched.verdict if watched is not None else None

    def _delivers_elsewhere(self, seconds: float) -> bool:
        """Whether a message crossed some relay of another machine within so many seconds."""
        since = self.clock.monotonic() - seconds
        return any(
            watched.verdict.delivered_at > since and not watched.is_local
            for watched in self.monitored_relays.relays.values()
        )

    async def _show_maintenance(self) -> None:
        while True:
            await asyncio.sleep(1)
            for name in self.monitored_relays.relays:
                active = self.maintenance.active(name) is not None
                for probe in self.config.probes:
                    if name in probe.relays:
                        self.metrics.set_maintenance(name, probe.name, active)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


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
            f"shard {index}/{count}",
            [ConfigProblem(0, "relays", f"no relay is left for it: there are {len(config.relays)}")],
        )
    if count != config.shards:
        _log.warning("the rules count other shards: this one's absence is not told", shards=config.shards, ours=count)
    kept = {probe.name for probe in probes}
    slos = tuple(slo for slo in config.slos if kept & set(slo.probe))
    return config.model_copy(update={"relays": mine, "probes": probes, "slos": slos})


async def serve(config: Config, *, shard: tuple[int, int] = (0, 1), source: Callable[[], Config] | None = None) -> None:
    """Run the daemon until SIGTERM or SIGINT; `source` reads the configuration anew, at SIGHUP among others.

    Raises `ConfigError` or `StartupError` where it cannot start.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    daemon = Monitor(config, shard=shard, source=source)
    reloads: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        with suppress(MonitorError):  # it is in the log, and in the metrics
            await daemon.reload()

    def hang_up() -> None:
        if len(reloads) < MAX_RELOADS:  # one that waits will read all that has changed until then
            reloads.add(task := asyncio.ensure_future(reload()))
            task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, hang_up)
    app = build_app(daemon.web_state(), daemon.access)
    web = WebServer(app, config.server.host, config.server.port, daemon.access)
    await web.start()
    _log.info("serving", host=config.server.host, port=web.port)
    try:
        await daemon.start()
        await stop.wait()
    finally:
        await daemon.stop()
        await web.stop()
        for task in reloads:
            task.cancel()
