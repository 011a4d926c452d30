"""`RelayErrorBudgetBurn`: one alert for each burn-rate condition of the SLOs that have an error budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.burn_rate import MIN_FAILURES, burn_conditions
from monitor.config import show_duration
from monitor.config.traffic import rate, sources_of
from monitor.slo.rules.paging import RECENT_WINDOW, RelayClass, event_gap, unless_down, with_matcher
from monitor.slo.rules.recorded import bad_events, budgeted, objectives, ratio_name
from monitor.slo.rules.rule import RELAY_DASHBOARD, Alert, any_of
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from monitor.burn_rate import BurnCondition
    from monitor.config import Config, ProbeConfig, SloConfig
    from monitor.slo.rules.paging import Paging


class ErrorBudgetAlerts:
    """The burn-rate alerts of one configuration."""

    def __init__(self, config: Config, paging: Paging) -> None:
        self._config, self._paging = config, paging
        self._scrape = config.prometheus.scrape_interval

    def alerts(self) -> Iterator[Alert]:
        """Yield the alerts, by SLO window and by the time between the events of their probes."""
        for window in sorted({slo.window for slo in budgeted(self._config)}):
            by_gap = self._probes_by_gap(window)
            for gap, probes in sorted(by_gap.items()):
                matcher = f', probe=~"{any_of(probe.name for probe in probes)}"' if len(by_gap) > 1 else ""
                yield from self._alerts(window, gap, probes, matcher)

    def _probes_by_gap(self, window: float) -> dict[float, list[ProbeConfig]]:
        """The probes of the SLOs of a window by their event gap; 0: too short to change the conditions."""
        by_gap: dict[float, list[ProbeConfig]] = {}
        names = {name for slo in budgeted(self._config) if slo.window == window for name in slo.probe}
        usual = burn_conditions(window, self._scrape)
        for probe in self._config.probes:
            if probe.name in names:
                gap = event_gap(probe)
                unchanged = burn_conditions(window, self._scrape, gap) == usual
                by_gap.setdefault(0.0 if unchanged else gap, []).append(probe)
        return by_gap

    def _alerts(self, window: float, gap: float, probes: Sequence[ProbeConfig], probe_matcher: str) -> Iterator[Alert]:
        """Yield the alerts of the SLOs of a window for probes of one event gap."""
        probe_names = {probe.name for probe in probes}
        slos = [slo for slo in budgeted(self._config) if slo.window == window and probe_names & set(slo.probe)]
        all_relays = RelayClass(
            matcher="", severity="warning", relays=tuple(relay.name for relay in self._config.relays)
        )
        labels = {"slo_window": window} | ({"longest_gap": gap} if gap else {})
        conditions = burn_conditions(window, self._scrape, gap)
        warned = {(each.long_window, each.short_window) for each in conditions if each.severity == "warning"}
        for condition in conditions:
            for relays in self._paging.classes if condition.severity == "critical" else (all_relays,):
                if relays.severity != condition.severity and (condition.long_window, condition.short_window) in warned:
                    continue  # the warning over these windows has a smaller factor
                if budgets := self._budgets(slos, probes, relays.relays):
                    names = any_of(dict.fromkeys(slo.name for slo, _ in budgets))
                    alert = self._alert(
                        condition, f'slo=~"{names}"{probe_matcher}', _unless_blip(condition, budgets), labels
                    )
                    yield with_matcher(alert, relays.matcher, severity=relays.severity)

    def _budgets(
        self, slos: Sequence[SloConfig], probes: Sequence[ProbeConfig], relays: Sequence[str]
    ) -> list[tuple[SloConfig, ProbeConfig]]:
        """The pairs of SLO and probe that have an error budget at any of these relays."""
        return [
            (slo, probe)
            for slo in slos
            for probe in probes
            if probe.name in slo.probe
            and any(0 < each < 1 for each in objectives(self._config, slo, set(relays) & set(probe.relays)))
        ]

    def _alert(self, condition: BurnCondition, slos: str, unless_blip: str, windows: Mapping[str, float]) -> Alert:
        limit = f"{condition.factor:f} * (slo:error_budget:ratio{{{slos}@}} > 0)"
        short = f"{ratio_name(condition.short_window)}{{{slos}@}}"
        if condition.recent_window > condition.short_window:
            short = f"last_over_time({short}[{show_duration(condition.recent_window)}])"
        counted = bad_events(condition.count_window or condition.long_window, f", {slos}@")
        expr = "\nand\n".join(
            (
                f"{ratio_name(condition.long_window)}{{{slos}@}} > {limit}",
                f"{short} > {limit}",
                f"{counted} > {MIN_FAILURES - 0.5:g}{unless_blip}",
            )
        )
        if condition.severity == "critical":
            # A location without events has no vote: its monitor is absent or unhealthy.
            expr = self._paging.quorum(expr, short, "slo, relay, probe")
            expr += self._paging.recent_failure(condition.recent_window, slos)
            expr += unless_down(condition.recent_window + min(RECENT_WINDOW, condition.recent_window))
        windows = {**windows, "long_window": condition.long_window, "short_window": condition.short_window}
        labels = {name: show_duration(seconds) for name, seconds in windows.items()}
        burn_rate = f"burn rate above {condition.factor:f}× over {labels['long_window']} and {labels['short_window']}"
        return Alert(
            name="RelayErrorBudgetBurn",
            severity=condition.severity,
            expr=expr,
            keep_firing_for=condition.keep_firing_for,
            labels=labels,
            summary=f"Error budget of {{{{ $labels.slo }}}} on {{{{ $labels.relay }}}}: {burn_rate}",
            description="SLO {{ $labels.slo }} of {{ $labels.relay }}, probe {{ $labels.probe }}: "
            f"{burn_rate}. At 1× the error budget lasts exactly {labels['slo_window']}.",
            dashboard=RELAY_DASHBOARD,
        )


def _unless_blip(condition: BurnCondition, budgets: Sequence[tuple[SloConfig, ProbeConfig]]) -> str:
    """Except stability SLOs with few failed seconds: after a cold start a short reconnect is a large share of all."""
    by_rate: dict[float, tuple[dict[str, None], dict[str, None]]] = {}
    for slo, probe in budgets:
        if slo.sli is Sli.STABILITY and probe.is_continuous:
            slos, probes = by_rate.setdefault(rate(sources_of(probe, Sli.STABILITY)), ({}, {}))
            slos[slo.name] = probes[probe.name] = None
    parts = []
    for events_per_second, (slos, probes) in sorted(by_rate.items()):
        where = f'slo=~"{any_of(slos)}", probe=~"{any_of(probes)}"@'
        limit = f"{condition.half_window_failures(events_per_second):g} * slo:error_budget:ratio{{{where}}}"
        parts.append(f"\nunless\n{bad_events(condition.long_window, f', {where}')} <= {limit}")
    return "".join(parts)
