"""`RelayErrorBudgetBurn`: one alert for each burn-rate condition of the SLOs that have an error budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.burn_rate import MAX_RATIO, MIN_FAILURES, burn_conditions
from monitor.config import show_duration
from monitor.config.traffic import rate, sources_of
from monitor.slo.rules import templates
from monitor.slo.rules.budget_text import BudgetText
from monitor.slo.rules.explained import unexplained
from monitor.slo.rules.paging import event_gap
from monitor.slo.rules.recorded import bad_events, budgeted, objectives, ratio_name
from monitor.slo.rules.rule import RELAY_DASHBOARD, Alert, any_of
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from monitor.burn_rate import BurnCondition
    from monitor.config import Config, ProbeConfig, SloConfig
    from monitor.slo.rules.paging import Paging


class ErrorBudgetAlerts:
    """The burn-rate alerts of one configuration."""

    def __init__(self, config: Config, paging: Paging) -> None:
        self._config, self._paging, self._own = config, paging, paging.own
        self._step = config.prometheus.step

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
        usual = burn_conditions(window, self._step)
        for probe in self._config.probes:
            if probe.name in names:
                gap = event_gap(probe)
                unchanged = burn_conditions(window, self._step, gap) == usual
                by_gap.setdefault(0.0 if unchanged else gap, []).append(probe)
        return by_gap

    def _alerts(self, window: float, gap: float, probes: Sequence[ProbeConfig], probe_matcher: str) -> Iterator[Alert]:
        """Yield the alerts of the SLOs of a window for probes of one event gap."""
        probe_names = {probe.name for probe in probes}
        slos = [slo for slo in budgeted(self._config) if slo.window == window and probe_names & set(slo.probe)]
        budgets = self._budgets(slos, probes)
        if not budgets:
            return
        names = any_of(dict.fromkeys(slo.name for slo, _ in budgets))
        labels = {"slo_window": window} | ({"longest_gap": gap} if gap else {})
        conditions = burn_conditions(window, self._step, gap)
        warned = {(each.long_window, each.short_window) for each in conditions if each.severity == "warning"}
        for condition in conditions:
            # A page of a relay with max_severity warning is a warning, unless the one over these windows covers it.
            covered = condition.severity == "critical" and (condition.long_window, condition.short_window) in warned
            yield self._alert(condition, f'slo=~"{names}"{probe_matcher}', budgets, labels, covered=covered)

    def _budgets(self, slos: Sequence[SloConfig], probes: Sequence[ProbeConfig]) -> list[tuple[SloConfig, ProbeConfig]]:
        """The pairs of SLO and probe that have an error budget at any relay."""
        return [
            (slo, probe)
            for slo in slos
            for probe in probes
            if probe.name in slo.probe and any(0 < each < 1 for each in objectives(self._config, slo, probe.relays))
        ]

    def _alert(
        self,
        condition: BurnCondition,
        slos: str,
        budgets: Sequence[tuple[SloConfig, ProbeConfig]],
        windows: Mapping[str, float],
        *,
        covered: bool,
    ) -> Alert:
        own, critical = self._own, condition.severity == "critical"
        limit = f"{condition.factor:f} * ({own('slo:error_budget:ratio', slos)} > 0)"
        if large := self._has_large_budget(condition, budgets):
            limit = f"clamp_max({limit}, {MAX_RATIO})"
        short = own(ratio_name(condition.short_window), slos)
        if condition.recent_window > condition.short_window:
            short = f"last_over_time({short}[{show_duration(condition.recent_window)}])"
        count = self._unexplained if critical else self._bad
        expr = "\nand\n".join(
            (
                f"{own(ratio_name(condition.long_window), slos)} > {limit}",
                f"{short} > {limit}",
                f"{count(condition.count_window or condition.long_window, slos)} > {MIN_FAILURES - 0.5:g}"
                + self._unless_blip(condition, budgets, count),
            )
        )
        if critical:
            voters = own(ratio_name(condition.long_window), slos)
            expr = self._paging.quorum(expr, voters) + self._paging.recent_failure(condition.recent_window, slos)
            joined = own.joined("severity, owner, group", 'severity="critical"' if covered else "")
            expr = f"({expr}){joined}"
        else:
            expr = own.owned(expr)
        windows = {**windows, "long_window": condition.long_window, "short_window": condition.short_window}
        labels = {name: show_duration(seconds) for name, seconds in windows.items()}
        where = templates.OF_RELAY if critical and self._paging.several_locations else templates.HERE
        text = BudgetText(
            f"{where}, probe=$probe",
            condition,
            labels,
            any_of(dict.fromkeys(slo.name for slo, _ in budgets if slo.sli is Sli.LATENCY)),
        )
        enough = f" Failures of more than {MAX_RATIO:.0%} of all events are enough." if large else ""
        return Alert(
            name="RelayErrorBudgetBurn",
            severity=condition.severity,
            capped=critical,
            expr=expr,
            keep_firing_for=condition.keep_firing_for,
            labels=labels,
            summary=text.summary(),
            description=text.description(enough),
            dashboard=RELAY_DASHBOARD,
        )

    def _has_large_budget(self, condition: BurnCondition, budgets: Sequence[tuple[SloConfig, ProbeConfig]]) -> bool:
        """Whether a budget is so large that it cannot burn as fast as the factor says."""
        return any(
            condition.factor * (1 - objective) > MAX_RATIO
            for slo, probe in budgets
            for objective in objectives(self._config, slo, probe.relays)
            if objective < 1
        )

    def _bad(self, window: float, matchers: str) -> str:
        return bad_events(self._own, window, matchers)

    def _unexplained(self, window: float, matchers: str) -> str:
        return unexplained(self._own, window, matchers)

    def _unless_blip(
        self,
        condition: BurnCondition,
        budgets: Sequence[tuple[SloConfig, ProbeConfig]],
        count: Callable[[float, str], str],
    ) -> str:
        """Except stability SLOs with few failed seconds: after a cold start a short reconnect is a large share."""
        by_rate: dict[float, tuple[dict[str, None], dict[str, None]]] = {}
        for slo, probe in budgets:
            if slo.sli is Sli.STABILITY and probe.is_continuous:
                slos, probes = by_rate.setdefault(rate(sources_of(probe, Sli.STABILITY)), ({}, {}))
                slos[slo.name] = probes[probe.name] = None
        parts = []
        for events_per_second, (slos, probes) in sorted(by_rate.items()):
            where = f'slo=~"{any_of(slos)}", probe=~"{any_of(probes)}"'
            budget = self._own("slo:error_budget:ratio", where)
            limit = f"{condition.half_window_failures(events_per_second):g} * {budget}"
            parts.append(f"\nunless\n{count(condition.long_window, where)} <= {limit}")
        return "".join(parts)
