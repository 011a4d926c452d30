"""Counts what the scenarios report and what probes publish, while the test runs."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from monitor.load.sketch import Sketch
from monitor.load.totals import Totals
from monitor.results import MessagesJudged, PairTime, Reconnected, Run
from monitor.scenarios import OFFLINE, PAIRED, Scenario
from monitor.vocabulary import Outcome

if TYPE_CHECKING:
    from monitor.clock import Clock
    from monitor.results import Exchange, Failure, Pairing, Report

RECENT_SPANS: Final = 2
"""Spans of five seconds that the recent percentiles are made of."""

SPAN_SECONDS: Final = 5.0


class LoadStatistics:
    """Fills `totals`.

    `started` is the number of pairs or connections that started, `active` of those that are connected now.
    """

    def __init__(self, scenario: Scenario, clock: Clock) -> None:
        self.totals = Totals()
        self.started = self.active = 0
        self.began = clock.monotonic()
        self._scenario = scenario
        self._clock = clock
        self._recent: deque[tuple[float, Sketch]] = deque(maxlen=RECENT_SPANS)

    # Called by the scenarios.

    def record_start(self) -> None:
        """Count a pair or connection that starts."""
        self.started += 1

    def record_connect(self, seconds: float, retries: int = 0) -> None:
        """Count a bare connection that connected, `seconds` after its intended start."""
        totals = self.totals
        totals.attempted += 1
        if retries:
            totals.recovered += 1
        else:
            totals.immediate += 1
        totals.retries += retries
        totals.sketches["connectTime"].record(seconds)

    def record_connect_failure(self, failure: Failure, retries: int = 0) -> None:
        """Count a bare connection that failed."""
        self.totals.attempted += 1
        self.totals.failed += 1
        self.totals.retries += retries
        self.count_failure(failure)

    def record_unfinished(self, failure: Failure | None = None) -> None:
        """Count a pair or connection that was aborted before it was connected: by a stop, or for a local fault."""
        self.totals.unfinished += 1
        self.totals.aborted += 1
        if failure is not None:
            self.count_failure(failure)

    def record_connect_time(self, seconds: float) -> None:
        """Record how long one peer of a pair took to connect."""
        self.totals.sketches["connectTime"].record(seconds)

    def record_pairing(self, pairing: Pairing) -> None:
        """Count a pairing that succeeded, failed, or was aborted."""
        totals = self.totals
        if pairing.outcome is Outcome.ABORTED:
            self.record_unfinished(pairing.failure)
            return
        totals.attempted += 1
        if pairing.outcome is Outcome.OK:
            totals.immediate += 1
            if pairing.wallet_seconds is not None:
                totals.sketches["handshake"].record(pairing.wallet_seconds)
        else:
            totals.failed += 1
            if pairing.failure is not None:
                self.count_failure(pairing.failure)

    def count_failure(self, failure: Failure) -> None:
        """Count a failure under its step and reason."""
        self.totals.reasons[f"{failure.step.value}/{failure.reason.value}"] += 1

    # Called with what probes publish.

    def record(self, report: Run | Report) -> None:
        """Count a run's exchanges, or a report."""
        if isinstance(report, Run):
            for exchange in report.exchanges if self._scenario in PAIRED else ():  # bare connections are counted above
                self._record_exchange(exchange)
        elif isinstance(report, MessagesJudged):
            if report.verdict is not None:
                self.totals.verdicts[report.verdict.value] += report.messages
        elif isinstance(report, Reconnected):
            self.totals.reconnects += 1
        elif isinstance(report, PairTime):
            self.totals.due_seconds += report.seconds
            self.totals.connected_seconds += report.seconds if report.connected else 0.0

    def _record_exchange(self, exchange: Exchange) -> None:
        totals = self.totals
        if exchange.outcome is Outcome.ABORTED:
            totals.aborted += 1
            if exchange.failure is not None:
                self.count_failure(exchange.failure)
            return
        if self._scenario in OFFLINE:
            totals.recoveries_attempted += 1
            if exchange.recovery is not None:
                totals.recoveries_received += 1
                totals.sketches["recovery"].record(exchange.recovery)
                self._record_recent(exchange.recovery)
            else:
                totals.recoveries_failed += 1
        else:
            totals.sent += 1
            if exchange.round_trip is not None:
                totals.received += 1
                totals.sketches["messages"].record(exchange.round_trip)
                self._record_recent(exchange.round_trip)
            else:
                totals.unanswered += 1
        for name, wire in (("wireRequest", exchange.wire_request), ("wireResponse", exchange.wire_response)):
            if wire is not None:
                totals.sketches[name].record(wire)
        if exchange.failure is not None:
            self.count_failure(exchange.failure)

    def _record_recent(self, seconds: float) -> None:
        """Record a latency in the present window of the totals, and among the recent ones."""
        at = self._clock.monotonic() - self.began
        self.totals.window(at).record(seconds)
        span = at // SPAN_SECONDS
        if not self._recent or self._recent[-1][0] != span:
            self._recent.append((span, Sketch()))
        self._recent[-1][1].record(seconds)

    def recent(self) -> Sketch:
        """Return the latencies of the last five to ten seconds."""
        now = (self._clock.monotonic() - self.began) // SPAN_SECONDS
        recent = Sketch()
        for span, sketch in self._recent:
            if span > now - RECENT_SPANS:
                recent.add(sketch)
        return recent
