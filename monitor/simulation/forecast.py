"""The forecast of a configuration: per relay and alert the time to page, the false pages, and faults without a page."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np

from monitor.burn_rate import burn_conditions
from monitor.config.attempts import attempt_costs
from monitor.config.traffic import rate, sources
from monitor.simulation import budgets
from monitor.simulation.budgets import Intervals, Rule, Spread
from monitor.simulation.trend import LATENCY_SIGMA, false_trend_alerts, trend_fires_at
from monitor.simulation.verdict_faults import verdict_times
from monitor.slo.alertmanager import GROUP_WAIT, budget_wait
from monitor.slo.rules.message_loss import LOSS_WINDOW, allowed_events
from monitor.slo.rules.paging import event_gap
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from monitor.config import Config, RelayConfig, SloConfig
    from monitor.config.attempts import AttemptCost
    from monitor.config.traffic import Source
    from monitor.simulation.budgets import EventTimes, Floats, ProbeRules

DAY: Final = 86_400.0
MONTH: Final = 30 * DAY
FOLLOW_TIME: Final = {"critical": 0.25 * DAY, "warning": 3 * DAY}
"""Seconds for which a fault is simulated, by severity; a later alert counts as none."""

UP: Final = "all fail, relay up"
"""All events of a probe fail while confirmation attempts succeed; if those fail too, `RelayDown` pages instead."""

ERRORS: Final = ((UP, 1.0), ("10 % errors", 0.10), ("2 % errors", 0.02))
SLOWER: Final = "latency ×2"
SLOWDOWN: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The time to page of one alert of one relay under one fault; `spread` is None if it never pages."""

    relay: str
    slo: str  # "" for alerts that belong to no SLO
    alert: str
    severity: str
    fault: str
    spread: Spread | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """False pages a month at a healthy relay of whose events `ratio` fail by chance."""

    relay: str
    slo: str
    severity: str
    ratio: float
    pages_a_month: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The forecast of one configuration."""

    rows: tuple[Row, ...]
    noise: tuple[Noise, ...]
    attempts: tuple[AttemptCost, ...] = ()

    @property
    def never(self) -> tuple[Row, ...]:
        """The faults for which no alert of this severity fires."""
        return tuple(row for row in self.rows if row.spread is None)


def forecast(config: Config, *, seed: int, trials: int, noise: Sequence[float], months: int) -> Forecast:
    """Simulate every relay and SLO of a configuration; the same seed gives the same figures.

    `trials` faults of each kind are simulated, and `months` of each ratio of `noise`.
    """
    rng = np.random.default_rng(seed)
    intervals = Intervals(scrape=config.prometheus.scrape_interval, evaluation=config.prometheus.evaluation_interval)
    rows: list[Row] = []
    false_pages: list[Noise] = []
    for relay in config.relays:
        rows += _outages(config, relay, trials, rng)
        for slo in config.slos:
            of_slo = sources(config, slo, relay.name)
            if not of_slo:
                continue
            if slo.sli is Sli.TREND:
                rows.append(_trend(slo, relay, of_slo, intervals, trials, rng))
                false_pages.append(_false_trends(slo, relay, of_slo, intervals, months, rng))
                continue
            simulated = _SimulatedSlo(config, slo, relay, of_slo)
            rows += simulated.rows(intervals, trials, rng)
            false_pages += simulated.false_pages(intervals, noise, months, rng)
    return Forecast(rows=tuple(rows), noise=tuple(false_pages), attempts=tuple(attempt_costs(config)))


def _outages(config: Config, relay: RelayConfig, trials: int, rng: np.random.Generator) -> list[Row]:
    severity = relay.max_severity
    return [
        Row(
            relay=relay.name,
            slo="",
            alert=found.alert or "–",
            severity=severity,
            fault=found.fault,
            spread=Spread.of(found.times),
        )
        for found in verdict_times(config, relay, trials, rng)
    ]


def _trend(
    slo: SloConfig,
    relay: RelayConfig,
    of_slo: Sequence[Source],
    intervals: Intervals,
    trials: int,
    rng: np.random.Generator,
) -> Row:
    """A trend has no error budget: slower round trips are its only fault."""
    probes = _by_probe(of_slo)
    times = [min(trend_fires_at(slo, each, SLOWDOWN, intervals, rng) for each in probes) for _ in range(trials)]
    return Row(
        relay=relay.name,
        slo=slo.name,
        alert="RelayLatencyTrend",
        severity="warning",
        fault=SLOWER,
        spread=Spread.of(np.array(times) + GROUP_WAIT["warning"]),
    )


def _false_trends(
    slo: SloConfig,
    relay: RelayConfig,
    of_slo: Sequence[Source],
    intervals: Intervals,
    months: int,
    rng: np.random.Generator,
) -> Noise:
    """The false alerts of a trend while nothing fails; each month has another median of round trips."""
    alerts = sum(
        false_trend_alerts(slo, each, MONTH, intervals, rng) for each in _by_probe(of_slo) for _ in range(months)
    )
    return Noise(relay=relay.name, slo=slo.name, severity="warning", ratio=0.0, pages_a_month=alerts / months)


def _by_probe(of_slo: Sequence[Source]) -> list[list[Source]]:
    return [list(each) for _, each in groupby(of_slo, lambda source: source.probe)]


class _SimulatedSlo:
    """One SLO at one relay; each of its probes is judged apart, and any of them raises the SLO's alert."""

    def __init__(self, config: Config, slo: SloConfig, relay: RelayConfig, of_slo: Sequence[Source]) -> None:
        objective = slo.objective_for(relay.name)
        assert objective is not None
        self._slo, self._relay, self._objective = slo, relay.name, objective
        self._probes = _by_probe(of_slo)
        self._messages = slo.sli is Sli.AVAILABILITY
        self._alert = "RelayMessagesLost" if objective == 1 and self._messages else "RelayErrorBudgetBurn"
        self._waits = GROUP_WAIT | {"critical": budget_wait(config, relay)}
        self._failures = required_failures(config, slo) if objective == 1 else {}
        pages = relay.max_severity == "critical"
        self._severities = ("critical", "warning") if pages else ("warning",)
        gaps = {probe.name: event_gap(probe) for probe in config.probes}
        self._rules: list[dict[str, list[Rule]]] = []  # of each probe, by severity
        for each in self._probes:
            rules: dict[str, list[Rule]] = {severity: [] for severity in self._severities}
            for condition in burn_conditions(slo.window, config.prometheus.step, gaps[each[0].probe]):
                stability = slo.sli is Sli.STABILITY
                least = condition.half_window_failures(rate(each)) * float(1 - objective) if stability else 0.0
                rule = Rule(condition=condition, objective=objective, min_failures=least)
                rules[condition.severity if pages else "warning"].append(rule)
            self._rules.append(rules)

    def rows(self, intervals: Intervals, trials: int, rng: np.random.Generator) -> list[Row]:
        """Return the time to page for each fault and severity."""
        faults = list(ERRORS)
        if self._slo.sli is Sli.LATENCY:
            faults.append((SLOWER, slow_ratio(float(1 - self._objective), SLOWDOWN)))
        return [
            Row(
                relay=self._relay,
                slo=self._slo.name,
                alert=self._alert,
                severity=severity,
                fault=fault,
                spread=Spread.of(np.array(times) + self._waits[severity]),
            )
            for fault, ratio in faults
            for severity, times in self._times(ratio, intervals, trials, rng).items()
        ]

    def _times(
        self, ratio: float, intervals: Intervals, trials: int, rng: np.random.Generator
    ) -> dict[str, list[float]]:
        """Return the seconds from the fault to the alert of each trial, by severity."""
        strict = self._objective == 1
        rules = [rule for by_severity in self._rules for each in by_severity.values() for rule in each]
        history = 0.0 if strict else max(rule.condition.long_window for rule in rules)
        times: dict[str, list[float]] = {severity: [] for severity in self._severities}

        def fails(at: Floats) -> NDArray[np.bool_]:
            return (at >= 0) & (rng.random(len(at)) < ratio)

        for _ in range(trials):
            events = self._events(-history, max(FOLLOW_TIME.values()), fails, rng)
            for severity in self._severities:
                follow = FOLLOW_TIME[severity]
                if strict:
                    lost = min(
                        self._strict_time(each, of_probe, severity)
                        for each, of_probe in zip(events, self._probes, strict=True)
                    )
                    delay = rng.uniform(0, intervals.scrape) + rng.uniform(0, intervals.evaluation)
                    times[severity].append(lost + delay if lost < follow else math.inf)
                else:
                    page = budgets.first_page(self._with_rules(severity, events), 0.0, follow, intervals, rng)
                    times[severity].append(page)
        return times

    def _events(
        self, start: float, end: float, fails: Callable[[Floats], NDArray[np.bool_]], rng: np.random.Generator
    ) -> list[EventTimes]:
        return [budgets.simulate_events(each, start, end, fails, rng) for each in self._probes]

    def _strict_time(self, events: EventTimes, of_probe: Sequence[Source], severity: str) -> float:
        """Return when the failure that raises the alert of an objective of 100 % is known.

        An alert about messages also requires lost ones. A message is lost, and not late, one timeout after its failure.
        """
        number = self._failures[severity]
        times = events.bad[number - 1 :][_enough(events.bad, number)]
        unknown_for = max(each.timeout for each in of_probe) if self._messages else 0.0
        return float(times[0]) + unknown_for if len(times) else math.inf

    def _with_rules(self, severity: str, events: Sequence[EventTimes]) -> list[ProbeRules]:
        return [(each, rules[severity]) for each, rules in zip(events, self._rules, strict=True)]

    def false_pages(
        self, intervals: Intervals, ratios: Sequence[float], months: int, rng: np.random.Generator
    ) -> list[Noise]:
        """Return the false pages for each ratio of events that fail by chance, by severity."""
        found = []
        for ratio in ratios:
            pages = Counter[str]()
            for _ in range(months):
                pages.update(self._false_pages_of_a_month(ratio, intervals, rng))
            found += [
                Noise(
                    relay=self._relay,
                    slo=self._slo.name,
                    severity=severity,
                    ratio=ratio,
                    pages_a_month=pages[severity] / months,
                )
                for severity in self._severities
            ]
        return found

    def _false_pages_of_a_month(self, ratio: float, intervals: Intervals, rng: np.random.Generator) -> dict[str, int]:
        events = self._events(0.0, MONTH, lambda at: rng.random(len(at)) < ratio, rng)
        if self._objective == 1:
            return {
                severity: sum(_count_alerts(each.bad, self._failures[severity]) for each in events)
                for severity in self._severities
            }
        return {
            severity: budgets.count_pages(self._with_rules(severity, events), 0.0, MONTH, intervals, rng)
            for severity in self._severities
        }


def required_failures(config: Config, slo: SloConfig) -> dict[str, int]:
    """Return the failures within `LOSS_WINDOW` by which an SLO of 100 % warns and pages."""
    allowed = allowed_events(config, slo)
    return {"warning": math.floor(allowed + 0.5) + 1, "critical": math.floor(2 * allowed + 1.5) + 1}


def _enough(bad: Floats, number: int) -> NDArray[np.bool_]:
    """Return for each failure from the `number`th on whether it is one of as many within `LOSS_WINDOW`."""
    enough: NDArray[np.bool_] = bad[number - 1 :] - bad[: max(0, len(bad) - number + 1)] <= LOSS_WINDOW
    return enough


def _count_alerts(bad: Floats, number: int) -> int:
    """Return how often enough failures come together, each time anew."""
    return budgets.count_starts(_enough(bad, number)) if len(bad) >= number else 0


def slow_ratio(bad: float, factor: float) -> float:
    """Return the share of round trips above the threshold when all take `factor` times as long.

    `bad` is the share before: that of a relay that just meets its objective. Round trips are log-normal.
    """
    normal = NormalDist()
    return 1 - normal.cdf(normal.inv_cdf(1 - bad) - math.log(factor) / LATENCY_SIGMA)
