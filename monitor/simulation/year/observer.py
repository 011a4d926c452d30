"""One monitor at one relay: the daemon's condition and rhythm, over a simulated network.

Only the time around faults is simulated: a relay without a fault is up, and nothing changes.
"""

from __future__ import annotations

import heapq
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from monitor.config.attempts import attempt_interval, attempt_spacing
from monitor.config.relay import MAX_ATTEMPT_TIME
from monitor.reachability.attempt_loop import MAX_CONCURRENT
from monitor.reachability.condition import RelayCondition
from monitor.reachability.persistent import RESEND_INTERVAL, SILENT_MESSAGES
from monitor.reachability.rhythm import MAX_ROUND, EndpointRotation, Rhythm
from monitor.results import Cause, RelayStatus
from monitor.scenarios import SPECS
from monitor.simulation.year.kinds import New
from monitor.simulation.year.network import CONNECT, Network
from monitor.simulation.year.observed import Observed, Status
from monitor.vocabulary import Condition, Reason, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from monitor.config import ProbeConfig, RelayConfig
    from monitor.reachability.degradation import Criteria
    from monitor.reachability.rhythm import Round
    from monitor.simulation.year.plan import Fault

RECONNECT: Final = (1.0, 20.0)
"""Shortest and longest back-off of a persistent connection, in seconds."""

LONGEST_RECOVERY: Final = 7200.0
"""Seconds after the last fault for which a relay is simulated until it is up."""

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_CAUSES: Final = {
    New.REFUSED: (Step.TCP, Reason.REFUSED),
    New.SILENT: (Step.DELIVER, Reason.LOST),
    New.LIMITED: (Step.UPGRADE, Reason.RATE_LIMITED),
}


