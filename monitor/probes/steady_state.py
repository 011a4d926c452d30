"""steady-state and connection-storm: connections that only answer pings, as a load balancer's idle timeout cuts."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from monitor.errors import LocalError, ProbeError
from monitor.pairs.idle import IdleConnection
from monitor.pairs.uptime import Uptime, UptimeMeter
from monitor.pairs.waiting import is_withheld
from monitor.probes.runner import REBUILD_BACKOFF, published_slot
from monitor.results import Disconnected, Exchange, Untried
from monitor.schedule.grid import Grid, GridTimer
from monitor.vocabulary import Outcome, Reason, Step
from monitor.wire.backoff import Backoff

if TYPE_CHECKING:
    from monitor.pairs.context import ProbeContext, RunRecorder
    from monitor.reachability.persistent import PersistentPairs
    from monitor.wire.events import Dropped

_log = structlog.get_logger(__name__)


async def hold_one(context: ProbeContext, recorder: RunRecorder, start: float, duration: float) -> None:
    """Connect after `start` seconds, stay connected for `duration` seconds, and record one exchange."""
    await asyncio.sleep(start)
    connection = IdleConnection(context, recorder)
    try:
        await connection.open()
        async with asyncio.timeout(duration):
            await connection.lost.wait()
        raise connection.why_lost()
    except TimeoutError:
        recorder.exchanges.append(Exchange(outcome=Outcome.OK))
    except ProbeError as error:
        recorder.fail(error)
    finally:
        connection.close()


class SteadyState:
    """Idle connections: for a time as a bounded run, permanently as a continuous probe.

    connection-storm is a bounded run without a duration.
    """

    async def run(self, context: ProbeContext, recorder: RunRecorder) -> None:
        """Open the connections spread over the ramp-up, and hold each for the duration."""
        probe = context.probe
        async with asyncio.TaskGroup() as group:
            for number in range(probe.connections):
                start = probe.ramp_up * number / probe.connections
                group.create_task(hold_one(context, recorder, start, probe.duration or 0.0))

    async def serve(self, context: ProbeContext, pairs: PersistentPairs) -> None:  # noqa: ARG002 - it has none
        """Keep the connections open until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(context.probe.connections):
                group.create_task(PersistentConnection(context, number).serve())


