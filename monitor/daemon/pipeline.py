"""Record the probes' reports in metrics, journal and log, as maintenance and the monitor's health allow.

A failure counts against a relay only once it is known that the fault is not local, and a slot that nobody tried only
once it is known whether an outage covers it (see `counting`). Until then reports that count against the relay are held
here, in order. Maintenance and health are those of the time that a report is about, not of the time it is recorded.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from monitor.clock import utc
from monitor.daemon.counting import as_failed, bad_seconds, cause_of, counts_bad, with_outcome
from monitor.results import LogLine, MessagesJudged, Paired, PairTime, Run, Skipped, Untried
from monitor.vocabulary import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.clock import Clock
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

MAX_HOLD: Final = 300.0
"""Seconds for which a report is held at most. An untried slot of which nothing is known by then counts for nothing."""

MAX_ATTEMPT_DELAY: Final = 15.0
"""Seconds after which it is certain that no outage covers an untried slot: an attempt under way has ended by then."""

UNOBSERVED: Final = "not judged: this monitor was unhealthy"
"""Said of a message whose verdict an unhealthy monitor could not observe."""

_UNOBSERVABLE: Final = frozenset({Verdict.LATE, Verdict.LOST})
"""Verdicts that an unhealthy monitor cannot observe reliably."""


class _Pending(NamedTuple):
    """A report that is held since `at`, on the monotonic clock."""

    report: Run | Report
    context: ProbeContext
    at: float


class ResultPipeline:
    """Processes all reports. `verdict_of` returns the verdict of a relay by name, None for a removed one.

    `on_recorded` is called with each report that is final, after maintenance and health were judged.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        metrics: Metrics,
        journal: Journal,
        maintenance: Callable[[], Maintenance],
        health: SelfCheck,
        verdict_of: Callable[[str], RelayVerdict | None],
        on_recorded: Callable[[Run | Report], None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._metrics = metrics
        self._journal = journal
        self._maintenance = maintenance
        self._health = health
        self._verdict_of = verdict_of
        self._on_recorded = on_recorded
        self._pending: dict[str, deque[_Pending]] = {}

    def process(self, report: Run | Report, context: ProbeContext) -> None:
        """Record a report, now or once it is known whether it counts."""
        self._health.check_loop_lag()
        relay, verdict = report.relay, self._verdict_of(report.relay)
        if (
            verdict is not None
            and self._health.healthy
            and not isinstance(report, Skipped)
            and self._maintenance().active(relay) is None
        ):
            verdict.observe(report, context)
        if isinstance(report, Paired) and report.retry:
            return
        if not _counts_against_relay(report):
            self._record(report)
        elif not self._decide(report, verdict):
            pending = self._pending.setdefault(relay, deque())
            pending.append(_Pending(report, context, self._clock.monotonic()))
            if len(pending) > MAX_PENDING_REPORTS and (oldest := pending.popleft()).context.active():
                self._decide_late(oldest.report)

    def release(self, relay: str) -> None:
        """Record the reports held for a relay of which it is known by now whether they count."""
        pending, verdict = self._pending.pop(relay, None), self._verdict_of(relay)
        oldest = self._clock.monotonic() - MAX_HOLD
        kept: deque[_Pending] = deque()
        for item in pending or ():
            if not item.context.active():
                continue  # its probe has been removed, or replaced by another one of its name
            if item.at < oldest:
                self._decide_late(item.report)
            elif not self._decide(item.report, verdict):
                kept.append(item)
        if kept:
            self._pending[relay] = kept

    def review(self) -> None:
        """Record what is held and known by now, for all relays. To be called every second or so."""
        for relay in list(self._pending):
            self.release(relay)

    def close(self) -> None:
        """Record what is still held: nothing more will be known."""
        self.review()
        for pending in self._pending.values():
            for item in pending:  # of active probes only, after the review
                self._decide_late(item.report)
        self._pending.clear()

    def _decide_late(self, report: Run | Report) -> None:
        """Record a report that cannot be held any longer."""
        if isinstance(report, Run) and report.untried is not None:
            self._record(with_outcome(report, Outcome.ABORTED))
        elif not (
            isinstance(report, Skipped | PairTime) or (isinstance(report, Paired) and report.untried is not None)
        ):
            self._record(report, delayed=True)

    def _decide(self, report: Run | Report, verdict: RelayVerdict | None) -> bool:
        """Record a report that counts against a relay, if it is known whether it does. Return whether it is."""
        if verdict is not None and verdict.unresolved:
            return False
        if isinstance(report, Skipped) or (isinstance(report, Run) and report.untried is not None):
            return self._decide_untried(report, verdict)
        if isinstance(report, Paired) and report.untried is not None:
            bad = verdict is not None and counts_bad(report.untried, report.since, verdict)
            if bad:
                self._record(report._replace(pairing=replace(report.pairing, outcome=Outcome.FAILED)))
            return bad or (bad is False and self._is_certain(report.since, verdict))
        if verdict is None:
            self._record(report)
        elif isinstance(report, PairTime):
            seconds = bad_seconds(report, verdict)
            if seconds is None or (seconds < report.seconds and not self._is_certain(report.until, verdict)):
                return False
            if seconds:
                self._record(report._replace(seconds=seconds), delayed=True)
        else:
            self._record(report, delayed=True)
        return True

    def _decide_untried(self, report: Run | Skipped, verdict: RelayVerdict | None) -> bool:
        run = report.run if isinstance(report, Skipped) else report
        bad = verdict is not None and counts_bad(run.untried or Untried(), run.due, verdict)
        if bad is None or not (bad or self._is_certain(run.due, verdict)):
            return False
        if bad and verdict is not None:
            proven = verdict.covers(run.due)
            run = as_failed(run, cause_of(run, verdict))
            self._record(run._replace(untried=None) if proven else run, delayed=not proven)
        elif not isinstance(report, Skipped):
            self._record(with_outcome(run, Outcome.ABORTED))
        return True

    def _is_certain(self, due: float, verdict: RelayVerdict | None) -> bool:
        """Return whether no attempt that is still under way can prove that `due` was inside an outage."""
        return verdict is None or self._clock.monotonic() - due >= MAX_ATTEMPT_DELAY

    def _record(self, report: Run | Report, *, delayed: bool = False) -> None:
        """Record a report; `delayed`: a fault of this monitor that was found meanwhile may have caused it."""
        excluded, healthy = self._circumstances(report)
        if delayed and healthy:
            verdict = self._verdict_of(report.relay)
            healthy = self._health.healthy and not (verdict is not None and verdict.unobserved)
        if isinstance(report, Run):
            if excluded:
                report = with_outcome(report, Outcome.EXCLUDED)
            elif not healthy:
                # Successful runs too: their latencies are unreliable.
                report = with_outcome(report, Outcome.ABORTED)
            line = LogLine(utc(self._clock), "warning", f"run {report.outcome.value}", log_run(report))
            self._journal.add(report, (*report.log, line) if line.fields else report.log)
        elif excluded or not healthy:
            if isinstance(report, PairTime | Paired):
                return
            if isinstance(report, MessagesJudged) and report.verdict in _UNOBSERVABLE and not healthy:
                unjudged = tuple(item._replace(note=UNOBSERVED) for item in report.after_run)
                report = report._replace(verdict=None, after_run=unjudged)
        if not isinstance(report, Run):
            self._journal.report(report)
        self._on_recorded(report)
        if isinstance(report, MessagesJudged):
            self._judge_after_run(report)
        self._metrics.publish(report)

    def _judge_after_run(self, report: MessagesJudged) -> None:
        """Pass on the verdicts on messages whose run ended before: to the journal, or to the run that is held here."""
        for message in report.after_run:
            pending = self._pending.get(report.relay, deque())
            for number, item in enumerate(pending):
                if isinstance(item.report, Run) and item.report.id == message.run_id:
                    pending[number] = item._replace(report=item.report.with_verdict(message, report.verdict))
                    break
            else:
                self._journal.judged(message.run_id, message.direction, message.sequence, report.verdict, message.note)

    def _circumstances(self, report: Run | Report) -> tuple[bool, bool]:
        """Return whether the relay was in maintenance, and whether the monitor was healthy, during a report's time."""
        now = self._clock.monotonic()
        since, until = _span(report) or (now, now)
        to_wall = self._clock.time() - now
        excluded = self._maintenance().overlaps(report.relay, since + to_wall, until + to_wall)
        return excluded, self._health.was_healthy(since, until)


def _span(report: Run | Report) -> tuple[float, float] | None:
    """Return the time that a report is about, on the monotonic clock; None for the present."""
    if isinstance(report, Run):
        since, until = report.due, report.known_at
        if report.untried is not None and report.untried.failed_at is not None:
            since = min(since, report.untried.failed_at)  # its cause
    elif isinstance(report, PairTime | Paired | MessagesJudged):
        since, until = report.since, report.until
    else:
        return None
    return (since, until) if until else None


def _counts_against_relay(report: Run | Report) -> bool:
    """Return True if a report counts against the relay."""
    if isinstance(report, Run):
        return report.outcome is Outcome.FAILED or report.untried is not None
    if isinstance(report, Paired):
        return report.pairing.outcome is Outcome.FAILED or report.untried is not None
    if isinstance(report, MessagesJudged):
        return report.verdict in _UNOBSERVABLE
    return isinstance(report, Skipped) or (isinstance(report, PairTime) and not report.connected)


def log_run(run: Run) -> dict[str, str]:
    """Log a run, at level debug unless it has a failure, and return the fields. Its outcome must be final."""
    about = {"run_id": run.id, "relay": run.relay, "probe": run.probe, "outcome": run.outcome.value}
    event, failure = f"run {run.outcome.value}", run.failure
    if failure is None:
        _log.debug(event, **about, duration=round(run.duration, 3))
        return {}
    fields = {"step": failure.step.value, "reason": failure.reason.value, "status": failure.status}
    fields["endpoint"] = failure.endpoint
    fields = {key: text for key, text in fields.items() if text} | {"detail": failure.detail}
    log = _log.info if run.outcome is Outcome.EXCLUDED else _log.warning
    log(event, **about, **fields, repeats=True)
    return fields
