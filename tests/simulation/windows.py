"""Configurations at many scrape and evaluation intervals: each alert fires for its fault, and none for a blip.

`python -m tests.simulation.windows NUMBER SEED` checks many of them, and prints each that fails with its seed.
"""

from __future__ import annotations

import math
import random
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import yaml

from monitor.burn_rate import burn_conditions
from monitor.config import Config, parse
from monitor.errors import ConfigError
from monitor.simulation.budgets import EventTimes, Intervals, Rule, first_page, simulate_events
from monitor.simulation.promql import Store
from monitor.simulation.ruler import Firing, Ruler
from monitor.simulation.year.exported import Exported, Monitor
from monitor.simulation.year.observer import Observed, Status
from monitor.simulation.year.outcomes import Counted, budgets_of
from monitor.slo.rules import groups
from monitor.slo.rules.message_loss import LOSS_WINDOW, allowed_events
from monitor.slo.rules.paging import event_gap
from monitor.slo.rules.rule import Alert
from monitor.vocabulary import Condition, Sli

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


SECONDS: Final = (1, 2, 5, 10, 15, 20, 30, 45, 60, 120, 180, 300)
FOLLOWED: Final = 7200.0
"""Seconds for which an error budget burns; a later page is not checked."""

LAGGING_BUDGETS: Final = False
"""Whether samples of error budgets are late too: nine of 200 configurations, with short intervals, do not page then."""

DELAYS: Final = (0, 0, 60)
"""Seconds until a sample can be queried: a remote store's lag."""

OBJECTIVES: Final = ("90%", "95%", "99%", "99.5%", "99.9%", "99.99%", "100%")
WINDOWS: Final = ("1d", "7d", "28d", "30d")
START: Final = 40 * 86_400.0
"""Time of the fault; it is a multiple of all intervals."""


def draw_config(seed: int) -> Config:
    """Draw a valid configuration of one relay."""
    rng = random.Random(seed)
    probes: list[dict[str, Any]] = [
        {
            "name": "steady",
            "scenario": "steady-messaging",
            "pairs": rng.choice((1, 2, 3)),
            "message_interval": rng.choice(("1s", "5s", "5s", "20s")),
        }
    ]
    if rng.random() < 0.5:
        every = rng.choice(("30s", "1m", "5m", "20m"))
        probes.append({"name": "session", "scenario": "realistic-session", "schedule": {"every": every}})
    if rng.random() < 0.5:
        probes.append(
            {"name": "offline", "scenario": "async-delivery", "schedule": {"every": "1m"}, "pairing": "fresh"}
        )
    slos = []
    for number in range(rng.randint(1, 3)):
        sli = rng.choice(("availability", "availability", "latency", "stability", "pairing"))
        able = [each["name"] for each in probes if sli not in {"stability", "latency"} or each["name"] != "offline"]
        able = ["steady"] if sli == "stability" else able
        slos.append(
            {
                "name": f"slo-{number}",
                "sli": sli,
                "probe": rng.sample(able, rng.randint(1, len(able))),
                "objective": rng.choice(OBJECTIVES),
                "window": rng.choice(WINDOWS),
                **({"threshold": "400ms"} if sli == "latency" else {}),
            }
        )
    scrape, evaluation = rng.choice(SECONDS), rng.choice(SECONDS)
    locations = ["here", "there", "third"][: rng.choice((1, 1, 2, 3))]
    relay = {
        "name": "demo",
        "url": "embedded",
        "page_after": rng.choice(("0s", "30s", "30s", "2m")),
        "scope": rng.choice(("global", "global", "regional")),
    }
    return _accepted(
        {
            "location": "here",
            "locations": locations,
            "relays": [relay],
            "probes": probes,
            "slos": slos,
            "prometheus": {"scrape_interval": f"{scrape}s", "evaluation_interval": f"{evaluation}s"},
        }
    )


