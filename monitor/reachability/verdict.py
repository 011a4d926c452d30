"""Whether a relay delivers messages at all: `relay_up`.

A failure starts a confirmation round: a few new-pair attempts, spaced and overlapping. The first delivery ends it. If
all fail and the fault is not this monitor's own, the relay is down; recovery probing then makes attempts until one
delivers. Where the failure was a persistent pair's, a message is also resent over that pair: if it is not delivered
although a later attempt was, the pair's node is silent.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

import structlog

from monitor.clock import utc
from monitor.config.relay import CONFIRMATION_SPACING, MAX_ATTEMPT_TIME
from monitor.errors import LocalError
from monitor.reachability.attempts import try_new_pair
from monitor.reachability.local_fault import LocalFaultCheck, never_local
from monitor.reachability.persistent import PersistentPairs
from monitor.results import Confirmed, Disconnected, Paired, RelayStatus, Run
from monitor.vocabulary import Condition, Outcome, Reason
from monitor.wire.codes import CloseCode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from monitor.errors import ProbeError
    from monitor.pairs.context import ProbeContext
    from monitor.pairs.pair import Pair
    from monitor.reachability.attempts import AttemptResult
    from monitor.reachability.outage import Outage
    from monitor.results import Exchange, Report

_log = structlog.get_logger(__name__)

RECOVERY_INTERVAL: Final = 5.0
"""Seconds between the attempts of recovery probing."""

ROUND_INTERVAL: Final = 5.0
"""Least seconds between the starts of two rounds: a cluster with one bad node fails all the time."""

HEAD_START: Final = 1.0
"""Seconds that a resent message has after the delivery of a new-pair attempt."""

MAX_CONCURRENT_RESENDS: Final = 3
"""Persistent pairs of one relay over which a message is resent at the same time."""

POLL_INTERVAL: Final = 0.05
"""Seconds between two looks at a resent message; nothing is timed by it."""

OVERLOAD_CODES: Final = frozenset({CloseCode.TOO_MANY_REQUESTS, CloseCode.CONNECTION_LIMIT})
"""Close codes of a relay that must not get more connections for an answer."""

LOCAL_FAULT_CHECK_INTERVAL: Final = 10.0
"""Seconds for which a negative local fault check holds while the relay is down."""


class Activity(Enum):
    """What a verdict is doing."""

    IDLE = auto()
    CONFIRMING = auto()
    RECOVERY_PROBING = auto()


class RelayVerdict:
    """Whether one relay is `up`, and `since` when; both None before the first verdict.

    on_change: called with each change of `up`.
    is_local_fault: finds out whether the fault is this monitor's own, given the error, if one is known.
    on_resolved: called when the cause of a failure is known. Until then `unresolved` is true.

    `pairs` is the registry of the relay's persistent pairs; `delivered_at` is when a message was last delivered, a
    run's or an attempt's, on the monotonic clock.
    """

    def __init__(
        self,
        relay: str,
        on_change: Callable[[RelayStatus], None],
        *,
        is_local_fault: Callable[[ProbeError | None], Awaitable[bool]] = never_local,
        on_resolved: Callable[[], None] = lambda: None,
    ) -> None:
        self.pairs = PersistentPairs()
        self.up: bool | None = None
        self.since: datetime | None = None
        self.unresolved = False
        self.delivered_at = float("-inf")
        self.outage: Outage | None = None  # the present or the latest confirmed one
        self._unobserved = ""
        self._loaded_at = datetime.now(UTC)
        self._relay = relay
        self._on_change = on_change
        self._on_resolved = on_resolved
        self._local_fault = LocalFaultCheck(is_local_fault, self._resolve)
        self._task: asyncio.Task[None] | None = None
        self._activity = Activity.IDLE  # of the task
        self._resends: dict[Pair, asyncio.Task[None]] = {}
        self._context: ProbeContext | None = None  # of the latest round
        self._round_started_at = float("-inf")
        self._attempt_delivered_at = float("-inf")

    @property
    def status(self) -> RelayStatus:
        """What is said of the relay now."""
        known = self.up is not None and not self._unobserved
        condition = (Condition.UP if self.up else Condition.DOWN) if known else Condition.UNKNOWN
        return RelayStatus(
            relay=self._relay,
            condition=condition,
            since=self.since or self._loaded_at,
            up=self.up,
            accepting=self.up,
            reason_unknown=self._unobserved,
        )

    def covers(self, at: float) -> bool | None:
        """Return whether a slot due at `at` was inside a confirmed outage; None if that is not known yet."""
        outage = self.outage
        return outage is not None and outage.first_failed_at <= at <= outage.last_failed_at

    def mark_unobserved(self, reason: str) -> None:
        """Note that a fault of this relay's own settings or task prevents a verdict; `reason` is for the operator."""
        self._unobserved = reason
        self._on_change(self.status)

    def clear_unobserved(self) -> None:
        """Note that the fault is gone."""
        self._unobserved = ""
        self._on_change(self.status)

    @property
    def activity(self) -> Activity:
        """What it is doing now."""
        return Activity.IDLE if self._task is None or self._task.done() else self._activity

    def observe(self, report: Run | Report, context: ProbeContext) -> None:
        """Take a run or a report into account: a delivered message resolves a failure, a failure is confirmed."""
        if isinstance(report, Run):
            self._observe_run(report, context)
        elif isinstance(report, Disconnected):
            if report.code not in OVERLOAD_CODES:
                self._handle_failure(context, report.pair, "request")
        elif isinstance(report, Paired) and report.pairing.outcome is Outcome.FAILED:
            failure = report.pairing.failure
            if failure is None or failure.reason is not Reason.RATE_LIMITED:
                self._handle_failure(context, None, "request")  # no run may report it for a long time

    def _observe_run(self, run: Run, context: ProbeContext) -> None:
        failure = run.failure
        if run.outcome is Outcome.OK:
            if any(_delivered(exchange) for exchange in run.exchanges):
                self._record_delivery(context)
        elif failure is None:
            return
        elif run.outcome is Outcome.FAILED:
            # A relay that asks for fewer connects must not get more.
            if failure.reason is not Reason.RATE_LIMITED:
                self._handle_failure(context, run.pair, run.messages[-1].direction if run.messages else "request")
        elif failure.reason is Reason.UNREACHABLE:
            # An aborted run without a route from this host.
            self._local_fault.start(context.clock, LocalError(failure.step, failure.reason, failure.detail))

    def suspend(self) -> None:
        """Confirm nothing and reach no verdict until the next failure or `resume`."""
        for task in (self._task, *self._resends.values()):
            if task is not None:
                task.cancel()
        self._resolve()

    def resume(self) -> None:
        """Continue recovery probing if the relay was down."""
        if self.up is False and self._context is not None and self.activity is Activity.IDLE:
            self._start(Activity.RECOVERY_PROBING, self._probe_recovery(self._context))

    async def stop(self) -> None:
        """Stop for good and wait for the tasks."""
        running = {task for task in (self._task, self._local_fault.task, *self._resends.values()) if task is not None}
        self.suspend()
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=1)

    def _start(self, activity: Activity, work: Coroutine[None, None, None]) -> None:
        self._activity, self._task = activity, asyncio.ensure_future(work)

    def _handle_failure(self, context: ProbeContext, number: int | None, direction: str) -> None:
        if context.admission.connects.paused:
            return
        now = context.clock.monotonic()
        if self.activity is Activity.IDLE:
            self.unresolved = True
            self._context = context
            self._start(Activity.CONFIRMING, self._confirm(context))
        elif self.up is False and now - self._local_fault.cleared_at > LOCAL_FAULT_CHECK_INTERVAL:
            # The fault may have become local since the relay went down.
            self.unresolved = True
            self._local_fault.start(context.clock, None)
        pair = self.pairs.find(context.probe.name, number) if number is not None else None
        if pair is None or pair in self._resends or len(self._resends) >= MAX_CONCURRENT_RESENDS or self.up is False:
            return
        task = self._resends[pair] = asyncio.ensure_future(self._resend(context, pair, direction))
        task.add_done_callback(lambda _: self._resends.pop(pair, None))

    # New-pair attempts.

    async def _confirm(self, context: ProbeContext) -> None:
        """Make one round; if the relay is down then, probe for its recovery."""
        clock = context.clock
        await asyncio.sleep(max(0.0, self._round_started_at + ROUND_INTERVAL - clock.monotonic()))
        started = self._round_started_at = clock.monotonic()
        try:
            failed = await self._make_attempts(context)
            # A local fault must be excluded before the relay is blamed.
            if failed is None or await asyncio.shield(self._local_fault.start(clock, None)):
                return
            if self.delivered_at > started:
                return
        finally:
            self._resolve()
        if failed < min(2, context.admission.config.confirm.attempts):
            _log.warning("failure not confirmed", relay=self._relay, error="too few attempts could be made")
            return
        self._set_up(context, up=False)
        self._activity = Activity.RECOVERY_PROBING
        await self._probe_recovery(context)

    async def _make_attempts(self, context: ProbeContext) -> int | None:
        """Make the attempts of one round; return how many failed, or None once one delivered or was rate-limited."""
        confirm = context.admission.config.confirm
        timeout = min(context.probe.timeout, MAX_ATTEMPT_TIME, confirm.within)
        interval = min(CONFIRMATION_SPACING, (confirm.within - timeout) / max(1, confirm.attempts - 1))
        attempts = [
            asyncio.ensure_future(self._attempt(context, timeout, number * interval))
            for number in range(confirm.attempts)
        ]
        failed = 0
        try:
            for completed in asyncio.as_completed(attempts):
                result = await completed
                if result.delivered:
                    return None
                if result.rate_limited:
                    self._resolve()  # a relay that replies so is reachable
                    return None
                failed += result.delivered is False
                self._local_fault.start(context.clock, result.error)
        finally:
            for attempt in attempts:
                attempt.cancel()
        return failed

    async def _attempt(
        self, context: ProbeContext, timeout: float, delay: float, *, recovery: bool = False
    ) -> AttemptResult:
        await asyncio.sleep(delay)
        result = await try_new_pair(context, timeout, recovery=recovery)
        run_id, delivered = result.run_id, result.delivered
        if result.error is not None:
            error = str(result.error)
            _log.info("new-pair attempt failed", relay=self._relay, run_id=run_id, delivered=delivered, error=error)
        if delivered is not None:
            self._count(context, run_id, "fresh", ok=delivered)
        if delivered:
            self._attempt_delivered_at = context.clock.monotonic()
            self._record_delivery(context)
        return result

    async def _probe_recovery(self, context: ProbeContext) -> None:
        """Make an attempt every few seconds while the relay is down."""
        clock = context.clock
        timeout = min(context.probe.timeout, MAX_ATTEMPT_TIME)
        delay = RECOVERY_INTERVAL
        while not self.up:
            started = clock.monotonic() + delay
            result = await self._attempt(context, timeout, delay, recovery=True)
            if isinstance(result.error, LocalError):
                self._local_fault.start(clock, result.error)
            delay = max(0.0, started + RECOVERY_INTERVAL - clock.monotonic())

    # Resends over the persistent pair that failed.

    async def _resend(self, context: ProbeContext, pair: Pair, direction: str) -> None:
        clock = context.clock
        timeout = min(context.probe.timeout, MAX_ATTEMPT_TIME)
        if not await _wait_until_ready(pair, timeout):
            return
        sent_at = clock.monotonic()
        in_flight = pair.resend(direction, timeout)
        if in_flight is None:
            return
        run_id = pair.recorder.run_id
        while pair.ready and self.up is not False:  # if the relay is down, the pair shows no fault of its own
            if in_flight.message is not None and in_flight.message.arrived_at is not None:
                self._count(context, run_id, "standing", ok=True)
                return
            now = clock.monotonic()
            if now >= sent_at + timeout / 2:
                if sent_at <= self._attempt_delivered_at <= now - HEAD_START:
                    _log.warning(
                        "persistent pair is silent", relay=self._relay, probe=context.probe.name, run_id=run_id
                    )
                    self._count(context, run_id, "standing", ok=False)
                    return
                if self._attempt_delivered_at < sent_at and self.activity is Activity.IDLE:
                    return  # no attempt delivered either
            await asyncio.sleep(POLL_INTERVAL)

    def _count(self, context: ProbeContext, run_id: str, via: str, *, ok: bool) -> None:
        context.publish(Confirmed(relay=context.relay, probe=context.probe.name, run_id=run_id, via=via, ok=ok))

    # Verdicts.

    def _record_delivery(self, context: ProbeContext) -> None:
        self.delivered_at = context.clock.monotonic()
        if not self.up or self.activity is not Activity.IDLE:
            context.admission.mark_up()
        if self.up is False and self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()  # so that the next failure starts a round at once
        self._set_up(context, up=True)
        self._resolve()

    def _resolve(self) -> None:
        if self.unresolved:
            self.unresolved = False
            self._on_resolved()

    def _set_up(self, context: ProbeContext, *, up: bool) -> None:
        if up is not self.up:
            self.up, self.since = up, utc(context.clock)
            if up:
                _log.info("relay is up", relay=self._relay)
            else:
                _log.error("relay is down", relay=self._relay)
            self._on_change(self.status)


def _delivered(exchange: Exchange) -> bool:
    """Return whether an exchange delivered a message; a bare connection delivers none."""
    return exchange.outcome is Outcome.OK and (exchange.round_trip is not None or exchange.recovery is not None)


async def _wait_until_ready(pair: Pair, timeout: float) -> bool:
    """Wait up to `timeout` seconds for a pair to be ready; return False if it is not, or is terminated."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            while not (pair.ready or pair.terminated):  # noqa: ASYNC110 - its one listener is the probe
                await asyncio.sleep(POLL_INTERVAL)
    return pair.ready
