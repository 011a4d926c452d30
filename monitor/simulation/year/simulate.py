"""The simulation of a year: monitors observe its faults, the generated rules judge, and Alertmanager notifies."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from monitor.burn_rate import burn_conditions
from monitor.reachability.degradation import Criteria
from monitor.simulation.notifications import Alertmanager
from monitor.simulation.promql import Store
from monitor.simulation.ruler import Ruler, at_one_interval
from monitor.simulation.year.exported import Exported, Monitor, phase_of
from monitor.simulation.year.kinds import Scope
from monitor.simulation.year.observed import Observed
from monitor.simulation.year.observer import Observer
from monitor.simulation.year.outcomes import budgets_of, count, may_page
from monitor.simulation.year.plan import GROUP_SIZE
from monitor.slo.alertmanager import alertmanager_file
from monitor.slo.rules import groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from monitor.config import Config
    from monitor.simulation.notifications import Notification
    from monitor.simulation.year.outcomes import Counted
    from monitor.simulation.year.plan import Fault
    from monitor.slo.rules.rule import Alert

YEAR: Final = 365 * 86_400.0
LEAD: Final = 120.0
"""Seconds before a fault from which on alerts are evaluated."""

TAIL: Final = 1500.0
"""Seconds after a fault until which alerts are evaluated: pages about it have ended by then."""

BEFORE: Final = 60.0
"""Seconds before a fault from which on attempts and exchanges are simulated; exchanges of some faults for longer."""

AFTER: Final = 60.0
"""Seconds after a fault until which they are simulated, and longer until the relay is up."""

EGRESS_FOUND: Final = 10.0
"""Seconds until a monitor notices that all relays fail for it alone."""

HEALTHY_AGAIN: Final = 10.0
"""Seconds from the end of a fault of its own to when a monitor says that it is healthy."""


@dataclass(slots=True)
class Cluster:
    """Faults that overlap in time and relays, with the time around them."""

    start: float
    end: float
    faults: list[Fault]
    relays: set[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """A year: its faults, and what receivers got."""

    relays: int
    locations: int
    seconds: float
    faults: Sequence[Fault]
    notifications: Sequence[Notification]
    groups: dict[str, str] = field(default_factory=dict)  # relay → group


def enlarged(config: Config, relays: int, locations: int) -> Config:
    """Return the configuration with this many relays and locations, made from its own; relays stand in groups."""
    places = (*config.locations, *(f"location-{number}" for number in range(len(config.locations), locations)))
    made = [
        config.relays[number % len(config.relays)].model_copy(
            update={"name": f"relay-{number:02d}", "group": f"group-{number // GROUP_SIZE}"}
        )
        for number in range(relays)
    ]
    names = tuple(relay.name for relay in made)
    probes = tuple(
        probe.model_copy(
            update={
                "relays": tuple(
                    name
                    for number, name in enumerate(names)
                    if config.relays[number % len(config.relays)].name in probe.relays
                )
            }
        )
        for probe in config.probes
    )
    return config.model_copy(update={"relays": tuple(made), "probes": probes, "locations": places[:locations]})


def simulate_faults(
    config: Config,
    faults: Sequence[Fault],
    *,
    seed: int,
    seconds: float,
    wanted: Callable[[Alert], bool] | None = None,
) -> Simulated:
    """Simulate these faults, which are sorted by their start, in a span of `seconds`.

    `wanted` selects the alerts; without it, those that page and those that inhibit them.
    """
    simulation = Clusters(config, faults, seed, wanted=wanted)
    found = [each for cluster in clusters(faults) for each in simulation.notifications(cluster)]
    return simulated(config, faults, seconds, found)


def simulated(
    config: Config, faults: Sequence[Fault], seconds: float, notifications: Iterable[Notification]
) -> Simulated:
    """Return what the receivers of a configuration got of these faults."""
    return Simulated(
        relays=len(config.relays),
        locations=len(config.locations),
        seconds=seconds,
        faults=faults,
        notifications=sorted(notifications, key=lambda each: each.at),
        groups={relay.name: relay.group for relay in config.relays if relay.group},
    )


def clusters(faults: Sequence[Fault]) -> Iterator[Cluster]:
    """Yield the clusters of faults that are sorted by their start."""
    open_clusters: list[Cluster] = []
    for fault in faults:
        start, end = fault.start - LEAD, fault.end + TAIL
        if fault.window is not None:
            start, end = min(start, fault.window[0] - LEAD), max(end, fault.window[1] + TAIL)
        yield from (each for each in open_clusters if each.end <= start)
        open_clusters = [each for each in open_clusters if each.end > start]
        joined = Cluster(start, end, [fault], set(fault.relays))
        for other in [each for each in open_clusters if each.relays & joined.relays]:
            open_clusters.remove(other)
            joined = Cluster(
                min(joined.start, other.start),
                max(joined.end, other.end),
                other.faults + joined.faults,
                joined.relays | other.relays,
            )
        open_clusters.append(joined)
    yield from open_clusters


class Clusters:
    """Simulates one cluster after the other.

    aligned: scrape and evaluate at multiples of the intervals, and each group at every evaluation, as promtool does;
        otherwise at drawn phases, and each group at its own interval, as Prometheus does.
    """

    def __init__(
        self,
        config: Config,
        faults: Sequence[Fault],
        seed: int,
        *,
        aligned: bool = False,
        wanted: Callable[[Alert], bool] | None = None,
    ) -> None:
        self._aligned = aligned
        self._criteria = Criteria.of(config)
        self._config, self._seed = config, seed
        self._alertmanager = Alertmanager(alertmanager_file(config))
        self._relays = {relay.name: relay for relay in config.relays}
        self._budgets = {name: budgets_of(config, name) for name in self._relays}
        self._probes = {name: [probe for probe in config.probes if name in probe.relays] for name in self._relays}
        self._numbers = {id(fault): number for number, fault in enumerate(faults)}
        self._conditions = {
            slo.window: [
                each for each in burn_conditions(slo.window, config.prometheus.step) if each.severity == "critical"
            ]
            for slo in config.slos
        }
        self._earlier: dict[str, list[Fault]] = defaultdict(list)
        for fault in faults:
            if fault.kind.scope not in {Scope.LOCATION, Scope.MONITOR}:
                for relay in fault.relays:
                    self._earlier[relay].append(fault)
        interval = config.prometheus.evaluation_interval
        self.ruler = Ruler(
            at_one_interval(groups(config)) if aligned else groups(config),
            interval,
            lambda name, each: each * self._phase(name),
            common_labels={**config.alerts.labels, "install": config.install},
            wanted=wanted or self._wanted,
        )

    def _wanted(self, alert: Alert) -> bool:
        """Return whether an alert pages, or inhibits."""
        if alert.severity == "critical":
            return True
        static = {"alertname": alert.name, "severity": alert.severity, "service": "relay-monitor", **alert.labels}
        return self._alertmanager.inhibits(static | {"install": self._config.install})

    def notifications(self, cluster: Cluster) -> list[Notification]:
        """Return the notifications of one cluster."""
        store = self.series(cluster)
        if store is None:
            return []
        firing = self.ruler.run(store, cluster.start, cluster.end)
        return self._alertmanager.notifications(firing, cluster.end)

    def series(self, cluster: Cluster) -> Store | None:
        """Return the series that are scraped around one cluster; None if nothing in them can raise an alert."""
        monitors = [self._monitor(location, cluster) for location in self._config.locations]
        start = cluster.start - self.ruler.history
        observed: dict[tuple[str, str], Observed] = {}
        counted: dict[tuple[str, str], dict[int, list[Counted]]] = {}
        shown = []
        for relay in sorted(cluster.relays):
            for monitor in monitors:
                observed[relay, monitor.location] = self._observe(relay, monitor, cluster)
                counted[relay, monitor.location] = self._counted(relay, monitor, start, cluster.end)
            if any(
                observed[relay, monitor.location].may_alert or self._may_page(relay, counted[relay, monitor.location])
                for monitor in monitors
            ):
                shown.append(relay)
        if not shown and not any(monitor.absent or monitor.unhealthy for monitor in monitors):
            return None
        store = Store()
        for monitor in monitors:
            at = monitor.scrapes(start, cluster.end, self._config.prometheus.scrape_interval)
            exported = Exported(self._config, monitor, store, at)
            exported.of_monitor()
            for relay in shown or sorted(cluster.relays)[:1]:
                windows = [fault.window for fault in cluster.faults if fault.window and relay in fault.relays]
                exported.of_relay(self._relays[relay], observed[relay, monitor.location], windows)
                if any(self._may_page(relay, counted[relay, each.location]) for each in monitors):
                    exported.of_budgets(relay, counted[relay, monitor.location], self._budgets[relay])
        return store

    def _phase(self, name: str) -> float:
        return 0.0 if self._aligned else phase_of(f"{name}{self._seed}")

    def _may_page(self, relay: str, counted: Mapping[int, Sequence[Counted]]) -> bool:
        return any(
            may_page(
                self._budgets[relay][number],
                np.sort(np.concatenate([each.bad for each in stretches])),
                self._conditions[self._budgets[relay][number].slo.window],
            )
            for number, stretches in counted.items()
        )

    def _monitor(self, location: str, cluster: Cluster) -> Monitor:
        faults = [fault for fault in cluster.faults if location in fault.locations]
        unhealthy = [(fault.start, fault.end + HEALTHY_AGAIN) for fault in faults if fault.kind.unhealthy]
        unhealthy += [
            (fault.start + EGRESS_FOUND, fault.end + HEALTHY_AGAIN)
            for fault in faults
            if fault.kind.scope is Scope.LOCATION
        ]
        return Monitor(
            location=location,
            phase=self._config.prometheus.scrape_interval * self._phase(location),
            absent=[(fault.start, fault.end) for fault in faults if fault.kind.absent],
            unhealthy=sorted(unhealthy),
        )

    def _observe(self, relay: str, monitor: Monitor, cluster: Cluster) -> Observed:
        faults = [
            fault
            for fault in cluster.faults
            if relay in fault.relays and monitor.location in fault.locations and fault.kind.scope is not Scope.MONITOR
        ]
        rng = self._rng(f"{relay}/{monitor.location}/{cluster.start}")
        if not faults and not monitor.unhealthy:
            return Observed()
        observer = Observer(self._relays[relay], self._probes[relay], faults, monitor.unhealthy, rng, self._criteria)
        spans = [(fault.start, fault.end) for fault in faults] + list(monitor.unhealthy)
        before = self._criteria.window if any(fault.kind.loss or fault.kind.slow for fault in faults) else BEFORE
        return observer.run(min(start for start, _ in spans) - before, max(end for _, end in spans) + AFTER)

    def _counted(self, relay: str, monitor: Monitor, start: float, end: float) -> dict[int, list[Counted]]:
        """Return the events of each budget that faults change, those before the cluster included."""
        found: dict[int, list[Counted]] = defaultdict(list)
        for fault in self._earlier[relay]:
            if fault.end < start - TAIL or fault.start > end or monitor.location not in fault.locations:
                continue
            for number, budget in enumerate(self._budgets[relay]):
                rng = self._rng(f"{self._numbers[id(fault)]}/{monitor.location}/{number}")
                if (counted := count(budget, fault, rng)) is not None:
                    found[number].append(counted)
        return found

    def _rng(self, text: str) -> np.random.Generator:
        return np.random.default_rng([self._seed, round(phase_of(text) * 2**32)])
