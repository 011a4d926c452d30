"""From what probes publish to what Prometheus scrapes.

Every counter exists at 0 from the start, since one that is born at 1 is invisible to `rate()`; a relay or probe that
leaves the configuration takes its series along.

What is published is booked when somebody reads: a program that slept fetches whatever it runs from memory first, so
that to book one report takes as long as to book five in a row.
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

MOST_UNBOOKED: Final = 500
"""Reports that wait for somebody to read; as many are booked in a few milliseconds."""


class Metrics:
    """The series of one monitor, in a registry of its own.

    `of_process` adds `process_*`,
    what this process itself takes. `render` may be called in any thread, and `registry` read in any, everything else on
    the event loop alone. None of it raises for what a relay did, and none of it waits for a rendering that goes on; but
    what changes the series waits for a booking, of `MOST_UNBOOKED` reports or so.
    """

    def __init__(
        self,
        config: Config,
        *,
        version: str,
        shard: str = "0/1",
        of_process: bool = True,
    ) -> None:
        self.registry: CollectorRegistry = _Registry(self.book)
        self._unbooked: deque[Run | Report] = deque()
        self._changing = RLock()  # for what books and what changes the series, one of them at a time
        if of_process:
            ProcessCollector(registry=self.registry)
        self._location = config.location
        self._info = _RelayInfo(config.location)
        self.registry.register(self._info)
        self._families: dict[str, Any] = {
            item.name: _family(item.kind, item.name, item.meaning, item.labels, self.registry)
            for item in DECLARED
            if item.name != INFO
        }
        self._series: dict[tuple[str, str], ProbeSeries] = {}
        self._shapes: dict[tuple[str, str], tuple[Scenario, bool]] = {}
        self._relays: set[str] = set()
        self._relay_up: dict[str, bool] = {}
        self._objectives: set[tuple[str, str, str]] = set()
        self._lag = self._families["relay_monitor_event_loop_lag_seconds"].labels(self._location)
        self._families["relay_monitor_build_info"].labels(self._location, version, platform.python_version()).set(1)
        self._families["relay_monitor_shard_info"].labels(self._location, shard).set(1)
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Take up another configuration: what is gone takes its series along, what is new begins at 0.

        What stays keeps its counts. Raises `MisuseError` for another location: that would be another monitor.
        """
        if config.location != self._location:
            raise MisuseError(f"location is {self._location!r} and stays so while the monitor runs: restart it")
        with self._changing:
            self.book()
            self._reconfigure(config)

    def _reconfigure(self, config: Config) -> None:
        wanted = {(relay, probe.name): probe for probe in config.probes for relay in probe.relays}
        shapes = {key: (probe.scenario, probe.is_continuous) for key, probe in wanted.items()}
        for key in [key for key, shape in self._shapes.items() if shapes.get(key) != shape]:
            self._series.pop(key).remove()
        self.forget(self._relays - {relay.name for relay in config.relays})
        self._shapes, self._relays = shapes, {relay.name for relay in config.relays}
        self._info.relays = config.relays
        for key, probe in wanted.items():
            if key not in self._series:
                self._series[key] = ProbeSeries(self._families, self._location, key[0], probe)
                self._series[key].set_relay_up(self._relay_up.get(key[0]))
            self._series[key].configure(probe.longest_gap, [slo for slo in config.slos if probe.name in slo.probe])
        self._show_objectives(config)

    def forget(self, relays: Iterable[str]) -> None:
        """Show no verdict on these relays, nor their certificates: they are gone, or are others now."""
        with self._changing:
            self.book()
            for relay in relays:
                self._relay_up.pop(relay, None)
                self._tell_verdict(relay)
                for name in OF_A_RELAY:
                    self._families[name].remove(self._location, relay)

    def _show_objectives(self, config: Config) -> None:
        shown: dict[tuple[str, str, str], float] = {}
        watched = {probe.name: probe.relays for probe in config.probes}
        for slo in config.slos:
            for relay in dict.fromkeys(relay for probe in slo.probe for relay in watched.get(probe, ())):
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

    # What probes and the daemon report.

    def publish(self, report: Run | Report) -> None:
        """Take one run or report. One of a relay or probe that is gone is dropped: its series are too."""
        self._unbooked.append(report)
        # Where a reader has it booked just now, in a thread of its own, nobody waits for that.
        if len(self._unbooked) >= MOST_UNBOOKED and self._changing.acquire(blocking=False):
            try:
                self.book()
            finally:
                self._changing.release()

    def book(self) -> None:
        """Book what was published."""
        with self._changing:
            while self._unbooked:
                report = self._unbooked.popleft()
                if (series := self._series.get((report.relay, report.probe))) is None:
                    continue
                try:
                    series.bookings[type(report)](report)
                except Exception:  # noqa: BLE001 - a fault of ours, which whoever reads has no part in
                    _log.exception("not booked", report=type(report).__name__, relay=report.relay, probe=report.probe)
            for series in self._series.values():
                series.bring()

    def set_relay_up(self, relay: str, up: bool) -> None:  # noqa: FBT001 - up is what it is called everywhere
        """The verdict on a relay."""
        if relay not in self._relays:
            return
        with self._changing:
            self._relay_up[relay] = up
            self._families["relay_up"].labels(self._location, relay).set(up)
            self._tell_verdict(relay)

    def _tell_verdict(self, relay: str) -> None:
        for (name, _), series in self._series.items():
            if name == relay:
                series.set_relay_up(self._relay_up.get(relay))

    def set_healthy(self, healthy: bool) -> None:  # noqa: FBT001 - as above
        """Whether the monitor trusts itself."""
        self._families["relay_monitor_healthy"].labels(self._location).set(healthy)

    def set_maintenance(self, relay: str, probe: str, active: bool) -> None:  # noqa: FBT001 - as above
        """Whether a probe is inside a maintenance window."""
        if (series := self._series.get((relay, probe))) is not None:
            series.maintenance(active)

    def set_reload(self, *, ok: bool, at: float) -> None:
        """How the last reading of the configuration went, at `at` seconds since the epoch."""
        self._families["relay_monitor_config_last_reload_successful"].labels(self._location).set(ok)
        if ok:
            name = "relay_monitor_config_last_reload_success_timestamp_seconds"
            self._families[name].labels(self._location).set(at)

    def count_run(self, relay: str, probe: str, result: str) -> None:
        """One slot of the schedule was started, missed or skipped."""
        if (series := self._series.get((relay, probe))) is not None:
            series.slot(result)

    def observe_loop_lag(self, seconds: float) -> None:
        """One reading of the event loop's lag."""
        self._lag.observe(seconds)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Everything, in the form that an `Accept` header asks for, and its content type.

        Each series is read whole, the page as a whole is not: a run booked meanwhile may show in one and not yet in
        another, and so may a reconfiguration. The next scrape has it all.
        """
        try:
            encoder, content_type = choose_encoder(accept)
        except TypeError:  # what it raises for a version that is no number
            encoder, content_type = choose_encoder("")
        return encoder(self.registry), content_type


class _Registry(CollectorRegistry):
    """Has what was published booked before anybody reads it."""

    def __init__(self, book: Callable[[], None]) -> None:
        super().__init__(auto_describe=False)
        self._book = book

    def collect(self) -> Iterator[Metric]:
        self._book()
        yield from super().collect()

    def restricted_registry(self, names: Iterable[str]) -> RestrictedRegistry:
        self._book()
        return super().restricted_registry(names)


class _RelayInfo(Collector):
    """One series a relay, with labels of its own, which a new configuration may change; a gauge's are fixed."""

    def __init__(self, location: str) -> None:
        self.relays: Sequence[RelayConfig] = ()
        self._location = location
        self._meaning = next(item.meaning for item in DECLARED if item.name == INFO)

    def collect(self) -> Iterator[Metric]:
        relays = self.relays
        own = sorted({name for relay in relays for name in relay.labels})
        family = GaugeMetricFamily(INFO, self._meaning, labels=["location", "relay", "max_severity", *own])
        for relay in relays:
            more = (relay.labels.get(name, "") for name in own)
            family.add_metric([self._location, relay.name, relay.max_severity, *more], 1)
        yield family


def _family(
    kind: str, name: str, meaning: str, labels: tuple[str, ...], registry: CollectorRegistry
) -> Counter | Gauge | Histogram:
    if kind == "counter":
        return Counter(name.removesuffix("_total"), meaning, labels, registry=registry)
    if kind == "gauge":
        return Gauge(name, meaning, labels, registry=registry)
    return Histogram(name, meaning, labels, buckets=BUCKETS, registry=registry)
