"""Metrics: what probes publish, as what Prometheus scrapes.

Every counter exists at 0 from the start, because `rate()` does not see the first increment of a series that appears
at 1. The series of a relay or probe are removed with it.

Reports are queued and applied when the metrics are read: applying five in a row takes hardly longer than applying one
after a pause, when the code is no longer in the CPU's caches. Applying each at once takes 7 % more CPU an exchange.
"""

from __future__ import annotations

import platform
from collections import deque
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, RestrictedRegistry

from monitor.errors import MisuseError
from monitor.metrics.declared import DECLARED
from monitor.metrics.series import ProbeSeries
from monitor.vocabulary import BUCKETS, Sli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from prometheus_client import Metric

    from monitor.config import Config, RelayConfig
    from monitor.results import Report, Run
    from monitor.scenarios import Scenario

_log = structlog.get_logger(__name__)

disable_created_metrics()  # type: ignore[no-untyped-call]

INFO: Final = "relay_probe_relay_info"
OF_A_RELAY: Final = ("relay_up", "relay_probe_certificate_expiry_timestamp_seconds")
OBJECTIVE: Final = "relay_slo_objective_ratio"
THRESHOLD: Final = "relay_slo_threshold_seconds"

WINDOW: Final = "relay_slo_window_seconds"

MAX_QUEUED_REPORTS: Final = 500
"""Reports that are queued before they are applied without a reader, which takes a few milliseconds."""


