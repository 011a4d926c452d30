"""The series of one probe at one relay, looked up once: looking up labels takes longer than an observation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from monitor.metrics.declared import DECLARED, phases_of
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
)
from monitor.scenarios import SPECS
from monitor.vocabulary import Outcome, Phase, Sli, Verdict
from monitor.wire.codes import CloseCode, UnsubscribeCode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from monitor.config import ProbeConfig, SloConfig
    from monitor.results import Exchange, Pairing

# Values of the labels that only one metric has.
DIRECTIONS: Final = ("request", "response")
ENDED: Final = ("ok", "failed")
FAMILIES: Final = ("ip4", "ip6")
SLO_OUTCOMES: Final = ("good", "bad")
CONFIRMED_OVER: Final = ("standing", "fresh")
RESULTS: Final = ("started", "missed", "skipped")
STATES: Final = ("connected", "disconnected")
CODES: Final = frozenset(int(code) for code in (*CloseCode, *UnsubscribeCode))


class Increment:
    """The pending increment of a counter: adding to a float is faster than incrementing the counter each time."""

    __slots__ = ("_counter", "amount")

    def __init__(self, counter: Any) -> None:
        self._counter = counter
        self.amount = 0.0

    def flush(self) -> None:
        """Increment the counter."""
        if self.amount:
            self._counter.inc(self.amount)
            self.amount = 0.0


class SloEvents:
    """The events of one SLO of one probe at one relay; `threshold` is the relay's, in seconds."""

    def __init__(self, good: Increment, bad: Increment, threshold: float) -> None:
        self.threshold = threshold
        self._good, self._bad = good, bad

    def count(self, *, good: bool, amount: float = 1.0) -> None:
        """Count one event, or `amount` seconds."""
        (self._good if good else self._bad).amount += amount

    def flush(self) -> None:
        """Increment the counters."""
        self._good.flush()
        self._bad.flush()