class PersistentConnection:
    """One connection that is kept open permanently: its intervals, each one exchange, and its connected time."""

    def __init__(self, context: ProbeContext, number: int) -> None:
        self._context = context
        self._number = number
        self._connection: IdleConnection | None = None
        self._drop: tuple[ProbeError, float] | None = None  # the first one in the present interval, and when it was
        self._failed = asyncio.Event()  # set while there is one
        self._failed_at: float | None = None  # when the connection dropped or a connect failed
        self._waiting = False  # for the rate limit, to connect
        self._error: ProbeError | None = None  # of the latest failed connect or drop; None while connected
        self._failures = 0
        self._backoff = Backoff()
        self._meter = UptimeMeter(context, self._untried_now)
        self._uptime = Uptime(context, self._meter)

    async def serve(self) -> None:
        """Run interval after interval until cancelled."""
        context = self._context
        period = context.probe.hold
        self._keeper = asyncio.ensure_future(self._keep_connected())
        try:
            spread = period * self._number / max(1, context.probe.connections)
            grid = Grid(context.clock.monotonic() + spread, period)
            timer = GridTimer(context.clock, grid, context.count, self._admits, self._skipped)
            ends = math.inf
            while True:
                # Ends shortly before the next slot begins, whether or not the event loop was in time for both.
                ends = await timer.wait(busy_until=ends) + 0.99 * period
                await self._slot(ends)
                self._restart_keeper()
        finally:
            self._keeper.cancel()
            if self._connection is not None:
                self._connection.close()

    async def _slot(self, ends: float) -> None:
        context = self._context
        recorder = context.recorder(self._number)
        try:
            with published_slot(context, recorder):
                self._meter.record()
                await self._hold(recorder, ends)
        finally:
            self._meter.record()

    async def _hold(self, recorder: RunRecorder, ends: float) -> None:
        """Wait for a failure until the interval `ends`, on the monotonic clock, and record what became of it."""
        context = self._context
        if self._connection is not None:
            self._connection.recorder = recorder
        started = context.clock.monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, ends - started)):
                await self._failed.wait()  # a failure is recorded at once
        absent = None if self._uptime.connected else self._error or self._why_lost()
        error, failed_at = self._drop or (absent, started)
        if self._drop is None and (self._failed_at is None or self._failed_at < started):
            recorder.untried = self._untried_now() if absent is not None else None
        self._drop = None  # a drop between two slots counts for the later one
        self._failed.clear()
        if error is None or error.step is not Step.HOLD:
            recorder.mark("dapp", Step.HOLD, started, context.clock.monotonic())
        if error is None:
            recorder.exchanges.append(Exchange(outcome=Outcome.OK))
        elif recorder.untried is not None and recorder.untried.failed_at is None:
            recorder.abort()  # nothing was ever tried
        else:
            recorder.fail(error, since=started, at=failed_at)

    def _untried_now(self) -> Untried:
        """Return why nothing is tried while it is not connected."""
        connection = self._connection
        withheld = self._waiting or (connection is not None and is_withheld(connection.client))
        return Untried(failed_at=self._failed_at, withheld=withheld or isinstance(self._error, LocalError))

    def _skipped(self, due: float) -> None:
        self._context.publish_skipped(due, self._number)

    def _restart_keeper(self) -> None:
        """Connect again if a bug ended the task that does it."""
        if not self._keeper.done():
            return
        bug = self._keeper.exception()
        _log.error("connecting ended by a bug", probe=self._context.probe.name, error=repr(bug))
        if isinstance(bug, Exception):
            self._context.on_bug(bug)
        self._keeper = asyncio.ensure_future(self._keep_connected())

    @property
    def _untried(self) -> bool:
        """True if it was never connected and the relay had no part in that."""
        never_connected = not self._uptime.connected and self._uptime.dropped_at is None
        return never_connected and (self._error is None or isinstance(self._error, LocalError))

    def _admits(self) -> bool:
        """Return whether a slot may run: not while the first connect waits for the rate limit."""
        return not (self._untried and self._connection is not None and self._connection.client.awaiting_permit)

    def _record_failure(self, error: ProbeError) -> None:
        self._error, self._failed_at = error, self._context.clock.monotonic()
        self._failed.set()
        if self._drop is None:
            self._drop = error, self._failed_at  # the first cause decides
        self._uptime.expect(not self._untried)

    def _why_lost(self) -> ProbeError:
        connection = self._connection
        return connection.why_lost() if connection is not None else ProbeError(Step.HOLD, Reason.DISCONNECTED)

    async def _keep_connected(self) -> None:
        """Open the connection, and a new one whenever the relay terminated it."""
        context = self._context
        while True:
            connection = self._connection = IdleConnection(
                context, context.recorder(self._number), reconnect=self._backoff, on_change=self._changed
            )
            try:
                await connection.open()
                self._failures = 0
                while not connection.terminated:
                    connection.lost.clear()
                    await connection.lost.wait()
            except ProbeError as error:
                connection.error = error
                self._record_failure(error)
            except BaseException:
                connection.close()
                raise
            connection.close()
            fields = self._why_lost().log_fields()
            _log.warning("connection terminated", relay=context.relay, probe=context.probe.name, **fields, repeats=True)
            failed_at = context.clock.monotonic()
            await context.admission.back_off(REBUILD_BACKOFF.delay(self._failures, context.rng))
            self._waiting = True
            await context.admission.admit_reconnect(1, failed_at)
            self._waiting = False
            self._failures += 1

    def _changed(self, dropped: Dropped | None) -> None:
        context, uptime = self._context, self._uptime
        run_id = self._connection.recorder.run_id if self._connection is not None else ""
        if dropped is None:
            self._error = None
            uptime.update(connected=True, run_id=run_id)
            uptime.expect(expected=True)
        elif uptime.connected:
            uptime.update(connected=False, run_id=run_id)
            self._record_failure(self._why_lost())
            context.publish(Disconnected(context.relay, context.probe.name, run_id, dropped.code))
        else:
            # Of the latest reconnect, which this program may have failed itself.
            self._error, self._failed_at = self._why_lost(), context.clock.monotonic()
            uptime.expect(not self._untried)
