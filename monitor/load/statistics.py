"""What probes publish, counted while the test runs."""

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

RECENT: Final = 2
"""Spans of five seconds that the live percentiles are made of."""

SPAN: Final = 5.0


class LoadStatistics:
    """Fills `totals` from what is published.

    `begun` are the pairs or connections that started, `active` those that stand now.
    """

    def __init__(self, scenario: Scenario, clock: Clock) -> None:
        self.totals = Totals()
        self.begun = self.active = 0
        self.began = clock.monotonic()
        self._scenario = scenario
        self._clock = clock
        self._recent: deque[tuple[float, Sketch]] = deque(maxlen=RECENT)

    # What scenarios say themselves.

    def started(self) -> None:
        """A pair or a connection starts."""
        self.begun += 1

    def connected(self, seconds: float, retries: int = 0) -> None:
        """A bare connection stands, so many seconds and retries after its start."""
        totals = self.totals
        totals.attempted += 1
        if retries:
            totals.recovered += 1
        else:
            totals.immediate += 1
        totals.retries += retries
        totals.sketches["connectTime"].record(seconds)

    def not_connected(self, failure: Failure, retries: int = 0) -> None:
        """A bare connection came to nothing."""
        self.totals.attempted += 1
        self.totals.failed += 1
        self.totals.retries += retries
        self._blame(failure)

    def unfinished(self, failure: Failure | None = None) -> None:
        """This program gave up a pair or a connection that was being made: it was stopped, or the fault was its own."""
        self.totals.unfinished += 1
        self.totals.aborted += 1
        if failure is not None:
            self._blame(failure)

    def reached(self, seconds: float) -> None:
        """One end of a pair had its connection after so many seconds."""
        self.totals.sketches["connectTime"].record(seconds)

    def paired(self, pairing: Pairing) -> None:
        """A pairing ended."""
        totals = self.totals
        if pairing.outcome is Outcome.ABORTED:
            self.unfinished(pairing.failure)
            return
        totals.attempted += 1
        if pairing.outcome is Outcome.OK:
            totals.immediate += 1
            if pairing.wallet_seconds is not None:
                totals.sketches["handshake"].record(pairing.wallet_seconds)
        else:
            totals.failed += 1
            if pairing.failure is not None:
                self._blame(pairing.failure)

    def dropped(self, failure: Failure) -> None:
        """A connection that was held went away."""
        self._blame(failure)

    # What probes publish.

    def take(self, report: Run | Report) -> None:
        """Count a run's exchanges, or a report."""
        if isinstance(report, Run):
            for exchange in report.exchanges if self._scenario in PAIRED else ():  # a bare connection is told of above
                self._exchange(exchange)
        elif isinstance(report, MessagesJudged):
            if report.verdict is not None:
                self.totals.verdicts[report.verdict.value] += report.messages
        elif isinstance(report, Reconnected):
            self.totals.reconnects += 1
        elif isinstance(report, PairTime):
            self.totals.due_seconds += report.seconds
            self.totals.connected_seconds += report.seconds if report.connected else 0.0

    def _exchange(self, exchange: Exchange) -> None:
        totals = self.totals
        if exchange.outcome is Outcome.ABORTED:
            totals.aborted += 1
            if exchange.failure is not None:
                self._blame(exchange.failure)
            return
        if self._scenario in OFFLINE:
            totals.awaited += 1
            if exchange.recovery is not None:
                totals.brought += 1
                totals.sketches["recovery"].record(exchange.recovery)
                self._note(exchange.recovery)
            else:
                totals.missed += 1
        else:
            totals.sent += 1
            if exchange.round_trip is not None:
                totals.received += 1
                totals.sketches["messages"].record(exchange.round_trip)
                self._note(exchange.round_trip)
            else:
                totals.unheard += 1
        for name, wire in (("wireRequest", exchange.wire_request), ("wireResponse", exchange.wire_response)):
            if wire is not None:
                totals.sketches[name].record(wire)
        if exchange.failure is not None:
            self._blame(exchange.failure)

    def _blame(self, failure: Failure) -> None:
        self.totals.reasons[f"{failure.step.value}/{failure.reason.value}"] += 1

    def _note(self, seconds: float) -> None:
        """Put a latency into the present snapshot, and among the recent ones."""
        at = self._clock.monotonic() - self.began
        self.totals.window(at).record(seconds)
        span = at // SPAN
        if not self._recent or self._recent[-1][0] != span:
            self._recent.append((span, Sketch()))
        self._recent[-1][1].record(seconds)

    def recent(self) -> Sketch:
        """The latencies of the last five to ten seconds."""
        now = (self._clock.monotonic() - self.began) // SPAN
        found = Sketch()
        for span, sketch in self._recent:
            if span > now - RECENT:
                found.add(sketch)
        return found
