"""steady-state: connections that only answer pings, the ones that a load balancer's idle time-out cuts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from monitor.errors import LocalError, ProbeError
from monitor.pairs.idle import IdleConnection
from monitor.probes.runner import REBUILD_BACKOFF
from monitor.results import Disconnected, Exchange, PairTime, Reconnected
from monitor.schedule.grid import Grid, GridTimer
from monitor.vocabulary import Outcome, Reason, Step
from monitor.wire.backoff import Backoff

if TYPE_CHECKING:
    from monitor.pairs.context import ProbeContext, RunRecorder
    from monitor.reachability.persistent import PersistentPairs
    from monitor.wire.events import Dropped

_log = structlog.get_logger(__name__)


async def hold_one(context: ProbeContext, recorder: RunRecorder, start: float, hold: float) -> None:
    """Connect at `start`, hold for `hold` seconds, book one exchange."""
    await asyncio.sleep(start)
    held = IdleConnection(context, recorder)
    try:
        await held.open()
        async with asyncio.timeout(hold):
            await held.lost.wait()
        raise held.why()
    except TimeoutError:
        recorder.exchanges.append(Exchange(outcome=Outcome.OK))
    except ProbeError as error:
        recorder.fail(error)
    finally:
        held.close()


class SteadyState:
    """So many connections, held for a while as a bounded run, or for ever as a continuous probe."""

    async def run(self, context: ProbeContext, recorder: RunRecorder) -> None:
        """Open the connections spread over the ramp, and hold each for the duration."""
        probe = context.probe
        async with asyncio.TaskGroup() as group:
            for number in range(probe.connections):
                start = probe.ramp_up * number / probe.connections
                group.create_task(hold_one(context, recorder, start, probe.duration or 0.0))

    async def serve(self, context: ProbeContext, pairs: PersistentPairs) -> None:  # noqa: ARG002 - it has none
        """Keep the connections until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(context.probe.connections):
                group.create_task(Idle(context, number).serve())


class Idle:
    """One connection kept for ever: its hold intervals and the account of its connected time."""

    def __init__(self, context: ProbeContext, number: int) -> None:
        self._bench = context
        self._number = number
        self._held: IdleConnection | None = None
        self._drops: list[ProbeError] = []  # why it dropped first in the present interval
        self._obstacle: ProbeError | None = None  # why the latest connect came to nothing, or the connection dropped
        self._dropped_at: float | None = None
        self._connected = False
        self._counted_at = context.clock.monotonic()
        self._failures = 0
        self._backoff = Backoff()

    async def serve(self) -> None:
        """Hold interval after interval until cancelled."""
        context = self._bench
        period = context.probe.hold
        keeper = asyncio.ensure_future(self._keep())
        try:
            spread = period * self._number / max(1, context.probe.connections)
            grid = Grid(context.clock.monotonic() + spread, period)
            timer = GridTimer(context.clock, grid, context.count, self._admits)
            while True:
                await timer.wait()
                await self._slot(period)
        finally:
            keeper.cancel()
            if self._held is not None:
                self._held.close()

    async def _slot(self, period: float) -> None:
        context = self._bench
        recorder = context.recorder(self._number)
        aborted = ""
        try:
            self._account()
            if self._held is not None:
                self._held.recorder = recorder
            started = context.clock.monotonic()
            # A little short of the period, so that this interval's end never skips the next one's beginning.
            await asyncio.sleep(period * 0.99)
            recorder.mark("dapp", Step.HOLD, started, context.clock.monotonic())
            error = next(iter(self._drops), None if self._connected else self._obstacle or self._why())
            self._drops.clear()  # only now: what dropped between two intervals counts for the second
            if error is None:
                recorder.exchanges.append(Exchange(outcome=Outcome.OK))
            else:
                recorder.fail(error)
        except asyncio.CancelledError:
            aborted = "stopped"
            raise
        finally:
            if aborted:
                recorder.abort()
            context.publish(recorder.finish(aborted=aborted))
            self._account()

    @property
    def _untried(self) -> bool:
        """Whether it never stood, and the relay had no part in that so far."""
        never_stood = not self._connected and self._dropped_at is None
        return never_stood and (self._obstacle is None or isinstance(self._obstacle, LocalError))

    def _admits(self) -> bool:
        """Whether the relay's limits leave room for a connection that has not been there yet."""
        return not (self._untried and self._held is not None and self._held.client.awaiting_permit)

    def _note_drop(self, error: ProbeError) -> None:
        self._account()
        self._obstacle = error
        if not self._drops:
            self._drops.append(error)  # the first cause is what counts

    def _why(self) -> ProbeError:
        return self._held.why() if self._held is not None else ProbeError(Step.HOLD, Reason.DISCONNECTED)

    async def _keep(self) -> None:
        """Open the connection, and open it anew where the relay ended it for good."""
        context = self._bench
        while True:
            self._held = IdleConnection(
                context, context.recorder(self._number), reconnect=self._backoff, on_change=self._changed
            )
            try:
                await self._held.open()
                self._failures = 0
                while not self._held.terminated:
                    self._held.lost.clear()
                    await self._held.lost.wait()
            except ProbeError as error:
                self._held.error = error
                self._note_drop(error)
            except BaseException:
                self._held.close()
                raise
            self._held.close()
            _log.warning("connection ended", relay=context.relay, probe=context.probe.name, why=str(self._why()))
            failed_at = context.clock.monotonic()
            await asyncio.sleep(REBUILD_BACKOFF.delay(self._failures, context.rng))
            await context.admission.admit_reconnect(1, failed_at)
            self._failures += 1

    def _changed(self, dropped: Dropped | None) -> None:
        self._account()
        context = self._bench
        now = context.clock.monotonic()
        run_id = self._held.recorder.run_id if self._held is not None else ""
        if dropped is None:
            if self._dropped_at is not None:
                context.publish(
                    Reconnected(
                        relay=context.relay, probe=context.probe.name, run_id=run_id, seconds=now - self._dropped_at
                    )
                )
            self._connected, self._dropped_at, self._obstacle = True, None, None
        elif self._connected:
            self._connected, self._dropped_at = False, now
            self._note_drop(self._why())
            context.publish(
                Disconnected(relay=context.relay, probe=context.probe.name, run_id=run_id, code=dropped.code)
            )
        else:
            self._obstacle = self._why()  # of its latest return: what keeps it away by now may be ours

    def _account(self) -> None:
        context = self._bench
        now = context.clock.monotonic()
        seconds, self._counted_at = now - self._counted_at, now
        run_id = self._held.recorder.run_id if self._held is not None else ""
        if seconds > 0 and not self._untried:
            context.publish(
                PairTime(
                    relay=context.relay,
                    probe=context.probe.name,
                    run_id=run_id,
                    connected=self._connected,
                    seconds=seconds,
                )
            )
