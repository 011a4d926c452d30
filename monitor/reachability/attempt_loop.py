"""The task that makes the fresh attempts at one relay, in the rhythm of `rhythm.Rhythm`."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from monitor.config.relay import MAX_ATTEMPT_TIME
from monitor.errors import LocalError
from monitor.pairs.admission import ConnectPriority
from monitor.reachability import attempts
from monitor.reachability.attempts import AttemptResult
from monitor.vocabulary import Reason, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.pairs.context import ProbeContext
    from monitor.reachability.rhythm import EndpointRotation, Rhythm, Round
    from monitor.relay.rate_limit import Permit
    from monitor.supervision import Supervision

MAX_CONCURRENT: Final = 10
"""Attempts at one relay at the same time; each lasts up to `MAX_ATTEMPT_TIME`."""

TIMER_RESOLUTION: Final = 0.001
"""Seconds by which an attempt may be early: a shorter wait might not advance the clock."""

TASK: Final = "reachability"
"""Name of the tasks of this package, for the supervision."""


class AttemptLoop:
    """Makes attempts until it is stopped; `on_result` is called with the round, endpoint index, start and result."""

    def __init__(
        self,
        relay: str,
        rhythm: Rhythm,
        rotation: EndpointRotation,
        supervision: Supervision,
        on_result: Callable[[Round | None, int, float, AttemptResult], None],
    ) -> None:
        self.context: ProbeContext | None = None  # what attempts are made with; None: none is made
        self.suspended = False
        self._relay = relay
        self._rhythm = rhythm
        self._rotation = rotation
        self._supervision = supervision
        self._on_result = on_result
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> bool:
        """True while an attempt is under way."""
        return bool(self._running)

    @property
    def endpoint_indexes(self) -> list[int]:
        """One position for each endpoint."""
        return self.context.admission.endpoint_indexes() if self.context is not None else [0]

    def start(self) -> None:
        """Start the task, unless it runs."""
        if self._task is None:
            self._task = self._supervision.watch(TASK, self._serve, relay=self._relay)

    def changed(self) -> None:
        """Look at the rhythm again."""
        self._changed.set()

    def cancel_attempts(self) -> None:
        """Cancel the attempts under way; their results are dropped."""
        for task in self._running:
            task.cancel()

    async def stop(self) -> None:
        """Stop for good."""
        tasks = {*self._running, *({self._task} if self._task is not None else set())}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)

    async def _serve(self) -> None:
        while True:
            self._changed.clear()
            context = self.context
            if context is None or self.suspended or len(self._running) >= MAX_CONCURRENT:
                await self._changed.wait()
                continue
            indexes = context.admission.endpoint_indexes()
            delay = self._rhythm.due(len(indexes)) - context.clock.monotonic()
            if delay > TIMER_RESOLUTION:
                with suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._changed.wait()
                continue
            await self._launch(context, indexes)

    async def _launch(self, context: ProbeContext, indexes: list[int]) -> None:
        """Wait for the permits of an attempt and start it, if it is still due then."""
        rhythm = self._rhythm
        recovery = not rhythm.is_urgent
        priority = ConnectPriority.RECOVERY if recovery else ConnectPriority.CONFIRMATION
        permits = await context.admission.acquire_attempt(priority)
        now = context.clock.monotonic()
        if self.suspended or rhythm.due(len(indexes)) > now + TIMER_RESOLUTION:
            for permit in permits:
                permit.release()
            return
        round_ = rhythm.round if rhythm.round is not None and rhythm.round.wants_more(len(indexes)) else None
        if round_ is not None:
            round_.launched += 1
            round_.running += 1
        if round_ is not None and round_.remaining:
            index = round_.remaining.pop(0)
        else:
            index = self._rotation.next_endpoint(indexes, in_round=round_ is not None)
        rhythm.started(now)
        work = self._attempt(context, round_, index, permits, recovery=recovery)
        task = self._supervision.spawn(TASK, work, relay=self._relay)
        self._running.add(task)
        task.add_done_callback(partial(self._ended, permits))

    def _ended(self, permits: list[Permit], task: asyncio.Task[None]) -> None:
        for permit in permits:
            permit.release()
        self._running.discard(task)
        self._changed.set()

    async def _attempt(
        self, context: ProbeContext, round_: Round | None, index: int, permits: list[Permit], *, recovery: bool
    ) -> None:
        started = context.clock.monotonic()
        timeout = min(context.probe.timeout, MAX_ATTEMPT_TIME, context.admission.config.confirm.within)
        try:
            result = await attempts.try_new_pair(
                context, timeout, recovery=recovery, endpoint_index=index, permits=permits
            )
        except Exception as bug:  # noqa: BLE001 - a fault of this program; the round must not wait for its result
            self._supervision.record(TASK, bug, relay=self._relay)
            result = AttemptResult(run_id="", delivered=None, error=LocalError(Step.CLOSE, Reason.INTERNAL))
        if round_ is not None:
            round_.running -= 1
        self._on_result(round_, index, started, result)
