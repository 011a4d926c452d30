"""Where everything that probes publish is judged and booked: against maintenance, and against our own health.

A failure is blamed on a relay only when it is settled that the fault is not ours. Until then (a few seconds at most)
what would be held against the relay waits here, in the order it came; then it is booked as what it is.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from monitor.probes.runner import log_run
from monitor.results import MessagesJudged, Paired, PairTime, Run
from monitor.vocabulary import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.health import SelfCheck
    from monitor.journal import Journal
    from monitor.metrics import Metrics
    from monitor.pairs.context import ProbeContext
    from monitor.reachability.verdict import RelayVerdict
    from monitor.results import Report
    from monitor.schedule import Maintenance

MOST_HELD: Final = 10_000
"""Reports that wait for one relay's verdict; past it the oldest is booked as it is."""

_UNTOLD: Final = frozenset({Verdict.LATE, Verdict.LOST})
"""Verdicts that a monitor which distrusts itself cannot reach."""


class ResultPipeline:
    """Takes every report. `reachability` finds a relay's verdict by its name; None for one that is gone."""

    def __init__(
        self,
        *,
        metrics: Metrics,
        journal: Journal,
        maintenance: Callable[[], Maintenance],
        health: SelfCheck,
        reachability: Callable[[str], RelayVerdict | None],
    ) -> None:
        self._metrics = metrics
        self._journal = journal
        self._maintenance = maintenance
        self._health = health
        self._reachability = reachability
        self._held: dict[str, deque[Run | Report]] = {}

    def take(self, report: Run | Report, context: ProbeContext) -> None:
        """Book a report, now or as soon as it is settled whose fault it tells of."""
        self._health.check_loop_lag()
        excluded = self._maintenance().active(report.relay) is not None
        reachability = self._reachability(report.relay)
        if reachability is not None and not excluded and self._health.healthy:
            reachability.observe(report, context)
            if reachability.unresolved and _blames(report):
                held = self._held.setdefault(report.relay, deque())
                held.append(report)
                if len(held) > MOST_HELD:
                    self._book(held.popleft(), excluded=False)
                return
        self._book(report, excluded=excluded)

    def settled(self, relay: str) -> None:
        """It is known by now whether the fault is ours: book what waited for it."""
        for report in self._held.pop(relay, ()):
            self._book(report, excluded=False)

    def _book(self, report: Run | Report, *, excluded: bool) -> None:
        healthy = self._health.healthy
        if isinstance(report, Run):
            if excluded:
                report = _as(report, Outcome.EXCLUDED)
            elif not healthy:
                # Good runs too: what a blocked loop measures is late through no fault of the relay's.
                report = _as(report, Outcome.ABORTED)
            self._journal.add(report)
            log_run(report)
        elif excluded or not healthy:
            if isinstance(report, PairTime | Paired):
                return
            if isinstance(report, MessagesJudged) and report.verdict in _UNTOLD and not healthy:
                report = report._replace(verdict=None)
        self._metrics.publish(report)


def _blames(report: Run | Report) -> bool:
    """Whether a report is held against the relay."""
    if isinstance(report, Run):
        return report.outcome is Outcome.FAILED
    if isinstance(report, Paired):
        return report.pairing.outcome is Outcome.FAILED
    if isinstance(report, MessagesJudged):
        return report.verdict in _UNTOLD
    return isinstance(report, PairTime) and not report.connected


def _as(run: Run, outcome: Outcome) -> Run:
    """A run whose exchanges count for nothing."""
    pairing = replace(run.pairing, outcome=outcome) if run.pairing is not None else None
    exchanges = tuple(exchange._replace(outcome=outcome) for exchange in run.exchanges)
    return run._replace(outcome=outcome, exchanges=exchanges, pairing=pairing)
