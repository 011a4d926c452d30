"""Record the probes' reports in metrics, journal and log, as maintenance and the monitor's health allow.

A failure counts against a relay only once it is known that the fault is not local. Until then, for a few seconds at
most, reports that count against the relay are held here in order.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

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

_log = structlog.get_logger(__name__)

MAX_PENDING_REPORTS: Final = 10_000
"""Largest number of reports held for one relay; above it the oldest is recorded."""

_UNOBSERVABLE: Final = frozenset({Verdict.LATE, Verdict.LOST})
"""Verdicts that an unhealthy monitor cannot observe reliably."""


class ResultPipeline:
    """Processes all reports. `verdict_of` returns the verdict of a relay by name, None for a removed one."""

    def __init__(
        self,
        *,
        metrics: Metrics,
        journal: Journal,
        maintenance: Callable[[], Maintenance],
        health: SelfCheck,
        verdict_of: Callable[[str], RelayVerdict | None],
    ) -> None:
        self._metrics = metrics
        self._journal = journal
        self._maintenance = maintenance
        self._health = health
        self._verdict_of = verdict_of
        self._pending: dict[str, deque[Run | Report]] = {}

    def process(self, report: Run | Report, context: ProbeContext) -> None:
        """Record a report, now or once it is known whether the fault is local."""
        self._health.check_loop_lag()
        excluded = self._maintenance().active(report.relay) is not None
        verdict = self._verdict_of(report.relay)
        if verdict is not None and not excluded and self._health.healthy:
            verdict.observe(report, context)
            if verdict.unresolved and _counts_against_relay(report):
                pending = self._pending.setdefault(report.relay, deque())
                pending.append(report)
                if len(pending) > MAX_PENDING_REPORTS:
                    self._record(pending.popleft(), excluded=False)
                return
        self._record(report, excluded=excluded)

    def release(self, relay: str) -> None:
        """Record the reports held while the fault's origin was unknown."""
        for report in self._pending.pop(relay, ()):
            self._record(report, excluded=False)

    def _record(self, report: Run | Report, *, excluded: bool) -> None:
        healthy = self._health.healthy
        if isinstance(report, Run):
            if excluded:
                report = _with_outcome(report, Outcome.EXCLUDED)
            elif not healthy:
                # Successful runs too: their latencies are unreliable.
                report = _with_outcome(report, Outcome.ABORTED)
            self._journal.add(report)
            log_run(report)
        elif excluded or not healthy:
            if isinstance(report, PairTime | Paired):
                return
            if isinstance(report, MessagesJudged) and report.verdict in _UNOBSERVABLE and not healthy:
                report = report._replace(verdict=None)
        self._metrics.publish(report)


def _counts_against_relay(report: Run | Report) -> bool:
    """Return True if a report counts against the relay."""
    if isinstance(report, Run):
        return report.outcome is Outcome.FAILED
    if isinstance(report, Paired):
        return report.pairing.outcome is Outcome.FAILED
    if isinstance(report, MessagesJudged):
        return report.verdict in _UNOBSERVABLE
    return isinstance(report, PairTime) and not report.connected


def _with_outcome(run: Run, outcome: Outcome) -> Run:
    """Return a run with this outcome for all its exchanges."""
    pairing = replace(run.pairing, outcome=outcome) if run.pairing is not None else None
    exchanges = tuple(exchange._replace(outcome=outcome) for exchange in run.exchanges)
    return run._replace(outcome=outcome, exchanges=exchanges, pairing=pairing)


def log_run(run: Run) -> None:
    """Log a run that has a failure. To be called once its outcome is final."""
    failure = run.failure
    if failure is not None:
        _log.warning(
            f"run {run.outcome.value}",
            run_id=run.id,
            relay=run.relay,
            probe=run.probe,
            outcome=run.outcome.value,
            step=failure.step.value,
            reason=failure.reason.value,
            detail=failure.detail,
        )
