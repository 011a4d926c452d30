"""Metrics: what probes publish, as what Prometheus scrapes.

A counter that is likely to be incremented exists at 0 from the start, because `rate()` does not see the first increment
of a series that appears at 1; any other shows 0 for two scrapes before it is incremented. The series of a relay or
probe are removed with it.

Reports are queued and applied when the metrics are read: applying five in a row takes hardly longer than applying one
after a pause, when the code is no longer in the CPU's caches. Applying each at once takes 7 % more CPU an exchange.
"""

from __future__ import annotations

import asyncio
import platform
from collections import deque
from threading import RLock
from time import perf_counter
from typing import TYPE_CHECKING, Final

import structlog

from monitor.clock import SYSTEM_CLOCK
from monitor.config.changes import series_kind
from monitor.drill import RELAY, SERIES, Result
from monitor.errors import MisuseError
from monitor.metrics.families import Families, SeriesGroup
from monitor.metrics.page import Registry, render
from monitor.metrics.relay_info import RelayInfo
from monitor.metrics.relay_series import RelaySeries
from monitor.metrics.series import ProbeSeries
from monitor.vocabulary import Check, Sli

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from prometheus_client import CollectorRegistry

    from monitor.clock import Clock
    from monitor.config import Config, ProbeConfig, ProbeKey, RelayConfig
    from monitor.drill import Drill
    from monitor.results import RelayStatus, Report, Run
    from monitor.scenarios import Scenario

_log = structlog.get_logger(__name__)

REFERENCE_UP: Final = "relay_monitor_reference_up"
LAG: Final = "relay_monitor_event_loop_lag_seconds"
OBJECTIVE: Final = "relay_slo_objective_ratio"
THRESHOLD: Final = "relay_slo_threshold_seconds"
WINDOW: Final = "relay_slo_window_seconds"

MAX_QUEUED_REPORTS: Final = 500
"""Reports that are queued before they are applied without a reader, which takes a few milliseconds."""

SLICE: Final = 0.003
"""Seconds of a reload after which the event loop can do something else."""