class ProbeSeries:
    """The series of one probe at one relay. `families` are the metrics by name."""

    def __init__(self, families: Mapping[str, Any], location: str, relay: str, probe: ProbeConfig) -> None:
        self._families = families
        self._labels = (location, relay, probe.name, probe.scenario.value)
        self._spec = SPECS[probe.scenario]
        self._has = {item.name for item in DECLARED if item.belongs_to(probe)}
        self._failed_before = True  # a first run that failed is enough
        self._down = self._ran = False
        self._relay_up: bool | None = None  # None before the first verdict on the relay
        self._succeeded_at = 0.0  # Unix time of the end of the last good run
        self._slos: dict[Sli, list[SloEvents]] = {sli: [] for sli in Sli}
        self._slo_names: set[str] = set()
        self.pending = 0
        self._of("relay_probe_messages_pending").set_function(lambda: self.pending)
        self._interval = self._of("relay_probe_interval_seconds")
        self._maintenance = self._of("relay_probe_maintenance")
        self._round_trip = self._of("relay_probe_round_trip_seconds")
        self._recovery = self._of("relay_probe_recovery_seconds")
        self._handshake = self._of("relay_probe_handshake_seconds")
        self._reconnect = self._of("relay_probe_reconnect_seconds")
        self._wire_request, self._wire_response = (
            self._of("relay_probe_wire_seconds", direction) for direction in DIRECTIONS
        )
        self._exchanges = {
            outcome: Increment(self._of("relay_probe_exchanges_total", outcome.value)) for outcome in Outcome
        }
        self._handshakes = {ok: self._of("relay_probe_handshakes_total", _ended(ok)) for ok in (True, False)}
        self._phases = {
            phase: self._of("relay_probe_phase_seconds", phase.value) for phase in phases_of(probe.scenario)
        }
        self._acks = self._phases.get(Phase.PUBLISH_ACK, _NO_SERIES)
        self._messages = {verdict: self._of("relay_probe_messages_total", verdict.value) for verdict in Verdict}
        self._connected, self._disconnected = (self._of("relay_probe_pair_seconds_total", state) for state in STATES)
        self._runs = {
            result: families["relay_monitor_runs_total"].labels(location, relay, probe.name, result)
            for result in RESULTS
        }
        # Two gauges that do not exist before the first run.
        self._up: Any = None
        self._last_up: bool | None = None
        self._last_success: Any = None
        self.handlers: dict[type, Callable[[Any], None]] = {
            Run: self._run,
            PhaseTimed: self._phase,
            MessagesSent: self._sent,
            MessagesJudged: self._judged,
            PairTime: self._pair_time,
            Paired: self._paired,
            Disconnected: self._dropped,
            Reconnected: self._reconnected,
            Confirmed: self._confirmed,
            AddressFailed: self._address_failed,
            CertificateSeen: self._certificate_seen,
            EndpointFailed: self._endpoint_failed,
        }
        self._create_counters()

    def _create_counters(self) -> None:
        """Create at 0 the series that are looked up when they are needed."""
        for step, reason in self._spec.failure_labels:
            self._of("relay_probe_failures_total", step.value, reason.value)
        for code in (*sorted(CODES), "other", "none"):
            self._of("relay_probe_disconnects_total", str(code))
        for via in CONFIRMED_OVER:
            for ok in (True, False):
                self._of("relay_probe_confirmations_total", via, _ended(ok))
        for family in FAMILIES:
            self._of("relay_probe_address_failures_total", family)
        self._maintenance.set(0)

    def _of(self, name: str, *more: str) -> Any:
        """A series, or a substitute that ignores everything if this probe does not have it."""
        if name not in self._has:
            return _NO_SERIES
        return self._families[name].labels(*self._labels, *more)

    def configure(self, interval: float, slos: Sequence[SloConfig]) -> None:
        """Set what a reload can change; the series of removed SLOs are removed."""
        location, relay, probe, _ = self._labels
        events = self._families["relay_slo_events_total"]
        counted = [slo for slo in slos if slo.sli is not Sli.TREND]
        names = {slo.name for slo in counted}
        for name in self._slo_names - names:
            events.remove_by_labels({"location": location, "relay": relay, "probe": probe, "slo": name})
        self._slo_names = names
        self._slos = {sli: [] for sli in Sli}
        for slo in counted:
            good, bad = (
                Increment(events.labels(location, relay, probe, slo.name, outcome)) for outcome in SLO_OUTCOMES
            )
            self._slos[slo.sli].append(SloEvents(good, bad, slo.threshold_for(relay) or float("inf")))
        self._interval.set(interval)

    def remove(self) -> None:
        """Take every series of this probe away."""
        location, relay, probe, _ = self._labels
        labels = {"location": location, "relay": relay, "probe": probe}
        for name in (*self._has, "relay_slo_events_total", "relay_monitor_runs_total"):
            self._families[name].remove_by_labels(labels)

    # Results.

    def _run(self, run: Run) -> None:
        """Count a run: its exchanges, its pairing, and the probe's up."""
        for exchange in run.exchanges:
            self._exchange(exchange, run.id)
        if run.pairing is not None:
            self._pairing(run.pairing, run.id)
        if run.outcome is Outcome.OK:
            self._succeeded_at = run.started_at.timestamp() + run.duration
            if self._last_success is None:
                self._last_success = self._of("relay_probe_last_success_timestamp_seconds")
                self._last_success.set_function(lambda: self._succeeded_at)
        elif run.outcome is not Outcome.FAILED:
            return
        failed = run.outcome is Outcome.FAILED
        self._down = failed and self._failed_before
        self._failed_before, self._ran = failed, True
        self._update_up()

    def set_relay_up(self, up: bool | None) -> None:  # noqa: FBT001 - a state, named
        """Set the verdict on the relay; None: there is none."""
        self._relay_up = up
        if self._ran and up is not None:
            self._update_up()

    def _update_up(self) -> None:
        up = not self._down and self._relay_up is not False
        if up is self._last_up:
            return
        if self._up is None:
            self._up = self._of("relay_probe_up")
        self._last_up = up
        self._up.set(up)

    def _exchange(self, exchange: Exchange, run_id: str) -> None:
        # Only some metrics get exemplars: checking an exemplar takes longer than counting.
        outcome = exchange.outcome
        self._exchanges[outcome].amount += 1
        ok = outcome is Outcome.OK
        if outcome is Outcome.FAILED and exchange.failure is not None:
            step, reason = self._spec.failure_label(exchange.failure.step, exchange.failure.reason)
            self._of("relay_probe_failures_total", step.value, reason.value).inc(1, {"run_id": run_id})
        if not ok and outcome is not Outcome.FAILED:
            return
        if exchange.wire_request is not None:
            self._wire_request.observe(exchange.wire_request)
        if exchange.wire_response is not None:
            self._wire_response.observe(exchange.wire_response)
        if ok and exchange.round_trip is not None:
            self._round_trip.observe(exchange.round_trip, {"run_id": run_id})
        if ok and exchange.recovery is not None:
            self._recovery.observe(exchange.recovery, {"run_id": run_id})
        for slo in self._slos[Sli.AVAILABILITY]:
            slo.count(good=ok)
        for slo in self._slos[Sli.LATENCY]:
            slo.count(good=ok and exchange.round_trip is not None and exchange.round_trip <= slo.threshold)

    def flush(self) -> None:
        """Increment the counters."""
        for exchanges in self._exchanges.values():
            exchanges.flush()
        for slos in self._slos.values():
            for slo in slos:
                slo.flush()

    def _paired(self, report: Paired) -> None:
        self._pairing(report.pairing, report.run_id)

    def _pairing(self, pairing: Pairing, run_id: str) -> None:
        if pairing.outcome not in {Outcome.OK, Outcome.FAILED}:
            return
        ok = pairing.outcome is Outcome.OK
        self._handshakes[ok].inc()
        if ok and pairing.seconds is not None:
            self._handshake.observe(pairing.seconds, {"run_id": run_id})
        for slo in self._slos[Sli.PAIRING]:
            slo.count(good=ok)

    def _phase(self, report: PhaseTimed) -> None:
        self._phases.get(report.phase, _NO_SERIES).observe(report.seconds)

    def _sent(self, report: MessagesSent) -> None:
        self.pending += report.messages
        for seconds in report.acks:
            self._acks.observe(seconds)

    def _judged(self, report: MessagesJudged) -> None:
        if report.verdict is not None:
            self._messages[report.verdict].inc(report.messages)
        if report.pending:
            self.pending -= report.messages

    def _pair_time(self, report: PairTime) -> None:
        (self._connected if report.connected else self._disconnected).inc(report.seconds)
        for slo in self._slos[Sli.STABILITY]:
            slo.count(good=report.connected, amount=report.seconds)

    def _dropped(self, report: Disconnected) -> None:
        code = report.code
        label = "none" if code is None else str(int(code)) if code in CODES else "other"
        self._of("relay_probe_disconnects_total", label).inc()

    def _reconnected(self, report: Reconnected) -> None:
        self._reconnect.observe(report.seconds, {"run_id": report.run_id})

    def _confirmed(self, report: Confirmed) -> None:
        self._of("relay_probe_confirmations_total", report.via, _ended(report.ok)).inc()

    def _address_failed(self, report: AddressFailed) -> None:
        self._of("relay_probe_address_failures_total", report.family).inc()

    def _endpoint_failed(self, report: EndpointFailed) -> None:
        """Count nothing yet."""

    def _certificate_seen(self, report: CertificateSeen) -> None:
        location, relay, *_ = self._labels
        self._families["relay_probe_certificate_expiry_timestamp_seconds"].labels(location, relay).set(report.not_after)

    def slot(self, result: str) -> None:
        """Count a slot."""
        self._runs[result].inc()

    def maintenance(self, active: bool) -> None:  # noqa: FBT001 - a state, named
        """Set whether it is inside a maintenance window."""
        self._maintenance.set(active)


def _ended(ok: bool) -> str:  # noqa: FBT001 - what it is called
    return "ok" if ok else "failed"


class _NoSeries:
    """Replaces a series that a probe does not have."""

    def _ignore(self, *_: object, **__: object) -> None:
        """Do nothing."""

    inc = set = set_function = observe = _ignore


_NO_SERIES: Final = _NoSeries()
