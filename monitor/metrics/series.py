"""The series of one probe at one relay, looked up once: looking up labels takes longer than an observation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog

from monitor.metrics.declared import DECLARED
from monitor.metrics.exemplars import Exemplar
from monitor.metrics.failures import COMMON_CODES, KNOWN_CODES, MAX_CODES, MAX_FAILURES, OTHER, common_failures
from monitor.metrics.families import NO_SERIES, SeriesGroup
from monitor.results import (
    AddressFailed,
    CertificateSeen,
    Confirmed,
    Disconnected,
    EndpointFailed,
    MessagesJudged,
    MessagesSent,
    Paired,
    PairTime,
    PhaseTimed,
    Reconnected,
    Run,
    Skipped,
)
from monitor.scenarios import SPECS, Scenario
from monitor.sli import counted_slos, slo_events
from monitor.vocabulary import Outcome, Phase, Reason, Sli, Step, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.config import ProbeConfig, RelayConfig, SloConfig
    from monitor.metrics.families import Families
    from monitor.metrics.relay_series import RelaySeries
    from monitor.results import Exchange, Failure, Pairing, Report
    from monitor.sli import CountedSlo

_log = structlog.get_logger(__name__)

# Values of the labels that only one metric has.
DIRECTIONS: Final = ("request", "response")
ENDED: Final = ("ok", "failed")
FAMILIES: Final = ("ip4", "ip6")
SLO_OUTCOMES: Final = ("good", "bad")
CONFIRMED_OVER: Final = ("standing", "fresh")
RESULTS: Final = ("started", "missed", "skipped")
STATES: Final = ("connected", "disconnected")
SLO_EVENTS: Final = "relay_slo_events_total"
FAILURES: Final = "relay_probe_failures_total"
DISCONNECTS: Final = "relay_probe_disconnects_total"


class ProbeSeries:
    """The series of one probe at one relay."""

    def __init__(self, families: Families, relay: RelayConfig, probe: ProbeConfig, relay_series: RelaySeries) -> None:
        self._group = SeriesGroup(families)
        self._lean = families.lean
        self._labels = (*relay_series.labels, probe.name, probe.scenario.value)
        self._spec = SPECS[probe.scenario]
        self._is_continuous = probe.is_continuous
        self._has = {item.name for item in DECLARED if item.belongs_to(probe)}
        self._failed_before = True  # a first run that failed is enough
        self._down = self._ran = False
        self._relay_up = None if relay_series.status is None else relay_series.status.up
        self._succeeded_at = 0.0  # Unix time of the end of the last good run
        self._slos: tuple[CountedSlo, ...] = ()
        self._slo_counters: dict[tuple[str, bool], Any] = {}  # by name, and whether it counts good events
        self.pending = 0
        self._of("relay_probe_messages_pending").set_function(lambda: self.pending)
        self._interval = self._of("relay_probe_interval_seconds")
        self._round_trip: Any = NO_SERIES
        self._maintenance = self._of("relay_probe_maintenance")
        self._maintenance.set(relay_series.maintenance)
        self._recovery = self._of("relay_probe_recovery_seconds")
        self._handshake = self._of("relay_probe_handshake_seconds")
        self._reconnect = self._of("relay_probe_reconnect_seconds")
        self._wire_request, self._wire_response = (
            self._of("relay_probe_wire_seconds", direction) for direction in DIRECTIONS
        )
        self._handshakes = {ok: self._of("relay_probe_handshakes_total", _ended(ok)) for ok in (True, False)}
        self._acks = relay_series.phase(Phase.PUBLISH_ACK) if self._spec.paired else NO_SERIES
        self._connected, self._disconnected = (self._of("relay_probe_pair_seconds_total", state) for state in STATES)
        # Two gauges that do not exist before the first run.
        self._up: Any = None
        self._last_up: bool | None = None
        self._last_success: Any = None
        self.handlers: dict[type, Callable[[Any], None]] = {
            Run: self._run,
            PhaseTimed: relay_series.phase_timed,
            MessagesSent: self._sent,
            MessagesJudged: self._judged,
            PairTime: self._pair_time,
            Paired: self._paired,
            Disconnected: self._dropped,
            Reconnected: self._reconnected,
            Confirmed: self._confirmed,
            AddressFailed: self._address_failed,
            CertificateSeen: relay_series.certificate_seen,
            EndpointFailed: relay_series.endpoint_failed,
            Skipped: lambda _: None,  # counted by the schedule, and as a run if it counts
        }
        self._create_counters(tls=relay.url.startswith("wss:"))

    def _create_counters(self, *, tls: bool) -> None:
        """Create the counters at 0; with `detail: lean` those that rules and the overview read."""
        lean = self._lean
        self._exchanges = {
            outcome: self._of("relay_probe_exchanges_total", outcome.value)
            for outcome in ((Outcome.FAILED,) if lean else Outcome)
        }
        self._messages = {
            verdict: self._of("relay_probe_messages_total", verdict.value)
            for verdict in ((Verdict.LOST,) if lean else Verdict)
        }
        self._runs = {
            result: self._group.series("relay_monitor_runs_total", *self._labels[:-1], result)
            for result in (RESULTS[:1] if lean else RESULTS)
        }
        for code in () if lean else COMMON_CODES:
            self._of(DISCONNECTS, code)
        for via in CONFIRMED_OVER if self._spec.paired else CONFIRMED_OVER[1:]:
            for ok in (True, False):
                is_read = via == "standing" and not ok and self._is_continuous
                if is_read or not lean:
                    self._of("relay_probe_confirmations_total", via, _ended(ok))
        if lean:
            return
        for failure in common_failures(self._spec, tls=tls):
            self._of("relay_probe_failures_total", *failure)
        for family in FAMILIES:
            self._of("relay_probe_address_failures_total", family)

    def _of(self, name: str, *more: str) -> Any:
        """A series, or a substitute that ignores everything if this probe does not have it."""
        if name not in self._has:
            return NO_SERIES
        return self._group.series(name, *self._labels, *more)

    def _count(self, name: str, *more: str, exemplar: Exemplar | None = None) -> None:
        """Increment a counter that exists only once it is needed."""
        if name in self._has:
            self._group.count(name, *self._labels, *more, exemplar=exemplar)

    def configure(self, interval: float, slos: Sequence[SloConfig]) -> None:
        """Set what a reload can change; the series of removed SLOs are removed."""
        *relay_labels, probe, _ = self._labels
        relay = relay_labels[-1]
        self._slos = counted_slos(slos, probe, relay)
        names = [slo.name for slo in self._slos]
        for name in {name for name, _ in self._slo_counters}.difference(names):
            for outcome in SLO_OUTCOMES:
                self._group.discard(SLO_EVENTS, *relay_labels, probe, name, outcome)
        self._slo_counters = {
            (name, outcome == "good"): self._group.series(SLO_EVENTS, *relay_labels, probe, name, outcome)
            for name in names
            for outcome in SLO_OUTCOMES
        }
        has_trend = any(slo.sli is Sli.TREND for slo in slos)
        if not self._lean or has_trend or self._labels[-1] == Scenario.STEADY_MESSAGING:
            self._round_trip = self._of("relay_probe_round_trip_seconds")
        self._interval.set(interval)

    def take_over(self, old: ProbeSeries) -> None:
        """Continue with the state of an earlier object for the same probe, and remove its other series."""
        self.pending = old.pending
        self._failed_before, self._down, self._ran = old._failed_before, old._down, old._ran
        self._relay_up = old._relay_up
        self._succeeded_at = old._succeeded_at
        if self._succeeded_at:
            self._show_last_success()
        if old._up is not None:
            self._update_up()
        self._group.adopt(old._group, DISCONNECTS)
        old._group.remove_others(self._group)

    def _show_last_success(self) -> None:
        if self._last_success is None:
            self._last_success = self._of("relay_probe_last_success_timestamp_seconds")
            self._last_success.set_function(lambda: self._succeeded_at)

    def remove(self) -> None:
        """Remove all its series."""
        self._group.remove()

    # Results.

    def _run(self, run: Run) -> None:
        """Count a run: its exchanges, its pairing, and the probe's up."""
        started_at = run.started_at.timestamp()
        for part in run.exchanges:
            self._exchange(part, run.id, started_at + (run.duration if part.ended is None else part.ended))
        if (pairing := run.pairing) is not None:
            self._pairing(pairing, run.id, started_at + _pairing_ended(run))
        self._count_events(run)
        if run.outcome is Outcome.OK:
            self._succeeded_at = started_at + run.duration
            self._show_last_success()
        elif run.outcome is not Outcome.FAILED:
            return
        failed = run.outcome is Outcome.FAILED
        self._down = failed and self._failed_before
        self._failed_before, self._ran = failed, True
        self._update_up()

    def set_relay_up(self, up: bool | None) -> None:  # noqa: FBT001 - a state, named
        """Set the verdict on the relay; None: there is none."""
        self._relay_up = up
        if self._ran:
            self._update_up()

    def _update_up(self) -> None:
        up = not self._down and self._relay_up is not False
        if up is self._last_up:
            return
        if self._up is None:
            self._up = self._of("relay_probe_up")
        self._last_up = up
        self._up.set(up)

    def _exchange(self, exchange: Exchange, run_id: str, ended_at: float) -> None:
        # Only some metrics get exemplars: they are of use where a value can stand out.
        ok = exchange.outcome is Outcome.OK
        self._count_outcome(exchange.outcome)
        if exchange.outcome is Outcome.FAILED:
            self._failed(exchange.failure, Exemplar(run_id, 1.0, ended_at))
        elif not ok:
            return
        if exchange.wire_request is not None:
            self._wire_request.observe(exchange.wire_request)
        if exchange.wire_response is not None:
            self._wire_response.observe(exchange.wire_response)
        if ok and exchange.round_trip is not None:
            self._round_trip.observe_run(exchange.round_trip, run_id, ended_at)
        if ok and exchange.recovery is not None:
            self._recovery.observe_run(exchange.recovery, run_id, ended_at)

    def _count_outcome(self, outcome: Outcome) -> None:
        if (counter := self._exchanges.get(outcome)) is not None:
            counter.inc()
        elif outcome is not Outcome.OK:
            self._count("relay_probe_exchanges_total", outcome.value)

    def _failed(self, failure: Failure | None, exemplar: Exemplar) -> None:
        """Count a failed exchange by its cause."""
        if failure is None or (self._lean and failure.reason is not Reason.RATE_LIMITED):
            return
        step, reason = self._spec.failure_label(failure.step, failure.reason)
        if not self._spec.declares(failure.step, failure.reason):
            _log.error(
                "failure outside the table of the scenario",
                step=failure.step.value,
                reason=failure.reason.value,
                repeats=True,
            )
        labels = (step.value, reason.value)
        if not self._has_room(FAILURES, MAX_FAILURES, *labels):
            labels = (OTHER, OTHER)
        self._count(FAILURES, *labels, exemplar=exemplar)

    def _has_room(self, name: str, most: int, *more: str) -> bool:
        """Whether a series exists or may be created."""
        return self._group.has(name, *self._labels, *more) or self._group.number(name) < most

    def _paired(self, report: Paired) -> None:
        self._pairing(report.pairing, report.run_id, report.ended_at)
        self._count_events(report)

    def _count_events(self, report: Run | Report) -> None:
        """Count what a report is for the SLOs."""
        for name, good, amount in slo_events(report, self._slos):
            self._slo_counters[name, good].inc(amount)

    def _pairing(self, pairing: Pairing, run_id: str, ended_at: float) -> None:
        if pairing.outcome not in {Outcome.OK, Outcome.FAILED}:
            return
        ok = pairing.outcome is Outcome.OK
        self._handshakes[ok].inc()
        if ok and pairing.seconds is not None:
            self._handshake.observe_run(pairing.seconds, run_id, ended_at)

    def _sent(self, report: MessagesSent) -> None:
        self.pending += report.messages
        for seconds in report.acks:
            self._acks.observe(seconds)

    def _judged(self, report: MessagesJudged) -> None:
        verdict = report.verdict
        if verdict is not None and (counter := self._messages.get(verdict)) is not None:
            counter.inc(report.messages)
        elif verdict is not None and verdict is not Verdict.DELIVERED:
            for _ in range(report.messages):
                self._count("relay_probe_messages_total", verdict.value)
        if report.pending:
            self.pending -= report.messages

    def _pair_time(self, report: PairTime) -> None:
        (self._connected if report.connected else self._disconnected).inc(report.seconds)
        self._count_events(report)

    def _dropped(self, report: Disconnected) -> None:
        code = report.code
        label = "none" if code is None else str(int(code)) if code in KNOWN_CODES else OTHER
        if not self._has_room(DISCONNECTS, MAX_CODES, label):
            label = OTHER
        self._count(DISCONNECTS, label)

    def _reconnected(self, report: Reconnected) -> None:
        self._reconnect.observe_run(report.seconds, report.run_id, report.ended_at)

    def _confirmed(self, report: Confirmed) -> None:
        if not self._lean or (report.via == "standing" and not report.ok):
            self._count("relay_probe_confirmations_total", report.via, _ended(report.ok))

    def _address_failed(self, report: AddressFailed) -> None:
        self._of("relay_probe_address_failures_total", report.family).inc()

    def set_maintenance(self, active: bool) -> None:  # noqa: FBT001 - a state, named
        """Set whether it is inside a maintenance window."""
        self._maintenance.set(active)

    def slot(self, result: str) -> None:
        """Count a slot."""
        if (counter := self._runs.get(result)) is not None:
            counter.inc()


def _pairing_ended(run: Run) -> float:
    """Seconds from the start of a run to the end of its pairing."""
    return next((mark.ended for mark in run.timeline if mark.step is Step.HANDSHAKE), run.duration)


def _ended(ok: bool) -> str:  # noqa: FBT001 - what it is called
    return "ok" if ok else "failed"
