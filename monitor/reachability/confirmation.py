"""The confirmation of failures: rounds of fresh attempts, and what follows from their results."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog

from monitor.config.attempts import attempt_spacing
from monitor.reachability.attempt_loop import TASK, AttemptLoop
from monitor.reachability.attempts import asks_for_fewer
from monitor.reachability.evidence import cause_of
from monitor.reachability.examination import PairExaminations
from monitor.reachability.local_fault import LocalFaultCheck
from monitor.reachability.outage import OutageLog
from monitor.reachability.persistent import FreshAttempts
from monitor.reachability.rhythm import MAX_ROUND, EndpointRotation, Rhythm
from monitor.results import Confirmed, EndpointFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.clock import Clock
    from monitor.config import RelayConfig
    from monitor.errors import LocalError
    from monitor.pairs.context import ProbeContext
    from monitor.reachability.attempts import AttemptResult
    from monitor.reachability.condition import RelayCondition
    from monitor.reachability.hooks import VerdictHooks
    from monitor.reachability.rhythm import Round
    from monitor.results import Cause
    from monitor.supervision import Supervision

_log = structlog.get_logger(__name__)

LOCAL_FAULT_CHECK_INTERVAL: Final = 10.0
"""Seconds for which a negative local fault check holds while the relay is down."""


class Confirmation:
    """Makes attempts and rounds at one relay and tells `condition` and `outages` of their results.

    `unresolved` is true while the origin of a failure is not known. `publish` is called after each change of the
    condition. `first_attempt` is the number of seconds until the first attempt, `first_endpoint` its endpoint.
    """

    def __init__(
        self,
        config: RelayConfig,
        hooks: VerdictHooks,
        condition: RelayCondition,
        publish: Callable[[], None],
        *,
        clock: Clock,
        supervision: Supervision,
        first_attempt: float,
        first_endpoint: int,
    ) -> None:
        self.config = config
        self.unresolved = False
        self.outages = OutageLog()
        self._relay = config.name
        self._hooks = hooks
        self._condition = condition
        self._publish = publish
        self._clock = clock
        self._supervision = supervision
        self.rhythm = Rhythm(every=config.confirm.every, next_regular=clock.monotonic() + first_attempt)
        self._rotation = EndpointRotation(first_endpoint)
        self.attempts = AttemptLoop(config.name, self.rhythm, self._rotation, supervision, self._attempt_ended)
        self._local_fault = LocalFaultCheck(
            hooks.is_local_fault, self.resolve, lambda bug: supervision.record(TASK, bug, relay=config.name)
        )
        self._conclusion: asyncio.Task[None] | None = None  # of the latest round
        self.examinations = PairExaminations(
            config.name, self._fresh_attempts(), supervision, self._persistent_delivered, self._found_silent
        )
        self._fresh_started_at = float("-inf")  # of the latest delivery that needed new connections
        self._attempt_delivered_at = float("-inf")
        self._failed_started_at = float("-inf")  # when the latest failed attempt started

    def reconfigure(self, config: RelayConfig, every: float) -> None:
        """Apply settings; `every` is the number of seconds between two attempts while nothing fails."""
        self.config = config
        self.rhythm.every = every
        self.rhythm.next_regular = min(self.rhythm.next_regular, self._now + every)
        self.attempts.changed()

    def suspend(self) -> None:
        """Make no attempts, and drop what is under way."""
        self.attempts.suspended = True
        self.attempts.cancel_attempts()
        self.examinations.cancel()
        if self._conclusion is not None:
            self._conclusion.cancel()
        self._drop_round()

    def resume(self, after: float = 0.0) -> None:
        """Make attempts again, the first one after so many seconds, also if the relay is down."""
        self.attempts.suspended = False
        self.rhythm.not_before = self._now + after
        self.request_attempt()

    def request_attempt(self) -> None:
        """Make an attempt as soon as the rhythm allows."""
        self.rhythm.next_regular = self._now
        self.attempts.changed()

    def check_local_fault(self, error: LocalError) -> None:
        """Find out whether an error shows a fault of this monitor."""
        self._local_fault.start(self._clock, error)

    async def stop(self) -> None:
        """Stop for good and wait for the tasks."""
        others = (self._local_fault.task, self._conclusion, *self.examinations.tasks)
        tasks: set[asyncio.Task[Any]] = {task for task in others if task is not None}
        for task in tasks:
            task.cancel()
        await self.attempts.stop()
        if tasks:
            await asyncio.wait(tasks, timeout=1)
        self.resolve()

    def follow_condition(self) -> None:
        """Adapt the rhythm to the condition."""
        self.rhythm.failing, self.rhythm.recovering = self._condition.failing, self._condition.recovering
        self._condition.reduced = self.rhythm.reduced

    def resolve(self) -> None:
        """Note that the origin of the failure is known."""
        if self.unresolved:
            self.unresolved = False
            self._hooks.on_resolved()

    def run_delivered(
        self, started: float, delivered_at: float, *, persistent: bool, reconnected: bool, paired: bool
    ) -> None:
        """Handle a run that delivered a message, the last one at `delivered_at`.

        `reconnected`: over new connections; `paired`: after a new pairing, which counts as an attempt if there is only
        one endpoint. What was before the latest failed attempt shows no repair.
        """
        was_down = self._condition.up is False
        if reconnected:
            self._fresh_started_at = max(self._fresh_started_at, started)
        if delivered_at < self._failed_started_at:
            return
        if paired and started > self._failed_started_at and len(self.attempts.endpoint_indexes) == 1:
            self._fresh_delivered()
            self.rhythm.next_regular = max(self.rhythm.next_regular, self._now + self.rhythm.every)
            return
        self._condition.delivered(self._now, started, persistent=persistent)
        self.follow_condition()
        if was_down:
            self.outages.end_outage(self._now)
            self._wake()
        if self.rhythm.round is None or not self.rhythm.round.failed:
            self.resolve()

    def handle_failure(
        self,
        context: ProbeContext,
        number: int | None,
        direction: str,
        *,
        began: float | None = None,
        reduced: bool = False,
        withheld: int = 0,
    ) -> None:
        """Begin a round, unless one is under way, and examine the pair that failed: `withheld` messages are missing."""
        if self.attempts.suspended or self.attempts.context is None:
            return
        now = self._now
        self.rhythm.reduced = self.rhythm.reduced or reduced or context.admission.connects.paused
        self._condition.reduced = self.rhythm.reduced
        pair = self.examinations.pairs.find(context.probe.name, number) if number is not None else None
        if self.rhythm.reduced or self._condition.up is False:
            pair = None
        if self.rhythm.round is None and self.rhythm.is_urgent:
            self.outages.note_failure(now if began is None else began)
            self._begin_round()
        elif self._condition.up is False and self._is_check_old:
            # The fault may have become local since the relay went down.
            self.unresolved = True
            self._local_fault.start(self._clock, None)
        if pair is not None:
            self.examinations.examine(context, pair, direction, withheld)

    # Rounds.

    def _begin_round(self, failed: tuple[int, float] | None = None) -> Round:
        """Begin a round: its attempts are due, and one message goes over each persistent pair.

        `failed`: endpoint index and start of the failed attempt that it begins with.
        """
        confirm, endpoints = self.config.confirm, len(self.attempts.endpoint_indexes)
        context = self.attempts.context
        if context is not None:
            self.rhythm.round_interval = attempt_spacing(confirm, context.probe.timeout)
        round_ = self.rhythm.begin_round(self._now, max(confirm.attempts, min(endpoints, MAX_ROUND)))
        if failed is not None:
            index, round_.began = failed
            # Another one would leave an endpoint out: the others follow in turn.
            if self._rotation.is_at(index, self.attempts.endpoint_indexes):
                round_.launched = 1
                round_.ended.append((index, False))
        if not self.rhythm.reduced and not self._condition.failing:
            self.unresolved = True  # a relay that replies so is reachable, and so is one that was down
        if context is not None:
            self.examinations.begin_round(context, delay=max(0.0, round_.began - self._now))
        self.attempts.changed()
        return round_

    def _drop_round(self) -> None:
        if self.rhythm.round is not None:
            self.rhythm.round.concluded = True
        self.rhythm.round = None
        self.outages.dismiss()
        self.resolve()

    def _attempt_ended(self, round_: Round | None, index: int, started: float, result: AttemptResult) -> None:
        """Handle the result of an attempt."""
        context = self.attempts.context
        if self.attempts.suspended or context is None:
            return
        if result.error is not None:
            _log.info(
                "attempt delivered without the history" if result.delivered else "attempt failed",
                relay=self._relay,
                run_id=result.run_id,
                delivered=result.delivered,
                endpoint=result.endpoint or None,
                **result.error.log_fields(),
                repeats=True,
            )
        if result.run is not None and (round_ is not None or self._condition.failing or result.error is not None):
            self._hooks.on_attempt(result.run)
        if round_ is not None:
            round_.ended.append((index, result.delivered))
        if result.delivered is not None:
            context.publish(Confirmed(self._relay, context.probe.name, result.run_id, "fresh", result.delivered))
        if result.delivered:
            self._attempt_delivered(index, started, result)
        elif result.error is not None and result.delivered is None:
            self._local_fault.start(self._clock, result.error)
        elif result.error is not None:
            self._attempt_failed(context, round_, index, started, result)
        if round_ is not None and not round_.concluded:
            self._evaluate(round_)
        self.follow_condition()
        self._publish()

    def _attempt_delivered(self, index: int, started: float, result: AttemptResult) -> None:
        self._rotation.record(index, self._now, delivered=True)
        self._fresh_started_at = max(self._fresh_started_at, started)
        self._fresh_delivered()
        if result.error is not None:  # the history is broken, live delivery works
            self._condition.degraded(self._now, cause_of(result.error, self._now))

    def _fresh_delivered(self) -> None:
        """Handle a message that new connections delivered."""
        in_doubt = self._condition.failing or self.rhythm.reduced or self.rhythm.round is not None
        self.rhythm.reduced = False
        self._attempt_delivered_at = self._now
        self._condition.attempt_delivered(self._now)
        self.outages.end_outage(self._now)
        if in_doubt:
            self._wake()
        self.follow_condition()
        self.resolve()

    def _attempt_failed(
        self, context: ProbeContext, round_: Round | None, index: int, started: float, result: AttemptResult
    ) -> None:
        error = result.error
        if error is None:
            return
        if result.endpoint:
            context.publish(EndpointFailed(self._relay, context.probe.name, result.run_id, result.endpoint))
        if started < self._attempt_delivered_at and len(self.attempts.endpoint_indexes) == 1:
            return  # a later one delivered
        failures = self._rotation.record(index, self._now, delivered=False)
        cause = cause_of(error, self._now)
        self.rhythm.attempt_failed(started, reduced=asks_for_fewer(error))
        if self._rotation.fails_alone(index):
            self._condition.endpoint_failed(self._now, cause, confirmed=failures > 1)
        else:
            self._failed_started_at = max(self._failed_started_at, started)
            self._condition.attempt_failed(self._now, started, cause)
            self.outages.attempt_failed(started, cause, confirmed=self._condition.accepting is False)
        known_down = self._condition.failing and self._condition.up is False and not self._condition.in_doubt
        if self.rhythm.round is None and round_ is None and not known_down:
            self._begin_round((index, started))
        if self.rhythm.reduced:
            self.resolve()
        elif self.rhythm.is_urgent or self._is_check_old:
            self._local_fault.start(self._clock, error)

    def _evaluate(self, round_: Round) -> None:
        """Conclude a round once nothing more of it is to come."""
        if round_.wants_more(len(self.attempts.endpoint_indexes)) or (round_.running and not round_.delivered):
            return
        if not round_.delivered and not round_.extended:
            # Of many endpoints, those that the round did not meet may still deliver.
            round_.extend(self._rotation.not_failing(self.attempts.endpoint_indexes)[:MAX_ROUND])
            if round_.remaining:
                self.attempts.changed()
                return
        round_.concluded = True
        if round_.delivered:
            if len(self.attempts.endpoint_indexes) == 1:  # several endpoints are judged one by one
                self._condition.round_delivered(self._now, round_.began, round_.failed)
            self._drop_round()
        else:
            self._conclusion = self._supervision.spawn(TASK, self._conclude(round_), relay=self._relay)

    async def _conclude(self, round_: Round) -> None:
        """Reach a verdict after a round whose attempts all failed, unless the fault is this monitor's own."""
        try:
            # A local fault must be excluded before the relay is blamed.
            if await asyncio.shield(self._local_fault.start(self._clock, None)):
                return
            await self.examinations.wait_for_round()
            if self._fresh_started_at > round_.began or round_.delivered:
                return
            if round_.failed < min(2, round_.size):
                _log.warning(
                    "failure not confirmed", relay=self._relay, why="too few attempts could be made", repeats=True
                )
                return
            self._condition.round_failed(self._now, round_.began)
            self.outages.confirm()
            self.follow_condition()
        finally:
            if self.rhythm.round is round_:
                self._drop_round()
            self._publish()
            self.attempts.changed()

    # Persistent pairs.

    def _fresh_attempts(self) -> FreshAttempts:
        return FreshAttempts(
            delivered_at=lambda: self._attempt_delivered_at,
            running=lambda: self.attempts.running or self.rhythm.round is not None,
            request=self.request_attempt,
            useful=lambda: self._condition.up is not False,
        )

    def _persistent_delivered(self, sent_at: float) -> None:
        self._condition.delivered(self._now, sent_at, persistent=True)
        self.follow_condition()
        self._publish()

    def _found_silent(self, cause: Cause) -> None:
        self._condition.degraded(self._now, cause)
        self._publish()

    # Common parts.

    @property
    def _now(self) -> float:
        return self._clock.monotonic()

    @property
    def _is_check_old(self) -> bool:
        return self._now - self._local_fault.cleared_at > LOCAL_FAULT_CHECK_INTERVAL

    def _wake(self) -> None:
        """End the back-offs of the relay's clients."""
        if self.attempts.context is not None:
            self.attempts.context.admission.wake()
