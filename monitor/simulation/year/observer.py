"""One monitor at one relay: its attempts, rounds and verdicts while faults are there.

Only the time around faults is simulated: a relay without a fault is up, and nothing changes.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitor.config.attempts import MAX_ENDPOINTS, attempt_interval
from monitor.config.relay import CONFIRMATION_SPACING, MAX_ATTEMPT_TIME
from monitor.scenarios import SPECS
from monitor.simulation.year.kinds import New, Persistent
from monitor.vocabulary import Condition

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from monitor.config import ProbeConfig, RelayConfig
    from monitor.simulation.year.plan import Fault

RECOVERY_INTERVAL: Final = 5.0
"""Seconds between attempts while the relay is down or accepts no new connections."""

LIMITED_INTERVAL: Final = 20.0
"""Seconds between attempts while the relay asks for less."""

LIMITED_FAILURES: Final = 3
"""Attempts that fail so and are a round."""

ROUND_INTERVAL: Final = 5.0
"""Least seconds between the starts of two rounds."""

SUCCESSES: Final = 3
"""Deliveries in a row by which a relay accepts again, and is up if they span `UP_SPAN` seconds."""

UP_SPAN: Final = 15.0
UNKNOWN_AFTER: Final = 30.0
"""Seconds of an unhealthy monitor after which nothing is known of a relay."""

ABSENT_AFTER: Final = 120.0
"""Seconds of an unhealthy monitor after which `relay_up` 1 is withdrawn."""

CONNECT: Final = 0.3
"""Seconds that a pairing and a message take, or a refusal."""

RECONNECT: Final = (1.0, 20.0)
"""Shortest and longest back-off of a persistent connection, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the monitor says of the relay from `at` on."""

    at: float
    condition: Condition
    up: bool | None
    accepting: bool | None


@dataclass(slots=True)
class Observed:
    """The statuses of a relay by time, when a persistent pair was found silent, and when no connection was there."""

    statuses: list[Status] = field(default_factory=list)
    silent: list[float] = field(default_factory=list)

    def status(self, at: float) -> Status | None:
        """Return the status at a time; None before the first one, when the relay is up."""
        index = bisect_right(self.statuses, at, key=lambda status: status.at) - 1
        return self.statuses[index] if index >= 0 else None


@dataclass(slots=True)
class _Round:
    """A round: its attempts that have not ended, and whether a message over a persistent pair was delivered."""

    started: float
    open: int
    persistent: bool = False


class Observer:
    """Simulates the verdict on one relay at one location, on `faults` of both, with the monitor unhealthy at times."""

    def __init__(
        self,
        relay: RelayConfig,
        probes: Sequence[ProbeConfig],
        faults: Sequence[Fault],
        unhealthy: Sequence[tuple[float, float]],
        rng: np.random.Generator,
    ) -> None:
        self._confirm = relay.confirm
        self._every = attempt_interval(relay, probes)
        self._attempts = max(relay.confirm.attempts, min(MAX_ENDPOINTS, len(relay.endpoints)))
        timeout = min([MAX_ATTEMPT_TIME, relay.confirm.within, *(probe.timeout for probe in probes)])
        self._timeout = timeout
        messaging = [probe for probe in probes if probe.is_continuous and SPECS[probe.scenario].exchanging]
        self._bounded = [probe for probe in probes if not probe.is_continuous]
        self._pairs = [probe for probe in messaging for _ in range(probe.pairs)]
        self._faults, self._unhealthy, self._rng = faults, unhealthy, rng
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self.now = 0.0
        self._connected = [True] * len(self._pairs)
        self._on_bad_node = [False] * len(self._pairs)
        self._condition = Condition.UP
        self._up = self._accepting = True
        self._round: _Round | None = None
        self._last_round = -math.inf
        self._successes: list[float] = []
        self._limited = 0
        self._attempt_delivered_at = -math.inf
        self._persistent_delivered_at = -math.inf
        self._generation = 0
        self.observed = Observed()

    def run(self, start: float, end: float) -> Observed:
        """Simulate from `start` to `end`, and longer until the relay is up again."""
        if not math.isinf(self._every):
            self._at(start + self._rng.uniform(0, self._every), self._scheduled)
        for probe in self._bounded:
            self._at(start + self._rng.uniform(0, probe.longest_gap), lambda probe=probe: self._bounded_run(probe))  # type: ignore[misc]
        for number, probe in enumerate(self._pairs):
            interval = probe.message_interval
            self._at(start + self._rng.uniform(0, interval), lambda number=number: self._message(number))  # type: ignore[misc]
        for fault in self._faults:
            for edge in fault.edges()[:-1]:
                if fault.kind.persistent is not Persistent.OK and edge >= start:
                    self._at(edge, lambda fault=fault: self._fault_starts(fault))  # type: ignore[misc]
        for begin, stop in self._unhealthy:
            self._at(begin + UNKNOWN_AFTER, self._say)
            self._at(begin + ABSENT_AFTER, self._say)
            self._at(stop, self._say)
        while self._events and (self._events[0][0] < end or self._condition is not Condition.UP):
            self.now, _, action = heapq.heappop(self._events)
            if self.now > end + 7200:
                break
            action()
        return self.observed

    def _at(self, at: float, action: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (at, self._number, action))

    # The network.

    def _active(self) -> list[Fault]:
        return [fault for fault in self._faults if fault.active(self.now)]

    def _new(self) -> New:
        """Return what happens to a new connection now."""
        worst = New.OK
        for fault in self._active():
            kind = fault.kind
            hit = kind.new
            if hit is not New.OK and kind.nodes > 1 and self._rng.random() < (1 - 1 / kind.nodes) ** 2:
                hit = New.OK
            if kind.loss and self._rng.random() < kind.loss:
                hit = New.SILENT
            worst = hit if worst is New.OK else worst
        return worst

    def _delivers(self, number: int) -> bool:
        """Return whether a message over a persistent pair would be delivered now."""
        if not self._connected[number]:
            return False
        for fault in self._active():
            kind = fault.kind
            if kind.persistent is Persistent.SILENT and (kind.nodes == 1 or self._on_bad_node[number]):
                return False
            if kind.loss and self._rng.random() < kind.loss:
                return False
        return True

    def _fault_starts(self, fault: Fault) -> None:
        kind = fault.kind
        for number in range(len(self._pairs)):
            self._on_bad_node[number] = kind.nodes == 1 or self._rng.random() > (1 - 1 / kind.nodes) ** 2
            if not self._on_bad_node[number] or not self._connected[number]:
                continue
            if kind.persistent is Persistent.CLOSED:
                self._connected[number] = False
                self._reconnect(number, RECONNECT[0])
        if kind.persistent is Persistent.CLOSED and self._pairs:
            self._at(self.now + 0.01, self._failure)

    def _reconnect(self, number: int, delay: float) -> None:
        def attempt() -> None:
            if self._new() is New.OK:
                self._connected[number] = True
            else:
                self._reconnect(number, min(RECONNECT[1], 2 * delay))

        self._at(self.now + delay * self._rng.uniform(0.5, 1.0), attempt)

    def _message(self, number: int) -> None:
        """A message of a persistent pair is due."""
        probe = self._pairs[number]
        if self._connected[number]:
            if self._delivers(number):
                self._at(self.now + CONNECT, self._persistent_delivery)
            else:
                self._at(self.now + probe.timeout, self._failure)
        self._at(self.now + probe.message_interval, lambda: self._message(number))

    def _bounded_run(self, probe: ProbeConfig) -> None:
        """A run with new connections is due."""
        outcome = self._new()
        if outcome not in {New.OK, New.LIMITED}:
            self._at(self.now + (probe.timeout if outcome is New.SILENT else CONNECT), self._failure)
        self._at(self.now + probe.longest_gap, lambda: self._bounded_run(probe))

    # Attempts.

    def _scheduled(self) -> None:
        if self._condition is Condition.UP and self._round is None and not self._limited:
            self._attempt(None, self._generation)
        self._at(self.now + self._every, self._scheduled)

    def _attempt(self, of: _Round | None, generation: int) -> None:
        if generation != self._generation:
            return
        outcome = self._new()
        after = self._timeout if outcome is New.SILENT else CONNECT
        started = self.now
        self._at(self.now + after, lambda: self._attempted(of, generation, outcome, started))

    def _attempted(self, of: _Round | None, generation: int, outcome: New, started: float) -> None:
        if generation != self._generation:
            return
        if outcome is New.OK:
            self._limited = 0
            self._delivered(of)
            return
        self._successes.clear()
        if outcome is New.LIMITED:
            self._limited += 1
        if of is not None:
            of.open -= 1
            if of.open == 0:
                self._round = None
                self._verdict(of.persistent or self._persistent_delivered_at >= of.started)
            return
        if self._condition is Condition.UP:
            if outcome is New.LIMITED:
                self._limited_attempt(started)
            else:
                self._failure()
        elif self._condition is Condition.NOT_ACCEPTING and self._persistent_delivered_at < started - UP_SPAN:
            self._verdict(persistent=False)

    def _limited_attempt(self, started: float) -> None:
        """Three such failures are a round; until then an attempt every 20 s, and nothing else."""
        if self._limited >= LIMITED_FAILURES:
            self._verdict(self._persistent_delivered_at >= started - LIMITED_INTERVAL)
            return
        self._at(self.now + LIMITED_INTERVAL, lambda: self._attempt(None, self._generation))

    def _failure(self) -> None:
        """A failure starts a round, unless one is under way or the relay is down already."""
        if self._round is not None or self._condition is not Condition.UP or self._limited:
            return
        if self.now < self._last_round + ROUND_INTERVAL:
            return
        if self._new() is New.LIMITED:
            self._limited = 1
            self._limited_attempt(self.now)
            return
        made = self._round = _Round(self.now, self._attempts)
        self._last_round = self.now
        interval = min(CONFIRMATION_SPACING, (self._confirm.within - self._timeout) / max(1, self._attempts - 1))
        for number in range(self._attempts):
            self._at(self.now + number * interval, lambda: self._attempt(made, self._generation))
        for number in range(len(self._pairs)):
            if self._delivers(number):
                made.persistent = True
                self._at(self.now + CONNECT, self._persistent_delivery)
            elif self._connected[number]:
                self._at(self.now + self._timeout, lambda: self._resent(made))

    def _resent(self, of: _Round) -> None:
        """A message was not delivered twice over a persistent pair: its node is silent, if a new pair's was."""
        if self._attempt_delivered_at >= of.started and self._is_healthy():
            self.observed.silent.append(self.now)

    # Verdicts.

    def _persistent_delivery(self) -> None:
        self._persistent_delivered_at = self.now
        if not self._up and self._is_healthy():
            self._up = True
            self._say()

    def _delivered(self, of: _Round | None) -> None:
        self._attempt_delivered_at = self.now
        if of is not None:
            self._round = None
            self._generation += 1
        if self._condition is Condition.UP:
            return
        self._successes.append(self.now)
        self._up = True
        if len(self._successes) >= SUCCESSES:
            self._accepting = True
            if self._successes[-1] - self._successes[0] >= UP_SPAN or self._condition is Condition.NOT_ACCEPTING:
                self._condition = Condition.UP
                self._successes.clear()
        self._say()

    def _verdict(self, persistent: bool) -> None:  # noqa: FBT001 - one fact
        """All attempts of a round failed."""
        if not self._is_healthy():
            self._generation += 1
            self._round, self._limited = None, 0
            return
        was = self._condition
        self._condition = Condition.NOT_ACCEPTING if persistent else Condition.DOWN
        self._up, self._accepting = persistent, False
        self._successes.clear()
        self._say()
        if was is Condition.UP:
            self._generation += 1
            self._at(self.now + self._interval(), lambda: self._recovery(self._generation))

    def _interval(self) -> float:
        return LIMITED_INTERVAL if self._limited else RECOVERY_INTERVAL

    def _recovery(self, generation: int) -> None:
        if self._condition is Condition.UP or generation != self._generation:
            return
        self._attempt(None, generation)
        self._at(self.now + self._interval(), lambda: self._recovery(generation))

    def _is_healthy(self) -> bool:
        return not any(begin <= self.now < stop for begin, stop in self._unhealthy)

    def _say(self) -> None:
        """Note what is said of the relay now, if it changed."""
        condition: Condition = self._condition
        up: bool | None = self._up
        accepting: bool | None = self._accepting
        for begin, stop in self._unhealthy:
            if begin <= self.now < stop:
                condition = Condition.UNKNOWN if self.now >= begin + UNKNOWN_AFTER else condition
                withdrawn = self.now >= begin + ABSENT_AFTER
                up, accepting = (None if up and withdrawn else up), (None if accepting and withdrawn else accepting)
        status = Status(at=self.now, condition=condition, up=up, accepting=accepting)
        last = self.observed.statuses[-1] if self.observed.statuses else None
        initial = (Condition.UP, True, True)
        before = initial if last is None else (last.condition, last.up, last.accepting)
        if before != (condition, up, accepting):
            self.observed.statuses.append(status)
