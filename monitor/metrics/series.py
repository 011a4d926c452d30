"""The series of one probe at one relay, looked up once: a label look-up costs more than the observation itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from monitor.catalogue import Outcome, Phase, Sli, Verdict, booked, pairs_of
from monitor.metrics.declared import DECLARED, PROBE
from monitor.wire.codes import CloseCode, UnsubscribeCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.config import ProbeConfig, SloConfig
    from monitor.probes.run import Exchange, Pairing, Run

RELAY_LABELS: Final = (
    "relay_up",
    "relay_probe_certificate_expiry_timestamp_seconds",
    "relay_slo_objective_ratio",
    "relay_slo_threshold_seconds",
    "relay_slo_window_seconds",
)
"""The families a relay has series of whatever its probes."""

CODES: Final = frozenset(int(code) for code in (*CloseCode, *UnsubscribeCode))


class Judge:
    """One SLO's events of one probe at one relay."""

    def __init__(self, family: Any, slo: SloConfig, location: str, relay: str, probe: str) -> None:
        override = slo.overrides.get(relay)
        self.sli = slo.sli
        self.threshold = (override.threshold if override else None) or slo.threshold or float("inf")
        self._good = family.labels(location, relay, probe, slo.name, "good")
        self._bad = family.labels(location, relay, probe, slo.name, "bad")

    def count(self, *, good: bool, amount: float = 1.0) -> None:
        """Count one event, or so many seconds."""
        (self._good if good else self._bad).inc(amount)


