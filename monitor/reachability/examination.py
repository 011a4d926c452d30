"""Messages over persistent pairs that confirm a failure: one over each in a round, more over the pair that failed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from monitor.config.relay import MAX_ATTEMPT_TIME
from monitor.reachability.attempt_loop import TASK
from monitor.reachability.persistent import (
    MAX_CONCURRENT_RESENDS,
    FreshAttempts,
    PersistentPairs,
    deliver_once,
    find_silence,
)
from monitor.results import Cause, Confirmed
from monitor.vocabulary import Reason, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from monitor.pairs.context import ProbeContext
    from monitor.pairs.pair import Pair
    from monitor.supervision import Supervision

_log = structlog.get_logger(__name__)

SILENT: str = "a node stores messages and does not push them"


class PairExaminations:
    """The tasks that send messages over the persistent pairs of one relay.

    on_delivered: called with the time at which a delivered message was sent.
    on_silent: called with the cause when a pair's node is silent.
    """

    def __init__(
        self,
        relay: str,
        attempts: FreshAttempts,
        supervision: Supervision,
        on_delivered: Callable[[float], None],
        on_silent: Callable[[Cause], None],
    ) -> None:
        self.pairs = PersistentPairs()
        self.tasks: set[asyncio.Task[None]] = set()
        self._relay = relay
        self._attempts = attempts
        self._supervision = supervision
        self._on_delivered = on_delivered
        self._on_silent = on_silent
        self._examined: set[Pair] = set()
        self._of_round: set[asyncio.Task[None]] = set()

    def begin_round(self, context: ProbeContext, delay: float) -> None:
        """Send one message over each connected pair in `delay` seconds, when the round begins."""
        for pair in self.pairs.of_round():
            task = self._spawn(self._deliver_over(context, pair, delay))
            self._of_round.add(task)
            task.add_done_callback(self._of_round.discard)

    async def wait_for_round(self) -> None:
        """Wait until it is known which of the messages were delivered."""
        if self._of_round:
            await asyncio.wait(self._of_round)

    def examine(self, context: ProbeContext, pair: Pair, direction: str, withheld: int) -> None:
        """Find out whether the node of a pair that failed is silent; `withheld` messages have not arrived."""
        if pair in self._examined or len(self._examined) >= MAX_CONCURRENT_RESENDS:
            return
        self._examined.add(pair)
        task = self._spawn(self._examine(context, pair, direction, withheld))
        task.add_done_callback(lambda _: self._examined.discard(pair))

    def cancel(self) -> None:
        """Cancel all tasks."""
        for task in self.tasks:
            task.cancel()

    async def _deliver_over(self, context: ProbeContext, pair: Pair, delay: float) -> None:
        await asyncio.sleep(delay)
        sent_at = await deliver_once(context, pair, min(context.probe.timeout, MAX_ATTEMPT_TIME))
        if sent_at is not None:
            self._on_delivered(sent_at)

    async def _examine(self, context: ProbeContext, pair: Pair, direction: str, withheld: int) -> None:
        silent = await find_silence(context, pair, direction, self._attempts, self._on_delivered, withheld=withheld)
        if silent is None:
            return
        run_id, probe = pair.recorder.run_id, context.probe.name
        context.publish(Confirmed(self._relay, probe, run_id, "standing", not silent))
        if silent:
            receiver = pair.wallet if direction == "request" else pair.dapp
            endpoint = receiver.client.endpoint
            step = Step.DELIVER if direction == "request" else Step.ANSWER
            about = {"relay": self._relay, "probe": probe, "run_id": run_id, "endpoint": endpoint or None}
            _log.warning("persistent pair is silent", **about, step=step.value, reason="silent", repeats=True)
            at = context.clock.monotonic()
            self._on_silent(Cause(step=step, reason=Reason.SILENT, detail=SILENT, endpoint=endpoint, at=at))

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = self._supervision.spawn(TASK, work, relay=self._relay)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task
