"""Recording rules of each SLO: error ratios over several windows, objective, burn rate and remaining error budget.

All of them read `relay_slo_events_total`, which the monitor judges by the threshold in force. Rules that read histogram
buckets would page after a change of the threshold: a new bucket starts at 0 next to a total that has a history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.burn_rate import MIN_SCRAPES, burn_conditions
from monitor.config import show_duration
from monitor.slo.rules.rule import Group, Record, any_of
from monitor.slo.rules.verdicts import Selectors
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from decimal import Decimal

    from monitor.config import Config, SloConfig

BUDGET_LABELS: Final = "install, location, relay, probe, slo"
"""The labels of one error budget: each probe and each location is judged apart."""

EVENTS: Final = "relay_slo_events_total"
DASHBOARD_WINDOWS: Final = (300.0, 1800.0, 3600.0, 7200.0, 21_600.0, 86_400.0, 259_200.0, 2_592_000.0)
"""Windows in seconds that the dashboards show; they are recorded for any SLOs."""

LONG_WINDOW: Final = 7200.0
"""Windows from this length on, in seconds, are recorded every `LONG_INTERVAL`: they cost more and change slowly."""

LONG_INTERVAL: Final = 60.0


def budgeted(config: Config) -> list[SloConfig]:
    """Return the SLOs that have an objective."""
    return [slo for slo in config.slos if slo.sli is not Sli.TREND]


def recorded_windows(config: Config) -> list[float]:
    """Return every recorded window in seconds, shortest first."""
    of_slos = {
        window
        for slo in budgeted(config)
        for condition in burn_conditions(slo.window, config.prometheus.step)
        for window in (condition.long_window, condition.short_window, slo.window)
    }
    return sorted({*of_slos, *DASHBOARD_WINDOWS})


def ratio_name(window: float) -> str:
    """Return the name of the recorded error ratio over a window in seconds."""
    return f"slo:sli_error:ratio_rate{show_duration(window)}"


def bad_events(own: Selectors, window: float, matchers: str = "", by: str = BUDGET_LABELS) -> str:
    """Return the expression of the bad events within a window in seconds."""
    bad = own(EVENTS, 'outcome="bad"' + (f", {matchers}" if matchers else ""))
    return f"sum by ({by}) (increase({bad}[{show_duration(window)}]))"


def groups(config: Config) -> Iterator[Group]:
    """Yield the recording rules; none if no SLO has an objective."""
    if not budgeted(config):
        return
    own, windows = Selectors(config), recorded_windows(config)
    short = [_ratio(own, window) for window in windows if window < LONG_WINDOW]
    yield Group(name="relay-slo", rules=[*_objectives(config, own), *short])
    long = [_ratio(own, window) for window in windows if window >= LONG_WINDOW]
    rules = [*long, _burn_rate(config, own), *_remaining_budget(config, own)]
    yield Group(name="relay-slo-long", rules=rules, interval=max(LONG_INTERVAL, config.prometheus.evaluation_interval))


def _ratio(own: Selectors, window: float) -> Record:
    all_events = f"sum by ({BUDGET_LABELS}) (increase({own(EVENTS)}[{show_duration(window)}]))"
    return Record(name=ratio_name(window), expr=f"{bad_events(own, window)}\n/\n({all_events} > 0)\n")


def _objectives(config: Config, own: Selectors) -> Iterator[Record]:
    """Yield objectives, error budgets and thresholds as configured, for each SLO that has events.

    Each is one rule of several parts, because promtool rejects two rules of one name.
    """
    objectives, budgets, thresholds = [], [], []
    for slo in budgeted(config):
        for objective, relays in _by_objective(config, slo).items():
            zero = _zero_with_labels(own, slo.name, relays)
            objectives.append(f"{zero} + {objective:f}")
            budgets.append(f"{zero} + {1 - objective:f}")
    for slo in config.slos:
        thresholds += [
            f"{_zero_with_labels(own, slo.name, relays)} + {threshold}"
            for threshold, relays in _by_threshold(config, slo).items()
        ]
    for name, parts in (
        ("slo:objective:ratio", objectives),
        ("slo:error_budget:ratio", budgets),
        ("slo:threshold:seconds", thresholds),
    ):
        if parts:
            yield Record(name=name, expr="\nor\n".join(parts))


def _zero_with_labels(own: Selectors, slo: str, relays: Sequence[str]) -> str:
    selector = own(EVENTS, f'slo="{slo}", relay=~"{any_of(relays)}"')
    return f"0 * sum by ({BUDGET_LABELS}) ({selector})"


def _by_objective(config: Config, slo: SloConfig) -> dict[Decimal, list[str]]:
    found: dict[Decimal, list[str]] = {}
    for relay in config.relays:
        objective = slo.objective_for(relay.name)
        if objective is not None and applies_to(config, slo, relay.name):
            found.setdefault(objective, []).append(relay.name)
    return found


def _by_threshold(config: Config, slo: SloConfig) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for relay in config.relays:
        threshold = slo.threshold_for(relay.name)
        if slo.sli is Sli.LATENCY and threshold is not None and applies_to(config, slo, relay.name):
            found.setdefault(f"{threshold:g}", []).append(relay.name)
    return found


def objectives(config: Config, slo: SloConfig, relays: Iterable[str]) -> set[Decimal]:
    """Return the objectives of an SLO in force at these relays, as far as it applies to them."""
    found = {slo.objective_for(relay) for relay in relays if applies_to(config, slo, relay)}
    return {objective for objective in found if objective is not None}


def applies_to(config: Config, slo: SloConfig, relay: str) -> bool:
    """Return whether a probe of the SLO monitors the relay."""
    return any(probe.name in slo.probe and relay in probe.relays for probe in config.probes)


def _burn_rate(config: Config, own: Selectors) -> Record:
    shortest = MIN_SCRAPES * config.prometheus.step
    window = next(window for window in DASHBOARD_WINDOWS if window >= shortest)
    expr = f"{own(ratio_name(window))}\n/\n({own('slo:error_budget:ratio')} > 0)\n"
    return Record(name="slo:current_burn_rate:ratio", expr=expr)


def _remaining_budget(config: Config, own: Selectors) -> Iterator[Record]:
    by_window: dict[float, list[str]] = {}
    relays = [relay.name for relay in config.relays]
    for slo in budgeted(config):
        if any(objective < 1 for objective in objectives(config, slo, relays)):
            by_window.setdefault(slo.window, []).append(slo.name)
    parts = [
        f"1 - {own(ratio_name(window), _slos(names))} / ({own('slo:error_budget:ratio')} > 0)"
        for window, names in sorted(by_window.items())
    ]
    if parts:
        yield Record(name="slo:period_error_budget_remaining:ratio", expr="\nor\n".join(parts))


def _slos(names: Sequence[str]) -> str:
    return f'slo=~"{any_of(names)}"'