class ProbeSeries:
    """What one probe at one relay has on `/metrics`."""

    def __init__(self, families: dict[str, Any], location: str, relay: str, probe: ProbeConfig) -> None:
        self._families = families
        self._labels = (location, relay, probe.name, probe.scenario.value)
        self._scenario = probe.scenario
        self._failed_before = False
        self._ran = self._down = False
        self._slo_names: set[str] = set()
        self._judges: list[Judge] = []
        self._has = {
            item.name for item in DECLARED if item.labels[: len(PROBE)] == PROBE and probe.scenario in item.scenarios
        }
        self.interval = self._of("relay_probe_interval_seconds")
        self.maintenance = self._of("relay_probe_maintenance")
        self.maintenance.set(0)
        self.pending = 0  # counted here, and read when a scrape comes
        self._of("relay_probe_messages_pending").set_function(lambda: self.pending)
        self._round_trip = self._of("relay_probe_round_trip_seconds")
        self._recovery = self._of("relay_probe_recovery_seconds")
        self._handshake = self._of("relay_probe_handshake_seconds")
        self._reconnect = self._of("relay_probe_reconnect_seconds")
        self._exchanges = {outcome: self._of("relay_probe_exchanges_total", outcome.value) for outcome in Outcome}
        self._handshakes = {name: self._of("relay_probe_handshakes_total", name) for name in ("ok", "failed")}
        self._wire = {name: self._of("relay_probe_wire_seconds", name) for name in ("request", "response")}
        self._phases = {phase: self._of("relay_probe_phase_seconds", phase.value) for phase in Phase}
        self._messages = {verdict: self._of("relay_probe_messages_total", verdict.value) for verdict in Verdict}
        self._seconds = {
            name: self._of("relay_probe_pair_seconds_total", name) for name in ("connected", "disconnected")
        }
        for step, reason in pairs_of(probe.scenario):
            self._of("relay_probe_failures_total", step.value, reason.value)
        for code in (*sorted(CODES), "other", "none"):
            self._of("relay_probe_disconnects_total", str(code))
        for over in ("standing", "fresh"):
            for outcome in ("ok", "failed"):
                self._of("relay_probe_confirmations_total", over, outcome)
        for family in ("ip4", "ip6"):
            self._of("relay_probe_address_failures_total", family)

    def _of(self, name: str, *more: str) -> Any:
        """A series, or a sink where this scenario has none."""
        if name not in self._has:
            return _NOTHING
        return self._families[name].labels(*self._labels, *more)

    def set_slos(self, slos: Sequence[SloConfig]) -> None:
        """The SLOs that this probe's events count for; those that left take their series along."""
        location, relay, probe, _ = self._labels
        family = self._families["relay_slo_events_total"]
        names = {slo.name for slo in slos if slo.sli is not Sli.TREND}
        for name in self._slo_names - names:
            family.remove_by_labels({"location": location, "relay": relay, "probe": probe, "slo": name})
        self._slo_names = names
        self._judges = [Judge(family, slo, location, relay, probe) for slo in slos if slo.sli is not Sli.TREND]

    def remove(self) -> None:
        """Take every series of this probe away."""
        location, relay, probe, _ = self._labels
        labels = {"location": location, "relay": relay, "probe": probe}
        for name in (*self._has, "relay_slo_events_total", "relay_monitor_runs_total"):
            self._families[name].remove_by_labels(labels)

    # Results.

    def run(self, run: Run, *, relay_up: bool | None) -> None:
        """Book a run: its exchanges, its pairing, the probe's own up."""
        for exchange in run.exchanges:
            self._exchange(exchange, run.id)
        if run.pairing is not None:
            self.paired(run.pairing, run.id)
        if run.outcome in {Outcome.OK, Outcome.FAILED}:
            failed = run.outcome is Outcome.FAILED
            if not failed:
                at = run.started_at.timestamp() + run.duration
                self._of("relay_probe_last_success_timestamp_seconds").set(at)
            self._down = failed and self._failed_before
            self._failed_before, self._ran = failed, True
            self._of("relay_probe_up").set(not self._down and relay_up is not False)

    def relay_up(self, up: bool) -> None:  # noqa: FBT001 - a state, named
        """The relay's own verdict changed."""
        if self._ran:
            self._of("relay_probe_up").set(up and not self._down)

    def _exchange(self, exchange: Exchange, run_id: str) -> None:
        exemplar = {"run_id": run_id}
        self._exchanges[exchange.outcome].inc(exemplar=exemplar)
        if exchange.outcome is Outcome.FAILED and exchange.failure is not None:
            step, reason = booked(self._scenario, exchange.failure.step, exchange.failure.reason)
            self._of("relay_probe_failures_total", step.value, reason.value).inc(exemplar=exemplar)
        ok = exchange.outcome is Outcome.OK
        if ok and exchange.round_trip is not None:
            self._round_trip.observe(exchange.round_trip, exemplar)
        if ok and exchange.recovery is not None:
            self._recovery.observe(exchange.recovery, exemplar)
        if exchange.wire_request is not None:
            self._wire["request"].observe(exchange.wire_request, exemplar)
        if exchange.wire_response is not None:
            self._wire["response"].observe(exchange.wire_response, exemplar)
        if not ok and exchange.outcome is not Outcome.FAILED:
            return
        for judge in self._judges:
            if judge.sli is Sli.AVAILABILITY:
                judge.count(good=ok)
            elif judge.sli is Sli.LATENCY:
                judge.count(good=ok and exchange.round_trip is not None and exchange.round_trip <= judge.threshold)

    def paired(self, pairing: Pairing, run_id: str) -> None:
        """Book a pairing."""
        if pairing.outcome not in {Outcome.OK, Outcome.FAILED}:
            return
        ok = pairing.outcome is Outcome.OK
        self._handshakes["ok" if ok else "failed"].inc()
        if pairing.seconds is not None and ok:
            self._handshake.observe(pairing.seconds, {"run_id": run_id})
        for judge in self._judges:
            if judge.sli is Sli.PAIRING:
                judge.count(good=ok)

    def phase(self, phase: Phase, seconds: float, run_id: str) -> None:
        """Book how long a phase took."""
        self._phases[phase].observe(seconds, {"run_id": run_id})

    def judged(self, verdict: Verdict, *, was_pending: bool) -> None:
        """Book what became of a message."""
        self._messages[verdict].inc()
        if was_pending:
            self.pending -= 1

    def pair_time(self, *, connected: bool, seconds: float) -> None:
        """Book time that a standing pair spent in one state."""
        self._seconds["connected" if connected else "disconnected"].inc(seconds)
        for judge in self._judges:
            if judge.sli is Sli.STABILITY:
                judge.count(good=connected, amount=seconds)

    def disconnected(self, code: int | None) -> None:
        """Book a drop."""
        label = "none" if code is None else str(int(code)) if code in CODES else "other"
        self._of("relay_probe_disconnects_total", label).inc()

    def reconnected(self, seconds: float, run_id: str) -> None:
        """Book a repair."""
        self._reconnect.observe(seconds, {"run_id": run_id})

    def confirmed(self, over: str, *, ok: bool) -> None:
        """Book a confirming attempt."""
        self._of("relay_probe_confirmations_total", over, "ok" if ok else "failed").inc()

    def address_failed(self, family: str) -> None:
        """Book an address that could not be reached."""
        self._of("relay_probe_address_failures_total", family).inc()


class _Nothing:
    """Stands in for a series that a scenario has not."""

    def _ignore(self, *_: object, **__: object) -> None:
        """Nothing is booked."""

    inc = set = set_function = observe = _ignore


_NOTHING: Final = _Nothing()
