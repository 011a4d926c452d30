"""What one bare connection does in connection-storm and steady-state, and what becomes of those that are held."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from monitor.errors import LocalError, ProbeError, RateLimitedError
from monitor.pairs.context import failure_of
from monitor.pairs.idle import IdleConnection
from monitor.results import Disconnected, Exchange, Reconnected
from monitor.vocabulary import Outcome, Reason, Step
from monitor.wire.backoff import Backoff

if TYPE_CHECKING:
    from monitor.load.scenarios import LoadContext
    from monitor.wire.events import Dropped

RETRY: Final = Backoff(minimum=0.5, maximum=5.0)
"""Between the tries of one connection, as the relay team's tool has it."""


class BareConnection:
    """One connection: immediate, recovered after retries, or failed."""

    def __init__(self, scene: LoadContext, number: int, hold: Hold | None = None) -> None:
        self._scene = scene
        self._number = number
        self._hold = hold
        self._recorder = scene.context.recorder(number)
        self._held: IdleConnection | None = None
        self._stood = self._away = False
        self._dropped_at = 0.0

    async def connect(self) -> bool:
        """Connect, trying again until it stands or its time is up; booked, and published as one exchange."""
        scene, recorder = self._scene, self._recorder
        clock, tally = scene.clock, scene.tally
        started = clock.monotonic()
        intended = min(scene.start_of(self._number), started)
        tally.started()
        try:
            error, retries = await self._persist(started + scene.plan.connect_timeout)
        except BaseException:
            tally.unfinished()
            recorder.abort()
            raise
        else:
            if error is None:
                self._stood = True
                tally.active += 1
                tally.connected(clock.monotonic() - intended, retries)
                recorder.exchanges.append(Exchange(outcome=Outcome.OK))
            elif isinstance(error, LocalError):
                tally.unfinished(failure_of(error))
                recorder.fail(error)
            else:
                tally.not_connected(failure_of(error), retries)
                recorder.fail(error)
        finally:
            scene.context.publish(recorder.finish())
            recorder.marks = []
        return self._stood

    async def _persist(self, deadline: float) -> tuple[ProbeError | None, int]:
        """Try until it stands (None), or its time is up (why it last did not); and how often it was tried again."""
        retries = 0
        while (error := await self._try(deadline)) is not None:
            pause = RETRY.delay(retries, self._scene.context.rng)
            if isinstance(error, RateLimitedError):
                pause = max(pause, error.retry_after)
            if self._scene.clock.monotonic() + pause >= deadline:
                break
            retries += 1
            await asyncio.sleep(pause)
        return error, retries

    async def _try(self, deadline: float) -> ProbeError | None:
        held = self._held = IdleConnection(
            self._scene.context, self._recorder, reconnect=RETRY, on_change=self._changed
        )
        try:
            async with asyncio.timeout(max(0.0, deadline - self._scene.clock.monotonic())):
                await held.open()
        except ProbeError as error:
            held.close()
            return error
        except TimeoutError:
            step = held.client.step
            held.close()
            return ProbeError(step, Reason.SILENT, "its time was up")
        except BaseException:
            held.close()
            raise
        return None if held.connected else held.why()  # the hello and the drop may come together

    def leave(self) -> None:
        """Disconnect."""
        if self._stood and self._held is not None:
            self._scene.tally.active -= self._held.connected
            self._held.close()

    def _changed(self, dropped: Dropped | None) -> None:
        if not self._stood or self._away is (dropped is not None):
            return  # each try to come back that fails is told too
        self._away = dropped is not None
        tally, context, now = self._scene.tally, self._scene.context, self._scene.clock.monotonic()
        relay, probe, run_id = context.relay, context.probe.name, self._recorder.run_id
        if dropped is None:
            tally.active += 1
            context.publish(Reconnected(relay=relay, probe=probe, run_id=run_id, seconds=now - self._dropped_at))
        else:
            tally.active -= 1
            self._dropped_at = now
            error = self._held.why() if self._held is not None else ProbeError(Step.HOLD, Reason.DISCONNECTED)
            tally.dropped(failure_of(error))
            context.publish(Disconnected(relay=relay, probe=probe, run_id=run_id, code=dropped.code))
        if self._hold is not None:
            self._hold.changed(away=dropped is not None)


class Hold:
    """The time for which connections are held: it begins when the ramp-up is over and each has connected or failed."""

    def __init__(self, scene: LoadContext) -> None:
        self._scene = scene
        self._undecided = len(scene.plan.numbers)
        self._decided = asyncio.Event()
        self._over = asyncio.Event()
        self._began: float | None = None
        self._away = 0
        self._held = 0  # of those that came about, once the hold has begun
        if not self._undecided:
            self._decided.set()

    async def run(self) -> None:
        """Hold. Stopped early, what was seen until then counts."""
        scene = self._scene
        try:
            await self._decided.wait()
            await scene.until(scene.began + scene.plan.ramp_up)
            if scene.tally.totals.successful:
                self._began = scene.clock.monotonic()
                self._held = scene.tally.totals.successful
                scene.presence.change(due=self._held, away=self._away)
                scene.tally.totals.hold.peak = self._away
                await asyncio.sleep(scene.plan.duration)
        finally:
            self._finish()

    def _finish(self) -> None:
        hold = self._scene.tally.totals.hold
        if self._began is not None:
            hold.seconds = self._scene.clock.monotonic() - self._began
            hold.current = self._away
            self._scene.presence.change(due=-self._held, away=-self._away)
            self._began = None
        self._over.set()

    def decided(self) -> None:
        """One more connection stands, failed, or was given up."""
        self._undecided -= 1
        if self._undecided <= 0:
            self._decided.set()

    async def wait(self) -> None:
        """Wait until the hold is over."""
        await self._over.wait()

    def changed(self, *, away: bool) -> None:
        """A connection dropped, or came back."""
        hold = self._scene.tally.totals.hold
        self._away += 1 if away else -1
        if self._began is not None:
            self._scene.presence.change(away=1 if away else -1)
            hold.peak = max(hold.peak, self._away)
            hold.reconnects += not away


async def connection_storm(scene: LoadContext, number: int) -> None:
    """Connect, and leave when the ramp-up is over."""
    bare = BareConnection(scene, number)
    try:
        if await bare.connect():
            await scene.until(scene.began + scene.plan.ramp_up)
            await scene.door.pass_through()
    finally:
        bare.leave()


async def steady_state(scene: LoadContext, number: int, hold: Hold) -> None:
    """Connect, be held, leave."""
    bare = BareConnection(scene, number, hold)
    try:
        try:
            await bare.connect()
        finally:
            hold.decided()  # whatever became of it: the others' hold waits for each
        await hold.wait()
        await scene.door.pass_through()
    finally:
        bare.leave()
