"""steady-state: connections that only answer pings, the ones that a load balancer's idle time-out cuts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from monitor.errors import Obstacle, OwnFault
from monitor.pairs.idle import Held
from monitor.results import Disconnected, Exchange, PairTime, Reconnected
from monitor.schedule.grid import REBUILDING, Grid
from monitor.vocabulary import Outcome, Reason, Step
from monitor.wire.backoff import Backoff

if TYPE_CHECKING:
    from monitor.config import ProbeConfig
    from monitor.pairs.context import Bench, Recorder
    from monitor.wire.events import Dropped

_log = structlog.get_logger(__name__)


async def hold_one(bench: Bench, recorder: Recorder, start: float, hold: float) -> None:
    """Connect at `start`, hold for `hold` seconds, book one exchange."""
    await asyncio.sleep(start)
    held = Held(bench, recorder)
    try:
        await held.open()
        async with asyncio.timeout(hold):
            await held.lost.wait()
        raise held.why()
    except TimeoutError:
        recorder.exchanges.append(Exchange(outcome=Outcome.OK))
    except Obstacle as obstacle:
        recorder.fail(obstacle)
    finally:
        held.close()


class SteadyState:
    """So many connections, held for a while as a bounded run, or for ever as a continuous probe."""

    def cost(self, config: ProbeConfig) -> tuple[int, int]:
        """As many connects as there are connections, no messages."""
        return config.connections, 0

    async def play(self, bench: Bench, recorder: Recorder) -> None:
        """Open the connections spread over the ramp, and hold each for the duration."""
        probe = bench.probe
        async with asyncio.TaskGroup() as group:
            for number in range(probe.connections):
                start = probe.ramp_up * number / probe.connections
                group.create_task(hold_one(bench, recorder, start, probe.duration or 0.0))

    async def serve(self, bench: Bench) -> None:
        """Keep the connections until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(bench.probe.connections):
                group.create_task(Idle(bench, number).serve())


class Idle:
    """One connection kept for ever: its hold intervals and the account of its connected time."""

    def __init__(self, bench: Bench, number: int) -> None:
        self._bench = bench
        self._number = number
        self._held: Held | None = None
        self._drops: list[Obstacle] = []  # why it dropped first in the present interval
        self._obstacle: Obstacle | None = None  # why the latest connect came to nothing, or the connection dropped
        self._dropped_at: float | None = None
        self._connected = False
        self._counted_at = bench.clock.monotonic()
        self._failures = 0
        self._backoff = Backoff()

    async def serve(self) -> None:
        """Hold interval after interval until cancelled."""
        bench = self._bench
        period = bench.probe.hold
        keeper = asyncio.ensure_future(self._keep())
        try:
            spread = period * self._number / max(1, bench.probe.connections)
            grid = Grid(bench.clock, bench.clock.monotonic() + spread, period, bench.count, self._admits)
            while True:
                await grid.wait()
                await self._slot(period)
        finally:
            keeper.cancel()
            if self._held is not None:
                self._held.close()

    async def _slot(self, period: float) -> None:
        bench = self._bench
        recorder = bench.recorder(self._number)
        aborted = ""
        try:
            self._account()
            if self._held is not None:
                self._held.recorder = recorder
            started = bench.clock.monotonic()
            # A little short of the period, so that this interval's end never skips the next one's beginning.
            await asyncio.sleep(period * 0.99)
            recorder.mark("dapp", Step.HOLD, started, bench.clock.monotonic())
            obstacle = next(iter(self._drops), None if self._connected else self._obstacle or self._why())
            self._drops.clear()  # only now: what dropped between two intervals counts for the second
            if obstacle is None:
                recorder.exchanges.append(Exchange(outcome=Outcome.OK))
            else:
                recorder.fail(obstacle)
        except asyncio.CancelledError:
            aborted = "stopped"
            raise
        finally:
            if aborted:
                recorder.abort()
            bench.publish(recorder.finish(aborted=aborted))
            self._account()

    @property
    def _untried(self) -> bool:
        """Whether it never stood, and the relay had no part in that so far."""
        never_stood = not self._connected and self._dropped_at is None
        return never_stood and (self._obstacle is None or isinstance(self._obstacle, OwnFault))

    def _admits(self) -> bool:
        """Whether the relay's limits leave room for a connection that has not been there yet."""
        return not (self._untried and self._held is not None and self._held.client.queued)

    def _note_drop(self, obstacle: Obstacle) -> None:
        self._account()
        self._obstacle = obstacle
        if not self._drops:
            self._drops.append(obstacle)  # the first cause is what counts

    def _why(self) -> Obstacle:
        return self._held.why() if self._held is not None else Obstacle(Step.HOLD, Reason.DISCONNECTED)

    async def _keep(self) -> None:
        """Open the connection, and open it anew where the relay ended it for good."""
        bench = self._bench
        while True:
            self._held = Held(bench, bench.recorder(self._number), reconnect=self._backoff, on_change=self._changed)
            try:
                await self._held.open()
                self._failures = 0
                while not self._held.over:
                    self._held.lost.clear()
                    await self._held.lost.wait()
            except Obstacle as obstacle:
                self._held.obstacle = obstacle
                self._note_drop(obstacle)
            except BaseException:
                self._held.close()
                raise
            self._held.close()
            _log.warning("connection ended", relay=bench.relay, probe=bench.probe.name, why=str(self._why()))
            failed_at = bench.clock.monotonic()
            await asyncio.sleep(REBUILDING.delay(self._failures, bench.rng))
            await bench.guest.may_return(1, failed_at)
            self._failures += 1

    def _changed(self, dropped: Dropped | None) -> None:
        self._account()
        bench = self._bench
        now = bench.clock.monotonic()
        run_id = self._held.recorder.run_id if self._held is not None else ""
        if dropped is None:
            if self._dropped_at is not None:
                bench.publish(
                    Reconnected(
                        relay=bench.relay, probe=bench.probe.name, run_id=run_id, seconds=now - self._dropped_at
                    )
                )
            self._connected, self._dropped_at, self._obstacle = True, None, None
        elif self._connected:
            self._connected, self._dropped_at = False, now
            self._note_drop(self._why())
            bench.publish(Disconnected(relay=bench.relay, probe=bench.probe.name, run_id=run_id, code=dropped.code))
        else:
            self._obstacle = self._why()  # of its latest return: what keeps it away by now may be ours

    def _account(self) -> None:
        bench = self._bench
        now = bench.clock.monotonic()
        seconds, self._counted_at = now - self._counted_at, now
        run_id = self._held.recorder.run_id if self._held is not None else ""
        if seconds > 0 and not self._untried:
            bench.publish(
                PairTime(
                    relay=bench.relay, probe=bench.probe.name, run_id=run_id, connected=self._connected, seconds=seconds
                )
            )
