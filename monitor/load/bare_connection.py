"""The two load scenarios of bare connections, *connection-storm* and *steady-state*."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from monitor.errors import LocalError, ProbeError, RateLimitedError
from monitor.pairs.context import failure_of
from monitor.pairs.idle import IdleConnection
from monitor.pairs.uptime import Uptime
from monitor.results import Disconnected, Exchange
from monitor.vocabulary import Outcome, Reason, Step
from monitor.wire.backoff import Backoff

if TYPE_CHECKING:
    from monitor.load.load_context import LoadContext
    from monitor.wire.events import Dropped

RETRY: Final = Backoff(minimum=0.5, maximum=5.0)
"""Pauses between the attempts of one connection, as in the relay team's tool."""


class BareConnection:
    """One connection, which connects at once, after retries, or not at all."""

    def __init__(self, load: LoadContext, number: int, hold: HoldPhase | None = None) -> None:
        self._load = load
        self._number = number
        self._hold = hold
        self._recorder = load.probe_context.recorder(number)
        self._connection: IdleConnection | None = None
        self._established = False
        self._uptime = Uptime(load.probe_context, connected=True)

    async def connect(self) -> bool:
        """Connect, with retries, and return whether it succeeded. Recorded, and published as one exchange."""
        load, recorder = self._load, self._recorder
        clock, statistics = load.clock, load.statistics
        started = clock.monotonic()
        intended = min(load.start_of(self._number), started)
        statistics.record_start()
        try:
            error, retries = await self._connect_with_retries(started + load.plan.connect_timeout)
        except BaseException:
            statistics.record_unfinished()
            recorder.abort()
            raise
        else:
            if error is None:
                self._established = True
                statistics.active += 1
                statistics.record_connect(clock.monotonic() - intended, retries)
                recorder.exchanges.append(Exchange(outcome=Outcome.OK))
            elif isinstance(error, LocalError):
                statistics.record_unfinished(failure_of(error))
                recorder.fail(error)
            else:
                statistics.record_connect_failure(failure_of(error), retries)
                recorder.fail(error)
        finally:
            load.probe_context.publish(recorder.finish())
            recorder.marks = []
        return self._established

    async def _connect_with_retries(self, deadline: float) -> tuple[ProbeError | None, int]:
        """Connect before `deadline`. Return the last error (None: connected) and the number of retries."""
        retries = 0
        while (error := await self._attempt(deadline)) is not None:
            pause = RETRY.delay(retries, self._load.probe_context.rng)
            if isinstance(error, RateLimitedError):
                pause = max(pause, error.retry_after)
            if self._load.clock.monotonic() + pause >= deadline:
                break
            retries += 1
            await asyncio.sleep(pause)
        return error, retries

    async def _attempt(self, deadline: float) -> ProbeError | None:
        connection = self._connection = IdleConnection(
            self._load.probe_context, self._recorder, reconnect=RETRY, on_change=self._on_change
        )
        try:
            async with asyncio.timeout(max(0.0, deadline - self._load.clock.monotonic())):
                await connection.open()
        except ProbeError as error:
            connection.close()
            return error
        except TimeoutError:
            step = connection.client.step
            connection.close()
            return ProbeError(step, Reason.SILENT, "its time was up")
        except BaseException:
            connection.close()
            raise
        return None if connection.connected else connection.why_lost()  # the hello and the drop may come together

    def disconnect(self) -> None:
        """Disconnect."""
        if self._established and self._connection is not None:
            self._load.statistics.active -= self._connection.connected
            self._connection.close()

    def _on_change(self, dropped: Dropped | None) -> None:
        # Failed reconnects call this too.
        if not self._established or not self._uptime.update(dropped is None, self._recorder.run_id):
            return
        statistics, context = self._load.statistics, self._load.probe_context
        if dropped is None:
            statistics.active += 1
        else:
            statistics.active -= 1
            error = self._connection.why_lost() if self._connection else ProbeError(Step.HOLD, Reason.DISCONNECTED)
            statistics.count_failure(failure_of(error))
            context.publish(Disconnected(context.relay, context.probe.name, self._recorder.run_id, dropped.code))
        if self._hold is not None:
            self._hold.record_change(away=dropped is not None)


class HoldPhase:
    """The time for which connections are held.

    It begins when the ramp-up is over and each connection has connected or failed.
    """

    def __init__(self, load: LoadContext) -> None:
        self._load = load
        self._unresolved = len(load.plan.numbers)
        self._all_resolved = asyncio.Event()
        self._finished = asyncio.Event()
        self._began: float | None = None
        self._away = 0
        self._established = 0  # connections when the hold began
        if not self._unresolved:
            self._all_resolved.set()

    async def run(self) -> None:
        """Wait for the beginning, and hold. If cancelled, what was recorded until then counts."""
        load = self._load
        try:
            await self._all_resolved.wait()
            await load.sleep_until(load.began + load.plan.ramp_up)
            if load.statistics.totals.successful:
                self._began = load.clock.monotonic()
                self._established = load.statistics.totals.successful
                load.uptime.change(expected=self._established, disconnected=self._away)
                load.statistics.totals.hold.peak = self._away
                await asyncio.sleep(load.plan.duration)
        finally:
            self._finish()

    def _finish(self) -> None:
        hold = self._load.statistics.totals.hold
        if self._began is not None:
            hold.seconds = self._load.clock.monotonic() - self._began
            hold.current = self._away
            self._load.uptime.change(expected=-self._established, disconnected=-self._away)
            self._began = None
        self._finished.set()

    def resolve_one(self) -> None:
        """Record that one more connection has connected, failed, or been aborted."""
        self._unresolved -= 1
        if self._unresolved <= 0:
            self._all_resolved.set()

    async def wait(self) -> None:
        """Wait until the hold is over."""
        await self._finished.wait()

    def record_change(self, *, away: bool) -> None:
        """Record that a connection dropped (`away`) or reconnected."""
        hold = self._load.statistics.totals.hold
        self._away += 1 if away else -1
        if self._began is not None:
            self._load.uptime.change(disconnected=1 if away else -1)
            hold.peak = max(hold.peak, self._away)
            hold.reconnects += not away


async def connection_storm(load: LoadContext, number: int) -> None:
    """Connect, and disconnect when the ramp-up is over."""
    connection = BareConnection(load, number)
    try:
        if await connection.connect():
            await load.sleep_until(load.began + load.plan.ramp_up)
            await load.disconnect_pacer.wait()
    finally:
        connection.disconnect()


async def steady_state(load: LoadContext, number: int, hold: HoldPhase) -> None:
    """Connect, stay connected until the hold is over, and disconnect."""
    connection = BareConnection(load, number, hold)
    try:
        try:
            await connection.connect()
        finally:
            hold.resolve_one()  # also after an error: the hold waits for every connection
        await hold.wait()
        await load.disconnect_pacer.wait()
    finally:
        connection.disconnect()
