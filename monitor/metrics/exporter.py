"""From what probes publish to what Prometheus scrapes.

Every counter exists at 0 from the start, since one that is born at 1 is invisible to `rate()`; a relay or probe that
leaves the configuration takes its series along.
"""

from __future__ import annotations

import platform
import threading
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from monitor.catalogue import BUCKETS, Sli
from monitor.config import Continuous
from monitor.metrics.declared import DECLARED
from monitor.metrics.series import RELAY_LABELS, ProbeSeries
from monitor.probes.run import (
    AddressFailed,
    CertificateSeen,
    Confirmed,
    Disconnected,
    MessageJudged,
    MessageSent,
    Paired,
    PairTime,
    PhaseTimed,
    Reconnected,
    Report,
    Run,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.config import Config, ProbeConfig, RelayConfig

disable_created_metrics()  # type: ignore[no-untyped-call]

HOLD: Final = 30.0
"""Seconds of a continuous steady-state probe's interval where its configuration names none."""

RESULTS: Final = ("started", "missed", "skipped")


class Metrics:
    """The series of one monitor, in a registry of its own.

    `longest_gap` gives the longest time between two runs of a schedule, in seconds. `publish` is called on the event
    loop; `render` may be called in a thread.
    """

    def __init__(
        self, config: Config, *, version: str, longest_gap: Callable[[Any], float], shard: str = "0/1"
    ) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        self._location = config.location
        self._longest_gap = longest_gap
        self._families: dict[str, Any] = {}
        for item in DECLARED:
            labels = (*item.labels, *_info_labels(config)) if item.name == "relay_probe_relay_info" else item.labels
            self._families[item.name] = _family(item.kind, item.name, item.meaning, labels, self.registry)
        self._series: dict[tuple[str, str], ProbeSeries] = {}
        self._relay_up: dict[str, bool] = {}
        self._lock = threading.Lock()  # scrapes in threads must not meet a reconfiguration half done
        self._lag = self._families["relay_monitor_event_loop_lag_seconds"].labels(self._location)
        self._families["relay_monitor_build_info"].labels(self._location, version, platform.python_version()).set(1)
        self._families["relay_monitor_shard_info"].labels(self._location, shard).set(1)
        self._config = config.model_copy(update={"relays": (), "probes": (), "slos": ()})
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Take up another configuration: what is gone takes its series along, what is new begins at 0."""
        with self._lock:
            wanted = {(relay, probe.name): probe for probe in config.probes for relay in probe.relays}
            relays = {relay.name: relay for relay in config.relays}
            before = {(relay, probe.name): probe for probe in self._config.probes for relay in probe.relays}
            for key in [key for key in self._series if wanted.get(key) != before.get(key) or key not in wanted]:
                if key not in wanted or wanted[key].scenario is not before[key].scenario:
                    self._series.pop(key).remove()
            for relay in self._config.relays:
                if relays.get(relay.name) != relay:
                    self._forget(relay, gone=relay.name not in relays)
            self._config = config
            for relay in config.relays:
                self._info(relay)
            for (relay_name, _), probe in wanted.items():
                self._add(relays[relay_name], probe)

    def _add(self, relay: RelayConfig, probe: ProbeConfig) -> None:
        key = (relay.name, probe.name)
        if key not in self._series:
            self._series[key] = ProbeSeries(self._families, self._location, relay.name, probe)
        series = self._series[key]
        series.set_slos([slo for slo in self._config.slos if probe.name in slo.probe])
        series.interval.set(self._gap(probe))
        for result in RESULTS:
            self._families["relay_monitor_runs_total"].labels(self._location, relay.name, probe.name, result)
        for slo in self._config.slos:
            if probe.name in slo.probe:
                override = slo.overrides.get(relay.name)
                objective = (override.objective if override else None) or slo.objective
                threshold = (override.threshold if override else None) or slo.threshold
                labels = (self._location, relay.name, slo.name)
                if objective is not None:
                    self._families["relay_slo_objective_ratio"].labels(*labels).set(float(objective))
                if threshold is not None and slo.sli is Sli.LATENCY:
                    self._families["relay_slo_threshold_seconds"].labels(*labels).set(threshold)
                self._families["relay_slo_window_seconds"].labels(*labels).set(slo.window)

    def _info(self, relay: RelayConfig) -> None:
        more = [relay.labels.get(name, "") for name in _info_labels(self._config)]
        self._families["relay_probe_relay_info"].labels(self._location, relay.name, relay.max_severity, *more).set(1)

    def _forget(self, relay: RelayConfig, *, gone: bool) -> None:
        more = [relay.labels.get(name, "") for name in _info_labels(self._config)]
        self._families["relay_probe_relay_info"].remove(self._location, relay.name, relay.max_severity, *more)
        if gone:
            self._relay_up.pop(relay.name, None)
            for name in RELAY_LABELS:
                self._families[name].remove_by_labels({"location": self._location, "relay": relay.name})

    def _gap(self, probe: ProbeConfig) -> float:
        if not isinstance(probe.schedule, Continuous):
            return self._longest_gap(probe.schedule)
        return (probe.duration or HOLD) if probe.scenario == "steady-state" else probe.cycle

    # What probes and the daemon report.

    def publish(self, report: Run | Report) -> None:  # noqa: C901 - one case a kind of report, nothing more
        """Book one run or report. One of a relay or probe that is gone is dropped: its series are too."""
        series = self._series.get((report.relay, report.probe))
        if series is None:
            return
        match report:
            case Run():
                series.run(report, relay_up=self._relay_up.get(report.relay))
            case PhaseTimed():
                series.phase(report.phase, report.seconds, report.run_id)
            case MessageSent():
                series.pending += 1
            case MessageJudged():
                series.judged(report.verdict, was_pending=report.pending)
            case Paired():
                series.paired(report.pairing, report.run_id)
            case PairTime():
                series.pair_time(connected=report.connected, seconds=report.seconds)
            case Disconnected():
                series.disconnected(report.code)
            case Reconnected():
                series.reconnected(report.seconds, report.run_id)
            case AddressFailed():
                series.address_failed(report.family)
            case Confirmed():
                series.confirmed(report.over, ok=report.ok)
            case CertificateSeen():
                name = "relay_probe_certificate_expiry_timestamp_seconds"
                self._families[name].labels(self._location, report.relay).set(report.not_after)

    def set_relay_up(self, relay: str, up: bool) -> None:  # noqa: FBT001 - up is what it is called everywhere
        """The verdict on a relay."""
        self._relay_up[relay] = up
        self._families["relay_up"].labels(self._location, relay).set(up)
        for (name, _), series in self._series.items():
            if name == relay:
                series.relay_up(up)

    def set_healthy(self, healthy: bool) -> None:  # noqa: FBT001 - as above
        """Whether the monitor trusts itself."""
        self._families["relay_monitor_healthy"].labels(self._location).set(healthy)

    def set_maintenance(self, relay: str, probe: str, active: bool) -> None:  # noqa: FBT001 - as above
        """Whether a probe is inside a maintenance window."""
        if (series := self._series.get((relay, probe))) is not None:
            series.maintenance.set(active)

    def set_reload(self, *, ok: bool, at: float) -> None:
        """How the last reading of the configuration went, at `at` seconds since the epoch."""
        self._families["relay_monitor_config_last_reload_successful"].labels(self._location).set(ok)
        if ok:
            name = "relay_monitor_config_last_reload_success_timestamp_seconds"
            self._families[name].labels(self._location).set(at)

    def count_run(self, relay: str, probe: str, result: str) -> None:
        """One slot of the schedule was started, missed or skipped."""
        self._families["relay_monitor_runs_total"].labels(self._location, relay, probe, result).inc()

    def observe_loop_lag(self, seconds: float) -> None:
        """One reading of the event loop's lag."""
        self._lag.observe(seconds)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Everything, in the form that an `Accept` header asks for, and its content type."""
        encoder, content_type = choose_encoder(accept)
        with self._lock:
            return encoder(self.registry), content_type


def _info_labels(config: Config) -> tuple[str, ...]:
    return tuple(sorted({name for relay in config.relays for name in relay.labels}))


def _family(
    kind: str, name: str, meaning: str, labels: tuple[str, ...], registry: CollectorRegistry
) -> Counter | Gauge | Histogram:
    if kind == "counter":
        return Counter(name.removesuffix("_total"), meaning, labels, registry=registry)
    if kind == "gauge":
        return Gauge(name, meaning, labels, registry=registry)
    return Histogram(name, meaning, labels, buckets=BUCKETS, registry=registry)
