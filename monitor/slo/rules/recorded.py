"""What is recorded of every SLO: its error ratios over several windows, its objective, and what is left of its budget.

All of it comes from `relay_slo_events_total`, which the monitor itself judges by the threshold in force. A rule over
histogram buckets would page after a threshold was changed: a new bucket starts at 0 beside a total with a history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.burn_rate import MIN_SCRAPES, burn_conditions
from monitor.config import show_duration
from monitor.slo.rules.rule import Group, Record, any_of
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from decimal import Decimal

    from monitor.config import Config, SloConfig

BY: Final = "slo, relay, probe, location"
EVENTS: Final = "relay_slo_events_total"
ALWAYS: Final = (300.0, 1800.0, 3600.0, 7200.0, 21_600.0, 86_400.0, 259_200.0, 2_592_000.0)
"""Windows recorded whatever the SLOs' own, since dashboards show them; seconds."""

LONG: Final = 7200.0
"""Seconds from which on a window is recorded less often: what changes slowly is dear to compute."""

LONG_INTERVAL: Final = 60.0


def budgeted(config: Config) -> list[SloConfig]:
    """The SLOs that have an objective."""
    return [slo for slo in config.slos if slo.sli is not Sli.TREND]


def windows(config: Config) -> list[float]:
    """Every window that is recorded, shortest first, in seconds."""
    own = {
        window
        for slo in budgeted(config)
        for burn in burn_conditions(slo.window, config.prometheus.scrape_interval)
        for window in (burn.long_window, burn.short_window, slo.window)
    }
    return sorted({*own, *ALWAYS})


def ratio(window: float) -> str:
    """The name of the error ratio over a window."""
    return f"slo:sli_error:ratio_rate{show_duration(window)}"


def bad(window: float, more: str = "", by: str = BY) -> str:
    """The bad events within a window."""
    return f'sum by ({by}) (increase({EVENTS}{{outcome="bad"{more}}}[{show_duration(window)}]))'


def groups(config: Config) -> Iterator[Group]:
    """The recording rules; none where no SLO has an objective."""
    if not budgeted(config):
        return
    every = windows(config)
    short = [window for window in every if window < LONG]
    yield Group(name="relay-slo", rules=[*_objectives(config), *(_ratio(window) for window in short)])
    long = [_ratio(window) for window in every if window >= LONG]
    rules = [*long, _burning(config), *_left(config)]
    yield Group(name="relay-slo-long", rules=rules, interval=max(LONG_INTERVAL, config.prometheus.evaluation_interval))


def _ratio(window: float) -> Record:
    all_events = f"sum by ({BY}) (increase({EVENTS}[{show_duration(window)}]))"
    return Record(name=ratio(window), expr=f"{bad(window)}\n/\n({all_events} > 0)\n")


def _objectives(config: Config) -> Iterator[Record]:
    """Objectives, budgets and thresholds as they were when the rules were made, wherever the SLO has events.

    One rule each, of many parts: two rules of one name are an error to promtool.
    """
    objectives, budgets, thresholds = [], [], []
    for slo in budgeted(config):
        for objective, relays in _by_objective(config, slo).items():
            each = _wherever(slo.name, relays)
            objectives.append(f"{each} + {objective:f}")
            budgets.append(f"{each} + {1 - objective:f}")
    for slo in config.slos:
        thresholds += [
            f"{_wherever(slo.name, relays)} + {threshold}" for threshold, relays in _by_threshold(config, slo).items()
        ]
    for name, parts in (
        ("slo:objective:ratio", objectives),
        ("slo:error_budget:ratio", budgets),
        ("slo:threshold:seconds", thresholds),
    ):
        if parts:
            yield Record(name=name, expr="\nor\n".join(parts))


def _wherever(slo: str, relays: Sequence[str]) -> str:
    where = f'{EVENTS}{{slo="{slo}", relay=~"{any_of(relays)}"}}'
    return f"0 * sum by ({BY}) ({where})"


def _by_objective(config: Config, slo: SloConfig) -> dict[Decimal, list[str]]:
    found: dict[Decimal, list[str]] = {}
    for relay in config.relays:
        objective = slo.objective_for(relay.name)
        if objective is not None and watched(config, slo, relay.name):
            found.setdefault(objective, []).append(relay.name)
    return found


def _by_threshold(config: Config, slo: SloConfig) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for relay in config.relays:
        threshold = slo.threshold_for(relay.name)
        if slo.sli is Sli.LATENCY and threshold is not None and watched(config, slo, relay.name):
            found.setdefault(f"{threshold:g}", []).append(relay.name)
    return found


def objectives(config: Config, slo: SloConfig, relays: Iterable[str]) -> set[Decimal]:
    """The objectives of an SLO that are in force at some relays, where a probe of it watches them."""
    found = {slo.objective_for(relay) for relay in relays if watched(config, slo, relay)}
    return {objective for objective in found if objective is not None}


def watched(config: Config, slo: SloConfig, relay: str) -> bool:
    """Whether a probe of an SLO watches a relay."""
    return any(probe.name in slo.probe and relay in probe.relays for probe in config.probes)


def _burning(config: Config) -> Record:
    least = MIN_SCRAPES * config.prometheus.scrape_interval
    present = next(window for window in ALWAYS if window >= least)
    return Record(name="slo:current_burn_rate:ratio", expr=f"{ratio(present)}\n/\n(slo:error_budget:ratio > 0)\n")


def _left(config: Config) -> Iterator[Record]:
    names: dict[float, list[str]] = {}
    for slo in budgeted(config):
        if any(objective < 1 for objective in objectives(config, slo, [relay.name for relay in config.relays])):
            names.setdefault(slo.window, []).append(slo.name)
    parts = [
        f'1 - {ratio(window)}{{slo=~"{any_of(names[window])}"}} / (slo:error_budget:ratio > 0)'
        for window in sorted(names)
    ]
    if parts:
        yield Record(name="slo:period_error_budget_remaining:ratio", expr="\nor\n".join(parts))
