"""What the monitors of a configuration export around a fault, and what fires then."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from monitor.simulation.promql import Series, Store, labels
from monitor.simulation.ruler import Firing, Ruler
from monitor.simulation.year.exported import Exported, Monitor
from monitor.simulation.year.observed import Observed, Status
from monitor.simulation.year.outcomes import Counted, budgets_of
from monitor.slo.rules.rule import Alert
from tests.simulation.windows_config import DELAYS, groups_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from monitor.config import Config
    from monitor.simulation.budgets import EventTimes
    from monitor.simulation.promql.series import Floats

START: Final = 40 * 86_400.0
"""Time of the fault; it is a multiple of all intervals."""

LAGGING_BUDGETS: Final = False
"""Whether samples of error budgets are late too: a ruler of such a store needs a query offset."""


class Sampled(NamedTuple):
    """One more series: its value as a function of the time of a scrape."""

    name: str
    labels: Mapping[str, str]
    value: Callable[[Floats], Floats]


def delay_of(seed: int) -> float:
    """Return the seconds until samples can be queried."""
    return float(DELAYS[seed % len(DELAYS)])


@dataclass(slots=True)
class Exports:
    """What the monitors of one configuration export around `START`; no field set: nothing fails."""

    config: Config
    seed: int
    statuses: Sequence[Status] = ()
    silent: Sequence[float] = ()
    absent: Sequence[tuple[float, float]] = ()
    unhealthy: Sequence[tuple[float, float]] = ()
    windows: Sequence[tuple[float, float]] = ()
    fails: Mapping[int, EventTimes] = field(default_factory=dict)
    fails_since: float = START  # before it, events are good and at the times of the schedule
    first_scrape: float = -math.inf  # Prometheus has nothing earlier
    missed: float = math.nan  # the scrapes of this time fail, at all locations
    locations: Sequence[str] = ()  # those with the fault; all by default
    more: Sequence[Sampled] = ()
    real_scrape: float | None = None  # None: as configured

    @property
    def scrape(self) -> float:
        """Seconds between two scrapes."""
        return self.real_scrape or self.config.prometheus.scrape_interval

    def firing(self, end: float, wanted: Callable[[Alert], bool], *, version: int = 3) -> list[Firing]:
        """Return what fires of the wanted alerts from shortly before `START` to `end`."""
        config, rng = self.config, random.Random(self.seed)
        scrape, evaluation = self.scrape, config.prometheus.evaluation_interval
        groups = groups_of(self.seed)
        phases = {group.name: rng.random() for group in groups}
        ruler = Ruler(groups, evaluation, lambda name, each: each * phases[name], wanted=wanted, version=version)
        waits = [
            rule.pending_for for group in groups for rule in group.rules if isinstance(rule, Alert) and wanted(rule)
        ]
        lead = min(max(waits), 600.0)  # an alert without a fault has the time to fire
        begin = max(START - lead - 2 * max(scrape, evaluation) - 60.0, self.first_scrape)
        store = self.series(begin - ruler.history, end, [scrape * rng.random() for _ in config.locations])
        # A sample that is a minute late and older than Prometheus' look-back of 5 minutes is not there.
        not_late = scrape + max(DELAYS) > 300.0 or (bool(self.fails) and not LAGGING_BUDGETS)
        for series in store.all():
            series.delay = 0.0 if not_late else delay_of(self.seed)
        return ruler.run(store, begin, end)

    def series(self, begin: float, end: float, phases: Sequence[float]) -> Store:
        """Return what is scraped, with the time of each location's first scrape after 0."""
        config, scrape = self.config, self.scrape
        store = Store()
        budgets = budgets_of(config, "demo")
        for location, phase in zip(config.locations, phases, strict=True):
            faulty = not self.locations or location in self.locations
            monitor = Monitor(
                location=location,
                phase=phase,
                absent=self.absent if faulty else (),
                unhealthy=self.unhealthy if faulty else (),
            )
            at = monitor.scrapes(begin, end, scrape)
            at = at[at >= self.first_scrape]
            exported = Exported(config, monitor, store, at)
            exported.of_monitor()
            observed = Observed(list(self.statuses), list(self.silent)) if faulty else Observed()
            exported.of_relay(config.relays[0], observed, list(self.windows))
            counted = {
                number: [Counted(self.fails_since, end, made.good, made.bad)]
                for number, made in (self.fails.items() if faulty else ())
            }
            exported.of_budgets("demo", counted, budgets)
            for each in self.more if faulty else ():
                of = labels(install=config.install, location=location, **each.labels)
                store.add(Series(each.name, of, at, monitor.there(at) * each.value(at)))
        if not math.isnan(self.missed):
            for series in store.all():
                gone = (series.times > self.missed) & (series.times <= self.missed + scrape)
                series.values = np.where(gone, np.nan, series.values)
        return store

    @property
    def slack(self) -> float:
        """Seconds from a change to its evaluation, at most: a scrape, a lag, recording rules and the alert."""
        prometheus = self.config.prometheus
        return 2 * prometheus.scrape_interval + 3 * max(60.0, prometheus.evaluation_interval) + max(DELAYS)