class Observer:
    """Simulates the verdict on one relay at one location, on `faults` of both, with the monitor unhealthy at times."""

    def __init__(
        self,
        relay: RelayConfig,
        probes: Sequence[ProbeConfig],
        faults: Sequence[Fault],
        unhealthy: Sequence[tuple[float, float]],
        rng: np.random.Generator,
        criteria: Criteria | None = None,
    ) -> None:
        self._relay, self._rng, self._unhealthy = relay, rng, unhealthy
        self._every = attempt_interval(relay, probes)
        self._timeout = min([MAX_ATTEMPT_TIME, relay.confirm.within, *(probe.timeout for probe in probes[:1])])
        self._pairs = [
            probe
            for probe in probes
            if probe.is_continuous and SPECS[probe.scenario].exchanging
            for _ in range(probe.pairs)
        ]
        self._bounded = [probe for probe in probes if not probe.is_continuous]
        self._windows = [fault.window for fault in faults if fault.window is not None]
        self._network = Network(faults, len(self._pairs), rng)
        self._criteria = criteria
        self._endpoints = list(range(max(1, len(relay.endpoints))))
        self._rotation = EndpointRotation()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self.now = 0.0
        self._suspended = False
        self._generation = 0  # of attempts and rounds: those before a fault of the monitor are dropped
        self._running = 0
        self._resent_until = -math.inf  # until then it is not known whether a round's persistent messages arrive
        self._fresh_started_at = self._attempt_delivered_at = -math.inf
        self._examined: set[int] = set()
        self._said: tuple[Condition, bool | None, bool | None, bool] = (Condition.UP, True, True, False)
        self.observed = Observed()

    def run(self, start: float, end: float) -> Observed:
        """Simulate from `start` to `end`, and longer until the relay is up again."""
        self.now = start
        self._begin(start)
        for probe in self._bounded:
            self._at(start + self._rng.uniform(0, probe.longest_gap), lambda probe=probe: self._bounded_run(probe))  # type: ignore[misc]
        for number, probe in enumerate(self._pairs):
            at = start + self._rng.uniform(0, probe.message_interval)
            self._at(at, lambda number=number: self._message(number))  # type: ignore[misc]
        for at in self._network.closings(start):
            self._at(at, self._connections_closed)
        for begin, stop in self._unhealthy:
            self._at(begin, self._health_changed)
            self._at(stop, self._health_changed)
        while True:
            launch = math.inf
            if not self._suspended and self._running < MAX_CONCURRENT:
                launch = max(self.now, self._rhythm.due(len(self._endpoints)))
            event = self._events[0][0] if self._events else math.inf
            self.now = min(event, launch, self._condition.due())
            if self.now > (end + LONGEST_RECOVERY if self._condition.failing or self._suspended else end):
                return self.observed
            if self.now == event:
                heapq.heappop(self._events)[2]()
            elif self.now == launch:
                self._launch()
            else:
                self._condition.tick(self.now)
            self._say()

    def _begin(self, start: float) -> None:
        self._condition = RelayCondition(
            self._relay.name, now=start, every=self._every, wall=lambda _: _EPOCH, criteria=self._criteria
        )
        self._condition.restore(
            RelayStatus(relay=self._relay.name, condition=Condition.UP, since=_EPOCH, up=True, accepting=True)
        )
        first = self._rng.uniform(0, self._every) if math.isfinite(self._every) else math.inf
        self._rhythm = Rhythm(every=self._every, next_regular=start + first)
        self._rhythm.round_interval = attempt_spacing(self._relay.confirm, self._timeout)

    def _at(self, at: float, action: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (at, self._number, action))

    # What probes report.

    @property
    def _observes(self) -> bool:
        """False while the monitor disregards its probes: it is unhealthy, or the relay is in maintenance."""
        return not self._suspended and not any(begin <= self.now < stop for begin, stop in self._windows)

    def _message(self, number: int) -> None:
        """A message of a persistent pair is due."""
        probe, sent_at = self._pairs[number], self.now
        if self._network.connected[number]:
            if self._network.delivers(number, sent_at):
                slow = self._network.is_slow(sent_at)
                arrives = sent_at + CONNECT
                if self._is_quiet_until(arrives):  # most messages: no event is queued
                    self.now = arrives
                    self._exchanged(sent_at, slow=slow)
                else:
                    self._at(arrives, lambda: self._exchanged(sent_at, slow=slow))
            else:
                self._at(sent_at + probe.timeout, lambda: self._exchange_failed(number, sent_at))
        self._at(sent_at + probe.message_interval, lambda: self._message(number))

    def _is_quiet_until(self, at: float) -> bool:
        """Return whether nothing else happens until then."""
        return (
            (not self._events or self._events[0][0] > at)
            and self._condition.due() > at
            and (self._suspended or self._running >= MAX_CONCURRENT or self._rhythm.due(len(self._endpoints)) > at)
        )

    def _exchanged(self, sent_at: float, *, slow: bool) -> None:
        if self._observes:
            self._persistent_delivered(sent_at)
            self._condition.exchange(self.now, sent_at, slow=slow)

    def _exchange_failed(self, number: int, sent_at: float) -> None:
        if self._observes:
            self._condition.exchange(self.now, sent_at, self._cause(New.SILENT))
            self._failure()
            if not self._rhythm.reduced and self._condition.up is not False:
                self._examine(number)

    def _examine(self, number: int) -> None:
        """Send more messages over a pair that failed: its node is silent if none arrives, and a new pair's does."""
        if number in self._examined:
            return
        sent_at = self.now
        for _ in range(SILENT_MESSAGES - 1):
            if self._network.connected[number] and self._network.delivers(number, sent_at):
                self._at(sent_at + CONNECT, lambda: self._persistent_delivered(sent_at))
                return
        self._examined.add(number)
        self._at(sent_at + RESEND_INTERVAL + self._timeout / 2, lambda: self._judge_silence(number, sent_at))

    def _judge_silence(self, number: int, sent_at: float) -> None:
        self._examined.discard(number)
        delivered = self._attempt_delivered_at >= sent_at or self._network.stores(number, sent_at)
        if delivered and self._network.connected[number] and self._condition.up is not False and not self._suspended:
            self.observed.silent.append(self.now)
            self._condition.degraded(self.now, Cause(step=Step.DELIVER, reason=Reason.SILENT, at=self.now))

    def _bounded_run(self, probe: ProbeConfig) -> None:
        """A run with new connections is due."""
        outcome, started = self._network.new(self.now), self.now
        after = probe.timeout if outcome is New.SILENT else CONNECT
        self._at(started + after, lambda: self._run_ended(probe, outcome, started))
        self._at(started + probe.longest_gap, lambda: self._bounded_run(probe))

    def _run_ended(self, probe: ProbeConfig, outcome: New, started: float) -> None:
        spec = SPECS[probe.scenario]
        if not self._observes:
            return
        if outcome is not New.OK:
            self._condition.exchange(self.now, started, self._cause(outcome))
            self._failure(reduced=outcome is New.LIMITED)
        elif spec.exchanging or spec.offline:
            self._condition.exchange(self.now, started, slow=self._network.is_slow(started))
            self._fresh_started_at = max(self._fresh_started_at, started)
            if len(self._endpoints) == 1:
                self._fresh_delivered()
                self._rhythm.next_regular = max(self._rhythm.next_regular, self.now + self._every)
            else:
                self._condition.delivered(self.now, started, persistent=False)
                self._follow()

    def _persistent_delivered(self, sent_at: float) -> None:
        if self._suspended:
            return
        was_down = self._condition.up is False
        self._condition.delivered(self.now, sent_at, persistent=True)
        self._follow()
        if was_down:
            self._network.wake(self.now)

    def _connections_closed(self) -> None:
        """A fault closes persistent connections."""
        closed = self._network.close(self.now)
        for number in closed:
            self._reconnect(number, RECONNECT[0])
        if closed and self._observes:
            self._failure()

    def _reconnect(self, number: int, delay: float) -> None:
        def attempt() -> None:
            if not self._network.reconnect(number, self.now):
                self._reconnect(number, min(RECONNECT[1], 2 * delay))

        self._at(self.now + delay * self._rng.uniform(0.5, 1.0), attempt)

    # Attempts and rounds, as `monitor.reachability.confirmation` makes them.

    def _failure(self, *, reduced: bool = False) -> None:
        """A failure starts a round, unless one is under way or the relay is down already."""
        self._rhythm.reduced = self._rhythm.reduced or reduced
        if self._rhythm.round is None and self._rhythm.is_urgent:
            self._begin_round()

    def _begin_round(self) -> Round:
        """Begin a round: its attempts are due, and one message goes over each persistent pair."""
        size = max(self._relay.confirm.attempts, min(len(self._endpoints), MAX_ROUND))
        sent_at = self.now
        for number in range(min(len(self._pairs), MAX_ROUND)):
            if not self._network.connected[number]:
                continue
            if self._network.delivers(number, sent_at):
                self._at(sent_at + CONNECT, lambda: self._persistent_delivered(sent_at))
            else:
                self._resent_until = sent_at + self._timeout
        return self._rhythm.begin_round(self.now, size)

    def _launch(self) -> None:
        rhythm, started, generation = self._rhythm, self.now, self._generation
        round_ = rhythm.round if rhythm.round is not None and rhythm.round.wants_more(len(self._endpoints)) else None
        if round_ is not None:
            round_.launched += 1
            round_.running += 1
        if round_ is not None and round_.remaining:
            index = round_.remaining.pop(0)
        else:
            index = self._rotation.next_endpoint(self._endpoints, in_round=round_ is not None)
        rhythm.started(started)
        self._running += 1
        outcome = self._network.new(started)
        after = self._timeout if outcome is New.SILENT else CONNECT
        self._at(started + after, lambda: self._attempt_ended(round_, index, started, outcome, generation))

    def _attempt_ended(self, round_: Round | None, index: int, started: float, outcome: New, generation: int) -> None:
        if generation != self._generation:
            return
        self._running -= 1
        if round_ is not None:
            round_.running -= 1
            round_.ended.append((index, outcome is New.OK))
        if outcome is New.OK:
            self._rotation.record(index, self.now, delivered=True)
            self._fresh_started_at = max(self._fresh_started_at, started)
            self._fresh_delivered()
        else:
            self._attempt_failed(round_, index, started, outcome)
        if round_ is not None and not round_.concluded:
            self._evaluate(round_)
        self._follow()

    def _fresh_delivered(self) -> None:
        in_doubt = self._condition.failing or self._rhythm.reduced or self._rhythm.round is not None
        self._rhythm.reduced = False
        self._attempt_delivered_at = self.now
        self._condition.attempt_delivered(self.now)
        if in_doubt:
            self._network.wake(self.now)
        self._follow()

    def _attempt_failed(self, round_: Round | None, index: int, started: float, outcome: New) -> None:
        if started < self._attempt_delivered_at and len(self._endpoints) == 1:
            return  # a later one delivered
        failures = self._rotation.record(index, self.now, delivered=False)
        cause = self._cause(outcome)
        self._rhythm.attempt_failed(started, reduced=outcome is New.LIMITED)
        if self._rotation.fails_alone(index):
            self._condition.endpoint_failed(self.now, cause, confirmed=failures > 1)
        else:
            self._condition.attempt_failed(self.now, started, cause)
        if self._rhythm.round is None and round_ is None and (not self._condition.failing or self._condition.up):
            begun = self._begin_round()
            begun.launched = 1
            begun.began = started
            begun.ended.append((index, False))

    def _evaluate(self, round_: Round) -> None:
        """Conclude a round once nothing more of it is to come."""
        if round_.wants_more(len(self._endpoints)) or (round_.running and not round_.delivered):
            return
        if not round_.delivered and not round_.extended:
            round_.extend(self._rotation.not_failing(self._endpoints)[:MAX_ROUND])
            if round_.remaining:
                return
        round_.concluded = True
        if round_.delivered:
            self._rhythm.round = None
            return
        generation = self._generation
        self._at(max(self.now, self._resent_until), lambda: self._conclude(round_, generation))

    def _conclude(self, round_: Round, generation: int) -> None:
        if generation != self._generation:
            return
        contradicted = self._fresh_started_at > round_.began or round_.delivered
        if not contradicted and round_.failed >= min(2, round_.size):
            self._condition.round_failed(self.now, round_.began)
        self._follow()
        if self._rhythm.round is round_:
            self._rhythm.round = None

    def _follow(self) -> None:
        self._rhythm.failing, self._rhythm.recovering = self._condition.failing, self._condition.recovering

    # What is said.

    def _health_changed(self) -> None:
        unhealthy = any(begin <= self.now < stop for begin, stop in self._unhealthy)
        if unhealthy == self._suspended:
            return
        self._suspended = unhealthy
        self._condition.health(self.now, healthy=not unhealthy)
        self._generation += 1
        self._running = 0
        self._rhythm.round = None
        if not unhealthy:
            self._rhythm.next_regular = self.now

    def _cause(self, outcome: New) -> Cause:
        step, reason = _CAUSES[outcome]
        return Cause(step=step, reason=reason, at=self.now)

    def _say(self) -> None:
        """Note what is said of the relay now, if it changed."""
        found = self._condition
        limited = found.failing and found.cause is not None and found.cause.reason is Reason.RATE_LIMITED
        said = (found.condition, found.up, found.accepting, limited)
        if said != self._said:
            self._said = said
            self.observed.statuses.append(
                Status(at=self.now, condition=said[0], up=said[1], accepting=said[2], limited=limited)
            )
