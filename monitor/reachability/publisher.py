"""Publishing of a relay's status: each change once, with a log line for a change of the condition."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from monitor.reachability.sentence import explain
from monitor.vocabulary import Condition

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.clock import Clock
    from monitor.reachability.condition import RelayCondition
    from monitor.results import RelayStatus

_log = structlog.get_logger(__name__)

_LINES: Final = {
    Condition.UP: "relay is up",
    Condition.DEGRADED: "relay is degraded",
    Condition.NOT_ACCEPTING: "relay accepts no new connections",
    Condition.DOWN: "relay is down",
    Condition.UNKNOWN: "relay is not observed",
}


class StatusPublisher:
    """Calls `on_change` with each change of a condition's status, also of one that comes with time alone."""

    def __init__(self, condition: RelayCondition, clock: Clock, on_change: Callable[[RelayStatus], None]) -> None:
        self._condition = condition
        self._clock = clock
        self._on_change = on_change
        self._published: tuple[object, ...] = ()
        self._shown: Condition | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = float("nan")  # of the timer
        self._stopped = False

    def publish(self) -> None:
        """Pass on the status if it changed; look again when it may change by itself."""
        now = self._clock.monotonic()
        self._condition.tick(now)
        status = self._condition.status
        if (key := _key(status)) != self._published:
            self._published = key
            self._log(status)
            self._on_change(status)
        due = self._condition.due()
        if due == self._due or self._stopped:
            return
        self._due = due
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due < float("inf"):
            self._timer = asyncio.get_running_loop().call_later(max(0.001, due - now), self._look_again)

    def _look_again(self) -> None:
        self._timer, self._due = None, float("nan")
        self.publish()

    def stop(self) -> None:
        """Publish nothing more by itself."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def _log(self, status: RelayStatus) -> None:
        condition = status.condition
        if condition is self._shown or (self._shown is None and condition is Condition.UNKNOWN):
            return
        self._shown = condition
        log = _log.info if condition is Condition.UP else _log.warning
        if condition in {Condition.DOWN, Condition.NOT_ACCEPTING}:
            log = _log.error
        why = explain(status)
        log(_LINES[condition], relay=status.relay, **({"why": why} if why else {}))


def _key(status: RelayStatus) -> tuple[object, ...]:
    """Return what a change of is published; counts and times of attempts are not."""
    cause = status.cause
    return (
        status.condition,
        status.since,
        status.up,
        status.accepting,
        None if cause is None else (cause.step, cause.reason, cause.status, cause.endpoint),
        status.reason_unknown,
    )