def _accepted(document: dict[str, Any]) -> Config:
    """Return the document as a configuration, without the SLOs that `check` rejects."""
    try:
        return parse(yaml.safe_dump(document), "config.yaml", {})
    except ConfigError as error:
        refused = {int(found[1]) for problem in error.problems if (found := re.match(r"slos\[(\d+)\]", problem.key))}
        kept = [slo for number, slo in enumerate(document["slos"]) if number not in refused]
    return parse(yaml.safe_dump(document | {"slos": kept}), "config.yaml", {})


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
    first_scrape: float = -math.inf  # Prometheus has nothing earlier
    missed: float = math.nan  # the scrapes of this time fail, at all locations
    locations: Sequence[str] = ()  # those with the fault; all by default

    def firing(self, end: float, *, version: int = 3) -> list[Firing]:
        """Return what fires from shortly before `START` to `end`."""
        config, rng = self.config, random.Random(self.seed)
        scrape, evaluation = config.prometheus.scrape_interval, config.prometheus.evaluation_interval
        phases = {group.name: rng.random() for group in groups(config)}
        ruler = Ruler(groups(config), evaluation, lambda name, each: each * phases[name], version=version)
        begin = max(START - 2 * max(scrape, evaluation) - 60.0, self.first_scrape)
        store = self.series(begin - ruler.history, end, [scrape * rng.random() for _ in config.locations])
        # A sample that is a minute late and older than Prometheus' look-back of 5 minutes is not there.
        not_late = scrape + max(DELAYS) > 300.0 or (bool(self.fails) and not LAGGING_BUDGETS)
        for series in store.all():
            series.delay = 0.0 if not_late else delay_of(self.seed)
        return ruler.run(store, begin, end)

    def series(self, begin: float, end: float, phases: Sequence[float]) -> Store:
        """Return what is scraped, with the time of each location's first scrape after 0."""
        config, scrape = self.config, self.config.prometheus.scrape_interval
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
            exported = Exported(config, monitor, store, at[at >= self.first_scrape])
            exported.of_monitor()
            observed = Observed(list(self.statuses), list(self.silent)) if faulty else Observed()
            exported.of_relay(config.relays[0], observed, list(self.windows))
            counted = {
                number: [Counted(START, end, made.good, made.bad)]
                for number, made in (self.fails.items() if faulty else ())
            }
            exported.of_budgets("demo", counted, budgets)
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


def alerts_of(config: Config) -> list[Alert]:
    return [rule for group in groups(config) for rule in group.rules if isinstance(rule, Alert)]


UP: Final = Status(at=START + 20.0, condition=Condition.UP, up=True, accepting=True)
DOWN: Final = Status(at=START, condition=Condition.DOWN, up=False, accepting=False)
REFUSING: Final = Status(at=START, condition=Condition.NOT_ACCEPTING, up=True, accepting=False)


def faults(config: Config, seed: int) -> Iterator[tuple[str, Exports, float]]:
    """Yield alerts, each with a fault that ought to fire it, and the seconds within which it must."""
    named = {each.name: each for each in alerts_of(config)}
    wait = config.relays[0].page_after
    if "RelayDown" in named:
        exports = Exports(config, seed, statuses=[DOWN])
        yield "RelayDown", exports, wait + exports.slack
    if "RelayNotAccepting" in named:
        exports = Exports(config, seed, statuses=[REFUSING])
        yield "RelayNotAccepting", exports, wait + exports.slack
    if "RelayMonitorAbsent" in named:
        exports = Exports(config, seed, absent=[(START, START + 86_400.0)])
        yield "RelayMonitorAbsent", exports, 300.0 + exports.slack + 300.0
    if "RelayMonitorUnhealthy" in named:
        exports = Exports(config, seed, unhealthy=[(START, START + 86_400.0)])
        yield "RelayMonitorUnhealthy", exports, 900.0 + 4 * config.prometheus.scrape_interval + exports.slack + 60.0
    if "RelayInMaintenance" in named:
        exports = Exports(config, seed, windows=[(START, START + 86_400.0)])
        yield "RelayInMaintenance", exports, exports.slack
    if "RelayPartialFailure" in named:
        exports = Exports(config, seed, silent=[START + 20.0 * number for number in range(200)])
        yield "RelayPartialFailure", exports, wait + 300.0 + exports.slack