class Metrics:
    """The series of one monitor, in a registry of its own.

    `of_process` adds `process_*`. `render` can be called and `registry` read in any thread; all other methods belong to
    the event loop. They do not wait while another thread renders, but those that change the series wait while it
    applies queued reports (about `MAX_QUEUED_REPORTS`).
    """

    def __init__(
        self,
        config: Config,
        *,
        version: str,
        shard: str = "0/1",
        of_process: bool = True,
    ) -> None:
        self.registry: CollectorRegistry = _Registry(self.flush)
        self._queue: deque[Run | Report] = deque()
        self._changing = RLock()  # held while reports are applied and while series change
        if of_process:
            ProcessCollector(registry=self.registry)
        self._location = config.location
        self._info = _RelayInfo(config.location)
        self.registry.register(self._info)
        self._families: dict[str, Any] = {
            item.name: _family(item.kind, item.name, item.help, item.labels, self.registry)
            for item in DECLARED
            if item.name != INFO
        }
        self._series: dict[tuple[str, str], ProbeSeries] = {}
        self._kinds: dict[tuple[str, str], tuple[Scenario, bool]] = {}
        self._relays: set[str] = set()
        self._relay_up: dict[str, bool] = {}
        self._objectives: set[tuple[str, str, str]] = set()
        self._lag = self._families["relay_monitor_event_loop_lag_seconds"].labels(self._location)
        self._families["relay_monitor_build_info"].labels(self._location, version, platform.python_version()).set(1)
        self._families["relay_monitor_shard_info"].labels(self._location, shard).set(1)
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Apply another configuration: remove the series of what is gone, create those of what is new at 0.

        All others keep their values. Raises `MisuseError` if the location changes.
        """
        if config.location != self._location:
            raise MisuseError(f"location is {self._location!r} and cannot change while the monitor runs: restart it")
        with self._changing:
            self.flush()
            self._reconfigure(config)

    def _reconfigure(self, config: Config) -> None:
        wanted = {(relay, probe.name): probe for probe in config.probes for relay in probe.relays}
        kinds = {key: (probe.scenario, probe.is_continuous) for key, probe in wanted.items()}
        for key in [key for key, kind in self._kinds.items() if kinds.get(key) != kind]:
            self._series.pop(key).remove()
        self.forget(self._relays - {relay.name for relay in config.relays})
        self._kinds, self._relays = kinds, {relay.name for relay in config.relays}
        self._info.relays = config.relays
        for key, probe in wanted.items():
            if key not in self._series:
                self._series[key] = ProbeSeries(self._families, self._location, key[0], probe)
                self._series[key].set_relay_up(self._relay_up.get(key[0]))
            self._series[key].configure(probe.longest_gap, [slo for slo in config.slos if probe.name in slo.probe])
        self._set_objectives(config)

    def forget(self, relays: Iterable[str]) -> None:
        """Remove the verdicts and the certificates of these relays, which are gone or have another address."""
        with self._changing:
            self.flush()
            for relay in relays:
                self._relay_up.pop(relay, None)
                self._update_probes(relay)
                for name in OF_A_RELAY:
                    self._families[name].remove(self._location, relay)

    def _set_objectives(self, config: Config) -> None:
        shown: dict[tuple[str, str, str], float] = {}
        relays_of = {probe.name: probe.relays for probe in config.probes}
        for slo in config.slos:
            for relay in dict.fromkeys(relay for probe in slo.probe for relay in relays_of.get(probe, ())):
                objective, threshold = slo.objective_for(relay), slo.threshold_for(relay)
                shown[WINDOW, relay, slo.name] = slo.window
                if objective is not None:
                    shown[OBJECTIVE, relay, slo.name] = float(objective)
                if threshold is not None and slo.sli is Sli.LATENCY:
                    shown[THRESHOLD, relay, slo.name] = threshold
        for name, relay, slo_name in self._objectives - shown.keys():
            self._families[name].remove(self._location, relay, slo_name)
        for (name, relay, slo_name), value in shown.items():
            self._families[name].labels(self._location, relay, slo_name).set(value)
        self._objectives = set(shown)

    # Reports of probes and of the daemon.

    def publish(self, report: Run | Report) -> None:
        """Accept a run or a report. Those of a relay or probe that is gone are ignored."""
        self._queue.append(report)
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
            for series in self._series.values():
                series.flush()

    def set_relay_up(self, relay: str, up: bool) -> None:  # noqa: FBT001 - a state, named
        """Set the verdict on a relay."""
        if relay not in self._relays:
            return
        with self._changing:
            self._relay_up[relay] = up
            self._families["relay_up"].labels(self._location, relay).set(up)
            self._update_probes(relay)

    def _update_probes(self, relay: str) -> None:
        for (name, _), series in self._series.items():
            if name == relay:
                series.set_relay_up(self._relay_up.get(relay))

    def set_healthy(self, healthy: bool) -> None:  # noqa: FBT001 - a state, named
        """Set whether the monitor is healthy."""
        self._families["relay_monitor_healthy"].labels(self._location).set(healthy)

    def set_maintenance(self, relay: str, probe: str, active: bool) -> None:  # noqa: FBT001 - a state, named
        """Set whether a probe is inside a maintenance window."""
        if (series := self._series.get((relay, probe))) is not None:
            series.maintenance(active)

    def set_reload(self, *, ok: bool, at: float) -> None:
        """Set the result of the last reload of the configuration, which was at the Unix time `at`."""
        self._families["relay_monitor_config_last_reload_successful"].labels(self._location).set(ok)
        if ok:
            name = "relay_monitor_config_last_reload_success_timestamp_seconds"
            self._families[name].labels(self._location).set(at)

    def count_run(self, relay: str, probe: str, result: str) -> None:
        """Count a slot of the schedule: "started", "missed" or "skipped"."""
        if (series := self._series.get((relay, probe))) is not None:
            series.slot(result)

    def observe_loop_lag(self, seconds: float) -> None:
        """Record a measurement of the event loop's lag."""
        self._lag.observe(seconds)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Render all series in the format that the `Accept` header prefers; returns the body and its content type.

        Series are read one after another: a report that is applied meanwhile may show in some of them only.
        """
        try:
            encoder, content_type = choose_encoder(accept)
        except TypeError:  # raised for a version that is not a number
            encoder, content_type = choose_encoder("")
        return encoder(self.registry), content_type


class _Registry(CollectorRegistry):
    """Calls `flush` before it is read."""

    def __init__(self, flush: Callable[[], None]) -> None:
        super().__init__(auto_describe=False)
        self._flush = flush

    def collect(self) -> Iterator[Metric]:
        self._flush()
        yield from super().collect()

    def restricted_registry(self, names: Iterable[str]) -> RestrictedRegistry:
        self._flush()
        return super().restricted_registry(names)


class _RelayInfo(Collector):
    """One series for each relay, whose label names a reload can change, which a `Gauge` does not allow."""

    def __init__(self, location: str) -> None:
        self.relays: Sequence[RelayConfig] = ()
        self._location = location
        self._help = next(item.help for item in DECLARED if item.name == INFO)

    def collect(self) -> Iterator[Metric]:
        relays = self.relays
        own = sorted({name for relay in relays for name in relay.labels})
        family = GaugeMetricFamily(INFO, self._help, labels=["location", "relay", "max_severity", *own])
        for relay in relays:
            more = (relay.labels.get(name, "") for name in own)
            family.add_metric([self._location, relay.name, relay.max_severity, *more], 1)
        yield family


def _family(
    kind: str, name: str, help_text: str, labels: tuple[str, ...], registry: CollectorRegistry
) -> Counter | Gauge | Histogram:
    if kind == "counter":
        return Counter(name.removesuffix("_total"), help_text, labels, registry=registry)
    if kind == "gauge":
        return Gauge(name, help_text, labels, registry=registry)
    return Histogram(name, help_text, labels, buckets=BUCKETS, registry=registry)
