"""The composition root of the daemon: creates, starts, reloads and stops its parts."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

import monitor
from monitor.clock import SYSTEM_CLOCK, Clock, utc
from monitor.daemon.conditions import Conditions
from monitor.daemon.drills import Drills
from monitor.daemon.incidents import IncidentRecorder, restore_incidents, restore_incidents_later
from monitor.daemon.lifecycle import Lifecycle
from monitor.daemon.maintenance import MaintenanceOnDemand, described, sentence
from monitor.daemon.periodic import run_periodic
from monitor.daemon.pipeline import ResultPipeline
from monitor.daemon.prometheus_reading import PrometheusReader
from monitor.daemon.relay_views import runbook_url
from monitor.daemon.reload import Reload, config_hash, read_reload, reload_parts
from monitor.daemon.status import StatusViews
from monitor.daemon.supervisor import ProbeSupervisor
from monitor.errors import StartupError
from monitor.health import SelfCheck
from monitor.journal import Journal
from monitor.logs import REPETITIONS
from monitor.metrics import Metrics
from monitor.relays import MonitoredRelay, MonitoredRelays
from monitor.schedule import Maintenance, Schedule
from monitor.state import StateFolder
from monitor.supervision import Supervision
from monitor.threads import run_in_thread
from monitor.vocabulary import Check, Condition
from monitor.web import WebAuth, WebState, read_security
from monitor.web.hosts import own_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from monitor.config import Config
    from monitor.reachability.verdict import RelayVerdict
    from monitor.results import RelayStatus, Run
    from monitor.schedule import Window

_log = structlog.get_logger(__name__)

STOP_GRACE: Final = 4.0
"""Seconds that running probes have to finish when the monitor stops; the whole stop takes less than ten."""

CLOSE_TIMEOUT: Final = 1.0
"""Seconds for writing the last conditions."""


class Monitor:
    """The daemon: runs the probes and holds their results.

    `source` reads the configuration for a reload; it is called in a thread and raises `MonitorError`. Without it there
    is no reload. The constructor raises as `read_security` does.
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
        self.shard = f"{shard[0]}/{shard[1]}"
        self._shard_index = shard[0]
        self._source = source
        self.clock = clock or SYSTEM_CLOCK
        self.metrics = Metrics(config, version=monitor.__version__, shard=self.shard, clock=self.clock)
        self.state_folder = StateFolder(config.state_dir) if config.state_dir is not None else None
        self.journal = Journal(
            self.state_folder, clock=self.clock, on_bug=partial(self.metrics.count_task_failure, "journal")
        )
        self.journal.configure(config)
        self.incidents = IncidentRecorder(
            self.journal, self.metrics, self.clock, install=config.install, location=config.location
        )
        self.conditions = Conditions(self.state_folder, self.clock) if self.state_folder is not None else None
        self._known = self.conditions.read(config.relays) if self.conditions is not None else {}
        self.maintenance_on_demand = MaintenanceOnDemand(
            self.state_folder,
            self.clock,
            relays=lambda: self.monitored_relays.relays,
            configured=lambda: self.maintenance.configured(),  # noqa: PLW0108 - a reload replaces it
            on_change=self._on_maintenance,
        )
        self.maintenance_on_demand.read()
        self.maintenance = self.maintenance_of(config)
        self.started_at = utc(self.clock)
        self.supervision = Supervision(
            on_failure=self.metrics.count_task_failure,
            on_repeated=self._on_repeated_failure,
            on_recovered=self._on_recovered_tasks,
        )
        self.schedule = Schedule(
            clock=self.clock, on_result=self.metrics.count_run, seed=config.location, supervision=self.supervision
        )
        self.drills = Drills(
            lambda: self.config,
            shard=self.shard,
            clock=self.clock,
            metrics=self.metrics,
            schedule=self.schedule,
            supervision=self.supervision,
            folder=self.state_folder,
        )
        self.drills.read()
        self.health = SelfCheck(
            self.clock,
            on_lag=self.metrics.observe_loop_lag,
            on_change=self._on_health_change,
            on_failed=self.metrics.set_failed_checks,
            references=config.references,
            relays=self._relays,
            supervision=self.supervision,
        )
        self.pipeline = ResultPipeline(
            clock=self.clock,
            metrics=self.metrics,
            journal=self.journal,
            maintenance=lambda: self.maintenance,
            health=self.health,
            verdict_of=self._verdict_of,
            on_recorded=self.incidents.recorded,
        )
        self.monitored_relays = MonitoredRelays(
            config,
            self.clock,
            self.pipeline.process,
            is_local_fault=self.health.is_local_fault,
            on_resolved=self.pipeline.release,
        )
        self.supervisor = ProbeSupervisor(
            self.monitored_relays, self.schedule, self.metrics.count_run, self.supervision
        )
        self.reloaded_at = self.started_at
        self.set_config_hash(config_hash(config))
        self.auth = WebAuth(read_security(config.server.web_config_file))
        self._background: list[asyncio.Task[None]] = []  # tasks that run until the monitor stops
        self._start_began = False
        self.lifecycle = Lifecycle(self)
        self.prometheus = PrometheusReader(lambda: self.config, self.clock)
        self.views = StatusViews(self)

    async def start(self) -> None:
        """Start all parts. Raises `StartupError`."""
        await self.lifecycle.start()

    async def reload(self) -> None:
        """Reload the configuration. Unchanged relays and probes continue; the series of removed ones are removed.

        Raises `ConfigError` for an invalid configuration and another `MonitorError` if it cannot be applied; the
        running configuration then stays in force.
        """
        await self.lifecycle.reload()

    async def stop(self) -> None:
        """Stop within ten seconds. Probes that do not finish in time are aborted and counted as such."""
        await self.lifecycle.stop()

    # The parts of the lifecycle.

    async def start_parts(self) -> None:
        """See `lifecycle.Parts`."""
        self._start_began = True
        self.metrics.set_healthy(True)
        self.metrics.set_reload(at=self.clock.time(), ok=True)
        restored = await restore_incidents(self.incidents, self.journal, self._relay_names())
        await self.monitored_relays.start(
            self._on_status, on_attempt=self._on_attempt, known=self._known, supervision=self.supervision
        )
        await self.supervisor.start_all((relay, probe) for probe in self.config.probes for relay in probe.relays)
        self.drills.configure(self.config)
        await self.schedule.start()
        self.health.start()
        self._background = [
            self.supervision.watch("certificates", self.monitored_relays.check_certificates),
            self.supervision.watch("gauges", partial(run_periodic, self)),
            self.supervision.watch("prometheus", self.prometheus.run),
        ]
        if not restored:
            later = restore_incidents_later(self.incidents, self.journal, self._relay_names)
            self._background.append(self.supervision.spawn("incidents", later))
        _log.info("monitor started", relays=len(self.config.relays), probes=len(self.config.probes))

    async def stop_parts(self) -> None:
        """See `lifecycle.Parts`."""
        for task in self._background:
            task.cancel()
        self.drills.stop()
        await asyncio.gather(self.health.stop(), self.supervisor.stop_all(STOP_GRACE))
        await self.monitored_relays.stop()
        self.pipeline.close()
        self.incidents.close()
        self.supervision.close()
        if self.conditions is not None:
            self.conditions.note_all((relay.config, relay.verdict.status) for relay in self._relays())
            self.conditions.write(always=True)
        await run_in_thread("end of the journal", self._close_files)
        REPETITIONS.forget()
        if self._start_began:  # a port in use prevents the start
            _log.info("monitor stopped")

    def _close_files(self) -> None:
        self.journal.close()
        self.maintenance_on_demand.close(CLOSE_TIMEOUT)
        self.drills.close(CLOSE_TIMEOUT)
        if self.conditions is not None:
            self.conditions.close(CLOSE_TIMEOUT)
        if self.state_folder is not None:
            self.state_folder.close()

    def hurry_stop(self) -> None:
        """Abort the running runs."""
        _log.warning("running probes are aborted: the stop was requested again")
        self.schedule.cancel_runs()

    def web_state(self) -> WebState:
        """Return the monitor's interface to the web pages."""
        return WebState(
            status=self.views.view,
            incidents=self.incidents,
            journal=self.journal,
            metrics=self.metrics.render,
            ready=self.ready,
            maintenance=self.maintenance_on_demand,
            drills=self.drills,
            reload=self.reload if self._source is not None else None,
            runbooks=lambda alert, relay: runbook_url(self.config, alert, relay),
            host_names=lambda: own_names(self.config, self._shard_index),
        )

    def ready(self) -> str | None:
        """Return why the monitor is not ready, or None if it is."""
        if self.lifecycle.is_ready:
            return None
        return "the monitor is stopping" if self.lifecycle.is_stopping else "the schedule has not started yet"

    # Reload.

    async def reload_parts(self) -> None:
        """See `lifecycle.Parts`."""
        await reload_parts(self)

    def read_reload(self) -> Reload:
        """Read and check the configuration, its maintenance windows and the web configuration. May block."""
        if self._source is None:
            raise StartupError("there is no configuration file to read")
        return read_reload(self._source, self.config, self.auth.security.config, self.maintenance_of)

    def set_config_hash(self, config_hash: str) -> None:
        """See `reload.Parts`."""
        self.config_hash = config_hash
        self.metrics.set_config_info(config_hash)

    # Health and maintenance.

    def maintenance_of(self, config: Config) -> Maintenance:
        """Return the windows of a configuration, together with those on demand."""
        return Maintenance(config.maintenance, self.clock, self.maintenance_on_demand.windows)

    def _on_maintenance(self, window: Window, what: str) -> None:
        """Store what happened to a window on demand; the incidents learn of it by their next tick."""
        text, fields = sentence(window, what), described(window)
        for relay in window.relays:
            self.journal.save_event(utc(self.clock), relay, "maintenance", text, fields)

    def _on_repeated_failure(self, relay: str | None, why: str) -> None:
        """Say that nothing is known of a relay, or of all, while a task fails repeatedly."""
        if relay is None:
            self.health.hold(Check.TASKS, why)
        elif (monitored := self.monitored_relays.relays.get(relay)) is not None:
            monitored.set_unobserved(Check.TASKS, why)

    def _on_recovered_tasks(self, relay: str | None) -> None:
        if relay is None:
            self.health.release(Check.TASKS)
        elif (monitored := self.monitored_relays.relays.get(relay)) is not None:
            monitored.set_unobserved(Check.TASKS, "")

    def _on_health_change(self, healthy: bool) -> None:  # noqa: FBT001 - called by position
        self.metrics.set_healthy(healthy)
        self.monitored_relays.set_healthy(healthy=healthy)

    def _on_status(self, status: RelayStatus) -> None:
        self.metrics.set_relay_status(status)
        self.incidents.status(status, self.maintenance)
        if status.condition is Condition.UP:
            REPETITIONS.forget(status.relay)
        if self.conditions is not None and (relay := self.monitored_relays.relays.get(status.relay)) is not None:
            self.conditions.note(relay.config, status)

    def _on_attempt(self, run: Run) -> None:
        self.journal.add(run)
        self.incidents.attempt(run)

    def _relays(self) -> Iterable[MonitoredRelay]:
        return self.monitored_relays.relays.values()

    def _relay_names(self) -> list[str]:
        return [relay.name for relay in self.config.relays]

    def _verdict_of(self, relay: str) -> RelayVerdict | None:
        monitored = self.monitored_relays.relays.get(relay)
        return monitored.verdict if monitored is not None else None
