"""The condition of one relay as a state machine without I/O.

Its inputs are results of attempts, confirmed rounds, deliveries, exchanges, the monitor's health and time; its output
is a `RelayStatus`. `docs/conditions.md` has the table. All times are monotonic seconds; each
input names the present time, which never decreases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.config.relay import REDUCED_INTERVAL
from monitor.reachability.degradation import Criteria, Degradation
from monitor.results import RelayStatus
from monitor.vocabulary import Condition

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from monitor.results import Cause

NEVER: Final = float("-inf")

SUCCESSES: Final = 3
"""Consecutive successes after which a relay that was down, or accepted no new connections, is up."""

RECOVERY_TIME: Final = 15.0
"""Least seconds from the first success to the one that makes a relay up again after it was down."""

UNHEALTHY_GRACE: Final = 30.0
"""Seconds of an unhealthy monitor after which a relay's condition is unknown."""

BLIND_LIMIT: Final = 120.0
"""Seconds without observation and without a delivery after which `relay_up` 1 is absent; a 0 stays."""

MISSED_ATTEMPTS: Final = 3
"""Intervals without a finished attempt after which the condition is unknown."""

UNHEALTHY: Final = "the monitor is unhealthy"
NO_VERDICT: Final = "no attempt has finished yet"


class RelayCondition:
    """The state machine. `every` is the time between two attempts while nothing fails, `wall` the wall clock."""

    def __init__(
        self,
        relay: str,
        *,
        now: float,
        every: float,
        wall: Callable[[float], datetime],
        criteria: Criteria | None = None,
    ) -> None:
        self.every = every
        self.reduced = False  # the relay asks for fewer attempts
        self.up: bool | None = None
        self.accepting: bool | None = None
        self.cause: Cause | None = None  # of the latest failed attempt; None after a recovery
        self.degradation = Degradation(criteria or Criteria())
        self.delivered_at = NEVER  # a message crossed
        self.accepted_at = NEVER  # a new pairing delivered
        self._relay = relay
        self._wall = wall
        self._base = Condition.UP  # what is known without degradation and doubts: UP, NOT_ACCEPTING or DOWN
        self._base_since = wall(0.0)
        self._lost_pairs = False  # by a restart while new connections failed
        self._persistent_sent_at = NEVER  # the latest persistent message that was delivered was sent then
        self._attempts = self._failed = 0  # since the base condition began
        self._series = 0  # failed attempts since the last success
        self._series_began = NEVER
        self._accepted = 0  # new pairings that delivered since the last failed attempt
        self._successes = 0
        self._first_success = NEVER
        self._recovered_at = NEVER
        self._attempted_at = now  # an attempt finished, or the machine began
        self._healthy_since = NEVER
        self._unhealthy_since: float | None = None
        self._first_attempt = NO_VERDICT  # when it was, once it has failed
        self._unobserved = ""
        self._unobserved_since = now
        self._unknown_because = ""  # why the condition became unknown; it stays so until the next verdict
        self._blind_since: float | None = None
        self._now = now
        self._before: Condition | None = None  # the condition before it became unknown
        self._shown = Condition.UNKNOWN
        self._shown_since = self._base_since

    # Inputs.

    def restore(self, status: RelayStatus) -> None:
        """Begin with the condition of the process before this one."""
        self.up, self.accepting, self.cause = status.up, status.accepting, status.cause
        if self.up is False:
            self.accepting = False
        if self.accepting is False:
            down = status.condition is Condition.DOWN or not status.up
            self._base = Condition.DOWN if down else Condition.NOT_ACCEPTING
        self._lost_pairs = status.attempts_alone or self._base is Condition.NOT_ACCEPTING
        if status.condition is Condition.DEGRADED:
            self.degradation.restore(self._now, status.cause, status.attempts, status.failed, status.slow)
        else:
            self._attempts, self._failed = status.attempts, status.failed
        if status.condition is Condition.UNKNOWN and self.up is not None:
            self._unknown_because = status.reason_unknown or NO_VERDICT
        self._shown = self._present(self._now)
        self._shown_since = self._base_since = status.since

    def attempt_delivered(self, now: float) -> None:
        """Handle a new pairing that delivered its message."""
        self.accepted_at = now
        self._attempts += 1
        self._attempted_at = now
        self._series = 0
        self._accepted += 1
        self._succeeded(now)
        if self.accepting is None or self._accepted >= SUCCESSES:
            self.accepting = True
        self._verdict()
        self._recover(now)
        self.tick(now)

    def attempt_failed(self, now: float, started: float, cause: Cause) -> None:
        """Handle a new pairing that failed. `round_failed` tells when a verdict follows from it."""
        self._attempts += 1
        self._failed += 1
        self._attempted_at = now
        self.cause = cause
        if self._attempts == 1 and self.up is None:
            self._first_attempt = f"first attempt {self._wall(now - started):%H:%M:%S} UTC"
        if self._series == 0:
            self._series_began = started
        self._series += 1
        self._accepted = self._successes = 0
        self.tick(now)

    def round_delivered(self, now: float, began: float, failed: int) -> None:
        """Handle a round that began at `began` and delivered after `failed` attempts: they count as bad exchanges."""
        if self.cause is not None:
            for _ in range(failed):
                self.exchange(now, began, self.cause)

    def endpoint_failed(self, now: float, cause: Cause, *, confirmed: bool) -> None:
        """Handle a new pairing that failed at one endpoint of several, while another one delivers.

        `confirmed`: not for the first time in a row.
        """
        self._attempts += 1
        self._failed += 1
        self._attempted_at = now
        self.cause = cause
        if confirmed:
            self.degradation.found(now, cause)
        self.tick(now)

    def degraded(self, now: float, cause: Cause) -> None:
        """Handle a silent node, or a broken history beside live delivery."""
        self.degradation.examined(now, cause)
        self.tick(now)

    def round_failed(self, now: float, began: float) -> None:
        """Handle a round that began at `began`, whose attempts all failed, by no fault of this monitor."""
        delivers = self._persistent_sent_at >= began
        self._now = now
        self.up, self.accepting = delivers, False
        self._accepted = self._successes = 0
        self._enter(Condition.NOT_ACCEPTING if delivers else Condition.DOWN, min(began, now))
        self._verdict()
        self.tick(now)

    def delivered(self, now: float, sent_at: float, *, persistent: bool) -> None:
        """Handle a message that was sent at `sent_at` and delivered, over a persistent pair or by a run."""
        if persistent:
            self._persistent_sent_at = max(self._persistent_sent_at, sent_at)
            self._lost_pairs = False
        if self.up is None:
            self._blind_since = None
        self._succeeded(now)
        self._recover(now)
        self.tick(now)

    def exchange(self, now: float, started: float, cause: Cause | None = None, *, slow: bool = False) -> None:
        """Handle an exchange that began at `started`; one with a `cause` failed."""
        if self._base is Condition.UP and started >= self._recovered_at:
            self.degradation.exchange(now, cause, slow=slow)
        self.tick(now)

    def lost(self, now: float, messages: int, cause: Cause | None = None) -> None:
        """Handle lost messages."""
        if self._base is Condition.UP:
            self.degradation.lost(now, messages, cause)
        self.tick(now)

    def health(self, now: float, *, healthy: bool) -> None:
        """Handle a change of the monitor's health."""
        self.tick(now)
        if healthy:
            self._unhealthy_since = None
            self._attempted_at = max(self._attempted_at, now)  # none was made meanwhile
        elif self._unhealthy_since is None:
            self._unhealthy_since = now
        self.tick(now)

    @property
    def is_unobserved(self) -> bool:
        """True while something of this relay alone prevents a verdict."""
        return bool(self._unobserved)

    def unobserved(self, now: float, reason: str) -> None:
        """Handle a fault of this relay's own settings or task; an empty `reason` ends it."""
        self.tick(now)
        if reason and not self._unobserved:
            self._unobserved_since = now
        elif not reason and self._unobserved:
            self._attempted_at = max(self._attempted_at, now)
        self._unobserved = reason
        self.tick(now)

    def tick(self, now: float) -> None:
        """Let time pass."""
        self._now = now
        self._update_unknown(now)
        if self._blind_since is not None and now - self._blind_since >= BLIND_LIMIT:
            if self.up and now - self.delivered_at >= BLIND_LIMIT:
                self.up = None
            if self.accepting and now - self.accepted_at >= BLIND_LIMIT:
                self.accepting = None
        present = self._present(now)
        if present is not self._shown:
            if present is Condition.UNKNOWN:
                self._before = self._shown
            continues = present is self._base and present is not Condition.UP
            self._shown, self._shown_since = present, self._base_since if continues else self._wall(0.0)

    # Outputs.

    def due(self) -> float:
        """Return when `tick` may change the status next; infinity if only another input does."""
        times = [self.degradation.until, self._attempted_at + self._longest_gap]
        if self._unhealthy_since is not None:
            times.append(self._unhealthy_since + UNHEALTHY_GRACE)
        if self._blind_since is not None:
            times += [self._blind_since + BLIND_LIMIT, self.delivered_at + BLIND_LIMIT, self.accepted_at + BLIND_LIMIT]
        return min((time for time in times if time > self._now), default=float("inf"))

    @property
    def condition(self) -> Condition:
        """The present condition."""
        return self._shown

    @property
    def failing(self) -> bool:
        """True until a relay that was down, or accepted no new connections, is up again."""
        return self._base is not Condition.UP

    @property
    def in_doubt(self) -> bool:
        """True from an interruption of the observation until the next verdict."""
        return bool(self._unknown_because)

    @property
    def recovering(self) -> bool:
        """True from the first delivery after the relay was down until it is up."""
        return self._base is Condition.DOWN and bool(self.up)

    @property
    def status(self) -> RelayStatus:
        """What is said of the relay."""
        attempts, failed, slow, cause, why = self._attempts, self._failed, 0, self.cause, ""
        if self._shown is Condition.UNKNOWN:
            why = self._unobserved or self._unknown_because or self._first_attempt
            if self._before is not None:
                why += f"; before that: {self._before.value.replace('_', ' ')}"
        elif self._shown is Condition.DEGRADED:
            attempts, failed, slow = self.degradation.counts(self._now)
            cause = self.degradation.cause
        elif self._shown is Condition.UP:
            cause = None
        return RelayStatus(
            relay=self._relay,
            condition=self._shown,
            since=self._shown_since,
            up=self.up,
            accepting=self.accepting,
            cause=cause,
            attempts=attempts,
            failed=failed,
            slow=slow,
            attempts_alone=self._lost_pairs and self._shown is Condition.DOWN,
            reason_unknown=why,
        )

    # Rules.

    @property
    def _longest_gap(self) -> float:
        """Seconds without a finished attempt after which the condition is unknown."""
        return MISSED_ATTEMPTS * (max(self.every, REDUCED_INTERVAL) if self.reduced else self.every)

    def _present(self, now: float) -> Condition:
        if self._unknown_because or self.up is None:
            return Condition.UNKNOWN
        if self._base is Condition.UP and now < self.degradation.until:
            return Condition.DEGRADED
        return self._base

    def _succeeded(self, now: float) -> None:
        self.delivered_at = now
        if self._successes == 0:
            self._first_success = now
        self._successes += 1
        self.up = True

    def _recover(self, now: float) -> None:
        if self._base is Condition.UP or not self.accepting:
            return
        long_enough = self._successes >= SUCCESSES and now - self._first_success >= RECOVERY_TIME
        if self._base is Condition.NOT_ACCEPTING or long_enough:
            self._now = now
            self._enter(Condition.UP, now)
            self._recovered_at = now
            self._lost_pairs = False
            self.degradation.clear()
            self.cause = None

    def _enter(self, base: Condition, began: float) -> None:
        if base is not self._base:
            if self._base is Condition.UP or base is Condition.UP:
                self._attempts, self._failed = (0, 0) if base is Condition.UP else (self._series, self._series)
            self._base = base
            self._base_since = self._wall(self._now - began)

    def _verdict(self) -> None:
        """End every doubt that only waited for a verdict."""
        self._unknown_because = ""
        self._blind_since = None

    def _update_unknown(self, now: float) -> None:
        """Begin to doubt if there is a reason to; only a verdict ends it."""
        overdue = self._attempted_at + self._longest_gap
        reasons: list[tuple[str, float]] = []  # with the time since which nothing was observed
        if self._unobserved:
            reasons.append((self._unobserved, self._unobserved_since))
        if self._unhealthy_since is not None and now - self._unhealthy_since >= UNHEALTHY_GRACE:
            reasons.append((UNHEALTHY, self._unhealthy_since))
        if now >= overdue and self._unhealthy_since is None:
            reasons.append((f"no attempt finished for {self._longest_gap:.0f} s", overdue))
        if reasons:
            self._unknown_because = reasons[0][0]
            if self._blind_since is None:
                self._blind_since = min(since for _, since in reasons)
