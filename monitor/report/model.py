"""What a report says. All values are frozen; ratios are from 0 to 1, times in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.report.month import Period
    from monitor.web.model import IncidentView

MIN_COVERAGE: Final = 0.95
"""Share of the runs due in a month that must have been made, or the figures say nothing about the month."""


class Verdict(StrEnum):
    """Whether an objective was met."""

    MET = "met"
    MISSED = "missed"
    INSUFFICIENT = "insufficient data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attainment:
    """One SLO at one relay, over all locations and probes.

    coverage: runs made / runs due, of the SLO's probes at all locations.
    """

    relay: str
    slo: str
    objective: Decimal
    good: float
    bad: float
    coverage: float

    @property
    def ratio(self) -> float | None:
        """Good events / all events; None without any."""
        events = self.good + self.bad
        return self.good / events if events > 0 else None

    @property
    def verdict(self) -> Verdict:
        """Whether the objective was met. A single bad event misses one of 100 %."""
        if self.ratio is None or self.coverage < MIN_COVERAGE:
            return Verdict.INSUFFICIENT
        # Counts are estimates of whole numbers: half an event is none.
        bad = Decimal(round(self.bad))
        return Verdict.MET if bad <= (1 - self.objective) * Decimal(round(self.good + self.bad)) else Verdict.MISSED

    @property
    def budget_left(self) -> float | None:
        """Share of the error budget that is left, negative if it is overspent; None if there is no budget."""
        if self.ratio is None or self.objective >= 1:
            return None
        return 1 - (1 - self.ratio) / float(1 - self.objective)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanges:
    """The exchanges of one relay by outcome."""

    counts: Mapping[str, float]

    def share(self, outcome: str) -> float:
        """Return the share of all exchanges with this outcome, 0 without any."""
        total = sum(self.counts.values())
        return self.counts.get(outcome, 0.0) / total if total else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedIncident:
    """An incident, and the address of the monitor that has it: each location has incidents of its own."""

    monitor: str
    incident: IncidentView

    @property
    def repair_seconds(self) -> float | None:
        """The time from the first failure to the repair; None while there is none."""
        recovered = self.incident.recovered_at
        return None if recovered is None else (recovered - self.incident.began_at).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthReport:
    """The report.

    exchanges: by relay; None if the monitors do not count those that succeeded (`detail: lean`). Runs that were missed
    or skipped are not counted then either: coverage is the time that was observed.
    incidents: None if no monitor was asked for them.
    """

    install: str
    period: Period
    source: str
    attainments: Sequence[Attainment]
    exchanges: Mapping[str, Exchanges] | None
    incidents: Sequence[ReportedIncident] | None

    @property
    def missed(self) -> bool:
        """Whether an objective was missed."""
        return any(each.verdict is Verdict.MISSED for each in self.attainments)