def burns(config: Config, seed: int) -> Iterator[tuple[str, Exports, float]]:
    """Yield the pages of each error budget, while all of its events fail, with the time that the forecast says."""
    prometheus = config.prometheus
    intervals = Intervals(scrape=prometheus.scrape_interval, evaluation=prometheus.evaluation_interval)
    rng = np.random.default_rng(seed)
    for number, budget in enumerate(budgets_of(config, "demo")):
        objective = budget.slo.objective
        assert objective is not None
        gap = event_gap(budget.probe)
        conditions = burn_conditions(budget.slo.window, prometheus.step, gap)
        critical = [each for each in conditions if each.severity == "critical"]
        history = max(each.long_window for each in critical)
        events = simulate_events(budget.sources, START - history, START + FOLLOWED, lambda at: at >= START, rng)
        counted = EventTimes(events.good[events.good >= START], events.bad)
        if objective == 1:
            number_bad = math.floor(2 * allowed_events(config, budget.slo) + 1.5) + 1
            bad = events.bad
            close = np.flatnonzero(bad[number_bad - 1 :] - bad[: len(bad) - number_bad + 1] <= LOSS_WINDOW / 2)
            messages = budget.slo.sli is Sli.AVAILABILITY
            alert = "RelayMessagesLost" if messages else "RelayErrorBudgetBurn"
            page = float(bad[close[0] + number_bad - 1]) if len(close) else math.inf
        else:
            stability = budget.slo.sli is Sli.STABILITY
            rules = [
                Rule(
                    condition=each,
                    objective=objective,
                    min_failures=each.half_window_failures(budget.rate) * float(1 - objective) if stability else 0.0,
                )
                for each in critical
            ]
            alert = "RelayErrorBudgetBurn"
            page = first_page([(events, rules)], START, START + FOLLOWED, intervals, rng)
        exports = Exports(config, seed, fails={number: counted})
        if page + exports.slack < START + FOLLOWED:
            yield alert, exports, page - START + exports.slack


def blips(config: Config, seed: int) -> Iterator[tuple[str, Exports]]:
    """Yield what must raise no critical alert."""
    if config.relays[0].page_after >= 30.0:
        yield "down for 20 s", Exports(config, seed, statuses=[DOWN, UP])
    budgets = range(len(budgets_of(config, "demo")))
    none = np.empty(0)
    once = {number: EventTimes(none, np.array([START + 1.0])) for number in budgets}
    yield "one bad event", Exports(config, seed, fails=once)
    yield "one missed scrape", Exports(config, seed, missed=START)
    yield "a new Prometheus", Exports(config, seed, first_scrape=START - 60.0)
    yield "a restart of the monitor", Exports(config, seed, absent=[(START, START + 20.0)])


def problems(seed: int) -> tuple[list[str], Counter[str]]:
    """Return what is wrong with one configuration, and how often each alert was checked."""
    config = draw_config(seed)
    prometheus = config.prometheus
    where = f"seed {seed}, scrape {prometheus.scrape_interval:g} s, evaluation {prometheus.evaluation_interval:g} s, "
    where += f"lag {delay_of(seed):g} s"
    wrong, checked = [], Counter[str]()
    for alert, exports, limit in (*faults(config, seed), *burns(config, seed)):
        checked[alert] += 1
        found = [each for each in exports.firing(START + limit) if each.alert == alert]
        if exports.fails:
            found = [each for each in found if each.severity == "critical"]
        first = min((each.start for each in found), default=math.inf)
        if first > START + limit:
            wrong.append(f"{where}: {alert} does not fire within {limit:.0f} s")
        if first < START:
            wrong.append(f"{where}: {alert} fires before its fault")
    for blip, exports in blips(config, seed):
        checked[blip] += 1
        firing = [each for each in exports.firing(START + 900.0 + 2 * exports.slack) if each.severity == "critical"]
        wrong += [f"{where}: {each.alert} pages for {blip} at {each.start - START:.0f} s" for each in firing]
    return wrong, checked


def main() -> int:
    """Check many configurations."""
    number, first = int(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 0
    total, bad = Counter[str](), 0
    for seed in range(first, first + number):
        wrong, checked = problems(seed)
        total += checked
        bad += bool(wrong)
        for line in wrong:
            print(line, flush=True)  # noqa: T201 - a command
    print(  # noqa: T201 - a command
        f"{number} configurations from seed {first}, {bad} with problems; checked: {dict(total)}"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
