"""Summary and description of `RelayErrorBudgetBurn`: how fast, how much is left, and what fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.config import show_duration
from monitor.config.units import parse_duration
from monitor.slo.rules import templates
from monitor.slo.rules.recorded import EVENTS, ratio_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.burn_rate import BurnCondition

RECENT: Final = 300.0
"""Seconds without a failure after which failures are said to have begun anew."""

MAX_SPAN: Final = 3600.0
"""Longest window, in seconds, of which an annotation reads all samples."""

_SHARE_LEFT: Final = "{{ if lt .Value 0.0 }}none{{ else }}{{ .Value | humanizePercentage }}{{ end }} left"


@dataclass(frozen=True, slots=True)
class BudgetText:
    """The texts of one burn-rate condition.

    `where` are the matchers of the alert's budget without its SLO, `labels` the alert's windows, and `latency` a
    pattern of the SLOs that judge round trips.
    """

    where: str
    condition: BurnCondition
    labels: Mapping[str, str]
    latency: str

    def summary(self) -> str:
        """Return the summary."""
        failed = templates.cause(self._failures, " (", ")")
        slow = templates.first(self._quantile, " (P99 {{ .Value | humanizeDuration }})")
        return (
            "Error budget of {{ $labels.slo }} on {{ $labels.relay }}: burn rate "
            + templates.first(f"max({self._burn_rate})", '{{ .Value | printf "%.1f" }}', f"above {self._factor}")
            + "×"
            + templates.first(self._left, f", {_SHARE_LEFT}")
            + self._by_sli(slow, failed)
        )

    def description(self, enough: str) -> str:
        """Return the description; `enough` is a sentence about large budgets.

        Those of warnings, of which hundreds may fire at once, have fewer queries.
        """
        long, short, window = (self.labels[name] for name in ("long_window", "short_window", "slo_window"))
        critical = self.condition.severity == "critical"
        most = templates.cause(self._failures, "\nMost failures: ", ".")
        return (
            templates.last(
                f"max by (slo) ({ratio_name(RECENT)}{{{self._budget}}}) == 0",
                f"The last {show_duration(RECENT)} without a bad event ended about ",
                within=templates.BUDGETS,
            )
            + f"Burn rate above {self._factor}× over {long} and {short}; at 1× the budget lasts exactly "
            f"{window}.{enough}"
            + templates.first(
                f"{self._left} * {parse_duration(window):.0f} / max({self._burn_rate} > 0) > 0",
                " At the present rate it is used up in {{ .Value | humanizeDuration }}.",
            )
            + (templates.condition() + self._how_sure(long) if critical else "\nSeen from {{ $labels.location }}.")
            + self._by_sli(self._slow() + most, templates.layer(self._failures) if critical else most)
        )

    def _how_sure(self, window: str) -> str:
        """The line that counts the bad events, and names the locations that had some."""
        events = f"{EVENTS}{{{self._budget}"
        bad = f'increase({events}, outcome="bad"}}[{window}])'
        return (
            "\nHow sure: "
            + templates.number(f"sum({bad})")
            + " of "
            + templates.number(f"sum(increase({events}}}[{window}]))")
            + f" events within {window} were bad, probe {{{{ $labels.probe }}}}; seen from "
            + templates.each(f"sum by (location) ({bad}) > 0", "location", "no location now")
            + "."
        )

    def _slow(self) -> str:
        threshold = f"max(slo:threshold:seconds{{{self._budget}}})"
        return (
            "\nSlow: P99 "
            + templates.first(self._quantile, "{{ .Value | humanizeDuration }}", "unknown")
            + templates.first(threshold, ", threshold {{ .Value | humanizeDuration }}")
            + f" over {self._span}."
            "\nFirst: on the dashboard, compare the relay's own part (wire) with the round trip and the connection "
            "phases: "
            "wire slow: the relay, its broker or its load; else this monitor's host or network."
        )

    def _by_sli(self, slow: str, otherwise: str) -> str:
        """A template that writes `slow` for SLOs about round trips."""
        if not self.latency:
            return otherwise
        return f'{{{{ if match "^({self.latency})$" $labels.slo }}}}{slow}{{{{ else }}}}{otherwise}{{{{ end }}}}'

    @property
    def _span(self) -> str:
        """The window of failures and round trips: the alert's short one, and an hour at most."""
        return show_duration(min(self.condition.short_window, MAX_SPAN))

    @property
    def _budget(self) -> str:
        return f"{self.where}, slo=$slo"

    @property
    def _factor(self) -> str:
        return f"{self.condition.factor:f}"

    @property
    def _burn_rate(self) -> str:
        ratio = f"{ratio_name(self.condition.long_window)}{{{self._budget}}}"
        return f"{ratio} / slo:error_budget:ratio{{{self._budget}}}"

    @property
    def _left(self) -> str:
        return f"min(slo:period_error_budget_remaining:ratio{{{self._budget}}})"

    @property
    def _failures(self) -> str:
        return templates.failures(self._span, self.where)

    @property
    def _quantile(self) -> str:
        buckets = f"relay_probe_round_trip_seconds_bucket{{{self.where}}}"
        return f"histogram_quantile(0.99, sum by (le) (rate({buckets}[{self._span}])))"