class Metrics:
    """The series of one monitor.

    rename: returns the name under which a metric is exported, None if it is not; None: all names are as declared.
    scrapes_at_zero: scrape intervals, or evaluation intervals if they are longer, for which a new counter shows 0
    before it is incremented.

    `render` can be called and `registry` read in any thread; all other methods belong to the event loop. They do not
    wait while another thread renders, but those that change the series wait while it applies queued reports.
    """

    def __init__(
        self,
        config: Config,
        *,
        version: str,
        shard: str = "0/1",
        clock: Clock = SYSTEM_CLOCK,
        rename: Callable[[str], str | None] | None = None,
        scrapes_at_zero: int = 2,
    ) -> None:
        self._queue: deque[Run | Report] = deque()
        self._changing = RLock()  # held while reports are applied and while series change
        self._clock, self._scrapes_at_zero = clock, scrapes_at_zero
        self._labels = (config.install, config.location)
        self._registry = Registry(self.flush)
        self._families = Families(self._registry, lean=config.metrics.detail == "lean", rename=rename)
        self._infos = RelayInfo(self._labels)
        if rename is None:
            self._registry.register(self._infos)
        self._own = SeriesGroup(self._families)  # of the monitor
        self._relays: dict[str, RelaySeries] = {}
        self._series: dict[ProbeKey, ProbeSeries] = {}
        self._kinds: dict[ProbeKey, tuple[Scenario, bool]] = {}  # by `series_kind`
        self._probe_names: tuple[str, ...] = ()
        self._objectives: set[tuple[str, ...]] = set()
        self._config_hash = ""
        self._shard = shard
        for result in Result:
            self._own.series("relay_monitor_drills_total", *self._labels, shard, result)
        self._set("relay_monitor_build_info", version, platform.python_version(), value=1)
        self._set("relay_monitor_shard_info", shard, value=1)
        self._set("relay_monitor_start_time_seconds", shard, value=clock.time())
        self.set_journal_healthy(True)
        self._own.series("relay_monitor_incidents_total", *self._labels)
        self.set_failed_checks(())
        self.reconfigure(config)

    @property
    def registry(self) -> CollectorRegistry:
        """All series."""
        return self._registry

    # Configuration.

    def reconfigure(self, config: Config) -> None:
        """Apply another configuration: remove the series of what is gone, create those of what is new at 0.

        All others keep their values. Raises `MisuseError` if install or location changes.
        """
        for _ in self._reconfiguration(config):
            pass

    async def reconfigure_in_slices(self, config: Config) -> None:
        """Apply another configuration as `reconfigure` does, without blocking the event loop for long."""
        started = perf_counter()
        for _ in self._reconfiguration(config):
            if perf_counter() - started > SLICE:
                await asyncio.sleep(0)
                started = perf_counter()

    def _reconfiguration(self, config: Config) -> Iterator[None]:
        """Apply another configuration in small steps."""
        if (config.install, config.location) != self._labels:
            raise MisuseError("install and location cannot change while the monitor runs: restart it")
        self.flush()
        relays = {relay.name: relay for relay in config.relays}
        probes = {(relay, probe.name): probe for probe in config.probes for relay in probe.relays}
        kinds = {key: series_kind(probe) for key, probe in probes.items()}
        yield from self._remove(relays, kinds)
        self._kinds = kinds
        self._probe_names = tuple(probe.name for probe in config.probes)
        # Rules that record totals must see the 0 too.
        interval = max(config.prometheus.scrape_interval, config.prometheus.evaluation_interval)
        self._families.delay = self._scrapes_at_zero * interval
        is_other = (config.metrics.detail == "lean") is not self._families.lean
        with self._changing:
            self._infos.relays = config.relays
            if is_other:
                self._families.set_detail(lean=config.metrics.detail == "lean")
            self._lag = self._own.series(LAG, *self._labels)
        for name, relay in relays.items():
            if is_other or name not in self._relays:
                with self._changing:
                    self._open_relay(relay, [probe for probe in config.probes if name in probe.relays])
                yield
        for (name, probe_name), probe in probes.items():
            with self._changing:
                old = self._series.get((name, probe_name))
                series = old
                if series is None or is_other:
                    series = ProbeSeries(self._families, relays[name], probe, self._relays[name])
                series.configure(probe.longest_gap, [slo for slo in config.slos if probe_name in slo.probe])
                if old is not None and series is not old:
                    series.take_over(old)
                self._series[name, probe_name] = series
            yield
        yield from self._set_objectives(config)

    def _open_relay(self, relay: RelayConfig, probes: list[ProbeConfig]) -> None:
        """Create the series of a relay, instead of those of another detail."""
        old = self._relays.get(relay.name)
        series = self._relays[relay.name] = RelaySeries(self._families, (*self._labels, relay.name), relay, probes)
        if old is not None:
            series.take_over(old)

    def _remove(self, relays: dict[str, RelayConfig], kinds: dict[ProbeKey, tuple[Scenario, bool]]) -> Iterator[None]:
        """Remove the series of relays that are gone, and of probes that are gone or have other series now."""
        for key in [key for key, kind in self._kinds.items() if kinds.get(key) != kind]:
            with self._changing:
                self._series.pop(key).remove()
            yield
        for name in self._relays.keys() - relays.keys():
            with self._changing:
                self._relays.pop(name).remove()
            yield

    def forget(self, relays: Iterable[str]) -> None:
        """Remove what is known of these relays, which have another address now: verdicts, certificates, endpoints."""
        with self._changing:
            self.flush()
            for relay in relays:
                if (series := self._relays.get(relay)) is not None:
                    series.forget()
                    self._update_probes(relay, None)

    def _set_objectives(self, config: Config) -> Iterator[None]:
        shown: dict[tuple[str, ...], float] = {}
        relays_of = {probe.name: probe.relays for probe in config.probes}
        for slo in config.slos:
            for relay in dict.fromkeys(relay for probe in slo.probe for relay in relays_of.get(probe, ())):
                objective, threshold = slo.objective_for(relay), slo.threshold_for(relay)
                labels = (*self._labels, relay, slo.name)
                shown[WINDOW, *labels] = slo.window
                if objective is not None:
                    shown[OBJECTIVE, *labels] = float(objective)
                if threshold is not None and slo.sli is Sli.LATENCY:
                    shown[THRESHOLD, *labels] = threshold
            yield
        for gone in self._objectives - shown.keys():
            self._families.remove(*gone)
        yield
        self._objectives = set(shown)
        for key, value in shown.items():
            self._families.series(*key).set(value)
            yield

    # Reports of probes.

    def publish(self, report: Run | Report) -> None:
        """Accept a run or a report. Those of a relay or probe that is gone are ignored."""
        self._queue.append(report)
        self._families.now = self._clock.monotonic()  # not in `flush`: another thread may call that
        # If another thread is applying them, the caller does not wait.
        if len(self._queue) >= MAX_QUEUED_REPORTS and self._changing.acquire(blocking=False):
            try:
                self.flush()
            finally:
                self._changing.release()

    def flush(self) -> None:
        """Apply the queued reports."""
        with self._changing:
            while self._queue:
                report = self._queue.popleft()
                if (series := self._series.get((report.relay, report.probe))) is None:
                    continue
                try:
                    series.handlers[type(report)](report)
                except Exception:  # noqa: BLE001 - a fault in this program must not fail the scrape
                    _log.exception(
                        "report not counted", report=type(report).__name__, relay=report.relay, probe=report.probe
                    )
            self._families.flush()

    # Relays.

    def set_relay_status(self, status: RelayStatus) -> None:
        """Set what is said of a relay."""
        if (series := self._relays.get(status.relay)) is not None:
            with self._changing:
                series.set_status(status)
                self._update_probes(status.relay, status.up)

    def _probes_of(self, relay: str) -> list[ProbeSeries]:
        keys = ((relay, probe) for probe in self._probe_names)
        return [self._series[key] for key in keys if key in self._series]

    def _update_probes(self, relay: str, up: bool | None) -> None:  # noqa: FBT001 - a state, named
        for series in self._probes_of(relay):
            series.set_relay_up(up)

    def set_relay_maintenance(self, relay: str, active: bool) -> None:  # noqa: FBT001 - a state, named
        """Set whether a relay is inside a maintenance window."""
        if (series := self._relays.get(relay)) is not None:
            series.set_maintenance(active)
            for probe_series in self._probes_of(relay):
                probe_series.set_maintenance(active)

    def set_incident_open(self, relay: str, is_open: bool) -> None:  # noqa: FBT001 - a state, named
        """Set whether a relay has an open incident."""
        if (series := self._relays.get(relay)) is not None:
            series.set_incident_open(is_open)

    def set_credentials_expiry(self, relay: str, expiry: float | None, lifetime: float | None = None) -> None:
        """Set the Unix time at which the monitor's token expires, and for how many seconds it is valid in all."""
        if (series := self._relays.get(relay)) is not None:
            with self._changing:
                series.set_credentials(expiry, lifetime)

    def count_run(self, relay: str, probe: str, result: str) -> None:
        """Count a slot of the schedule: "started", "missed" or "skipped"."""
        if (series := self._series.get((relay, probe))) is not None:
            series.slot(result)

    # The monitor.

    def _set(self, name: str, *labels: str, value: float) -> None:
        """Set a gauge of the monitor; `labels` follow install and location."""
        self._own.series(name, *self._labels, *labels).set(value)

    def certificate_expiry(self, relay: str) -> float | None:
        """Return the Unix time at which the relay's certificate chain expires, None if none was seen."""
        series = self._relays.get(relay)
        return None if series is None else series.certificate

    def set_healthy(self, healthy: bool) -> None:  # noqa: FBT001 - a state, named
        """Set whether the monitor is healthy."""
        self._set("relay_monitor_healthy", value=healthy)

    def set_failed_checks(self, checks: Collection[str]) -> None:
        """Set which self-checks fail."""
        for check in Check:
            self._set("relay_monitor_failed_check", check, value=check in checks)

    def set_reference_up(self, up: bool | None) -> None:  # noqa: FBT001 - a state, named
        """Set whether a reference answered last; None removes the series."""
        if up is not None:
            self._set(REFERENCE_UP, value=up)
        else:
            self._own.discard(REFERENCE_UP, *self._labels)

    def set_journal_healthy(self, healthy: bool) -> None:  # noqa: FBT001 - a state, named
        """Set whether the journal can be written."""
        self._set("relay_monitor_journal_healthy", value=healthy)

    def set_config_info(self, config_hash: str) -> None:
        """Set the hash of the configuration in force."""
        name = "relay_monitor_config_info"
        self._own.discard(name, *self._labels, self._config_hash)
        self._config_hash = config_hash
        self._set(name, config_hash, value=1)

    def set_reload(self, *, ok: bool, at: float) -> None:
        """Set the result of the last reload of the configuration, which was at the Unix time `at`."""
        self._set("relay_monitor_config_last_reload_successful", value=ok)
        if ok:
            self._set("relay_monitor_config_last_reload_success_timestamp_seconds", value=at)

    def count_task_failure(self, task: str) -> None:
        """Count a task that ended by a fault of this program."""
        with self._changing:
            self._families.now = self._clock.monotonic()
            self._own.count("relay_monitor_task_failures_total", *self._labels, task)

    def begin_drill(self, drill: str) -> None:
        """Set the reserved relay down for the drill with this id."""
        with self._changing:
            self._set(SERIES, self._shard, RELAY, drill, value=0)

    def end_drill(self, drill: Drill) -> None:
        """Remove the series of a drill that has ended, and count it."""
        assert drill.result is not None
        with self._changing:
            self._own.discard(SERIES, *self._labels, self._shard, RELAY, drill.id)
            self._own.series("relay_monitor_drills_total", *self._labels, self._shard, drill.result).inc()
        self.set_last_drill(drill)

    def set_last_drill(self, drill: Drill) -> None:
        """Set what the last drill showed; one that was cancelled showed nothing."""
        if drill.result is not Result.CANCELLED:
            self._set("relay_monitor_drill_last_successful", self._shard, value=drill.result is Result.OK)
        if drill.received is not None:
            self._set("relay_monitor_drill_page_seconds", self._shard, value=drill.received)
            ended_at = drill.started_at + drill.received
            self._set("relay_monitor_drill_last_success_timestamp_seconds", self._shard, value=ended_at)

    def count_incident(self) -> None:
        """Count an incident that opened."""
        with self._changing:
            self._families.now = self._clock.monotonic()
            self._own.count("relay_monitor_incidents_total", *self._labels)

    def observe_loop_lag(self, seconds: float) -> None:
        """Record a measurement of the event loop's lag."""
        self._families.now = self._clock.monotonic()
        self._lag.observe(seconds)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Render all series in the format that the `Accept` header prefers; returns the body and its content type.

        Series are read one after another: a report that is applied meanwhile may show in some of them only.
        """
        return render(self._registry, accept)
