"""What one pair does in each of the three scenarios of pairs, exactly as the scenarios' authors run them.

Waits are in no latency: the user's scan, the settling before an exchange, the wallet's thinking, the interval.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.errors import LocalError, ProbeError
from monitor.load.plan import SETTLE
from monitor.pairs.ledger import Ledger
from monitor.pairs.pair import Pair
from monitor.probes.async_delivery import leave, recover
from monitor.results import Paired, Reconnected
from monitor.scenarios import ANSWER_DELAY
from monitor.vocabulary import Outcome, Step
from monitor.wire.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.clock import Clock
    from monitor.load.pacing import Door
    from monitor.load.plan import Plan
    from monitor.load.statistics import LoadStatistics
    from monitor.pairs.context import ProbeContext, RunRecorder
    from monitor.pairs.uptime import UptimeMeter

AWAITED: Final = 64
"""Messages of a pair that can be short of their horizon: at the shortest intervals, about as many."""

REMEMBERED: Final = 4
"""Messages a pair's ledger keeps after their verdict: little, since a test has thousands of pairs."""

_CONNECT: Final = frozenset({Step.RESOLVE, Step.PROXY, Step.TCP, Step.TLS, Step.UPGRADE, Step.HELLO})


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadContext:
    """What all pairs of one test share. `began` and `ends` are readings of the monotonic clock."""

    plan: Plan
    context: ProbeContext
    tally: LoadStatistics
    clock: Clock
    door: Door
    presence: UptimeMeter
    began: float

    @property
    def ends(self) -> float:
        """When the steady part is over: its duration begins after the ramp-up."""
        return self.began + self.plan.ramp_up + self.plan.duration

    def start_of(self, number: int) -> float:
        """When a pair or a connection is to start; it may be late, or early by the millisecond uvloop rounds to."""
        return self.began + self.plan.start_of(number)

    async def until(self, moment: float) -> None:
        """Sleep until the clock reads `moment`."""
        await asyncio.sleep(max(0.0, moment - self.clock.monotonic()))


async def pair_up(
    scene: LoadContext, number: int, *, reconnect: Backoff | None = None, on_change: Callable[[], None] = lambda: None
) -> Pair | None:
    """A new pair, paired; None where that failed. Booked either way."""
    context, tally = scene.context, scene.tally
    tally.started()
    recorder = context.recorder(number)
    pair = Pair(context, recorder, reconnect=reconnect, on_change=on_change)
    pair.ledger = Ledger(limit=AWAITED, remembered=REMEMBERED)
    try:
        pairing = await pair.pair()
    except BaseException:
        tally.unfinished()
        pair.close()
        raise
    for seconds in _connect_times(recorder, min(scene.start_of(number), recorder.started)):
        tally.reached(seconds)
    tally.paired(pairing)
    context.publish(Paired(relay=context.relay, probe=context.probe.name, run_id=recorder.run_id, pairing=pairing))
    if pairing.outcome is not Outcome.OK:
        pair.close()
        return None
    recorder.marks.clear()
    tally.active += 1
    return pair


def _connect_times(recorder: RunRecorder, intended: float) -> list[float]:
    """From when each end was to connect to its hello: the dApp at `intended`, the wallet when the handshake began."""
    starts = {"dapp": intended - recorder.started}
    for mark in recorder.marks:
        if mark.step is Step.HANDSHAKE:
            starts["wallet"] = mark.started
    times = []
    for side, start in starts.items():
        marks = [mark for mark in recorder.marks if mark.side == side and mark.step in _CONNECT]
        if any(mark.step is Step.HELLO for mark in marks):
            times.append(max(mark.ended for mark in marks) - start)
    return times


async def exchange(scene: LoadContext, pair: Pair, number: int, intended: float, pause: float) -> bool:
    """One exchange, published as soon as it is over, or given up; whether it was good."""
    recorder = pair.recorder = scene.context.recorder(number)
    pair.judge()
    try:
        if pair.ready:
            await pair.exchange(intended, pause)
        else:
            recorder.fail(pair.error)
    except BaseException:
        recorder.abort()
        raise
    finally:
        run = recorder.finish()
        recorder.marks = []
        scene.context.publish(run)
    return run.outcome is Outcome.OK


async def realistic_session(scene: LoadContext, number: int) -> None:
    """A user's whole journey: pair, exchange a few messages, the wallet answering after a second, leave."""
    pair = await pair_up(scene, number)
    if pair is None:
        return
    try:
        for _ in range(scene.plan.messages_per_session):
            intended = scene.clock.monotonic() + SETTLE
            await scene.until(intended)
            await exchange(scene, pair, number, intended, ANSWER_DELAY)
    except asyncio.CancelledError:
        pair.close()
        raise
    finally:
        scene.tally.active -= 1
        pair.retire()


async def async_delivery(scene: LoadContext, number: int) -> None:
    """The wallet's transport drops; the dApp sends; after the delay a new wallet on the same store resumes."""
    pair = await pair_up(scene, number)
    if pair is None:
        return
    context, plan = scene.context, scene.plan
    recorder = pair.recorder = context.recorder(number)
    refused, came_back = False, False
    try:
        pair.wallet.abort()
        sent = await pair.send_offline(1)
        back = scene.clock.monotonic() + plan.delay
        await scene.until(back)
        came_back = True
        await recover(pair, context, recorder, sent, back, plan.recovery_timeout, again=Backoff())
    except ProbeError as error:
        refused = not isinstance(error, LocalError)
        recorder.fail(error)
    except BaseException:
        recorder.abort()
        raise
    finally:
        pair.note_offline()
        scene.tally.active -= 1
        context.publish(recorder.finish())
        leave(pair, context, refused=refused, came_back=came_back)


async def steady_messaging(scene: LoadContext, number: int) -> None:
    """Exchange, wait the interval, exchange, until the test ends; the last exchange begun is finished.

    An exchange that cannot be made takes the place and the time of one that could: neither a relay that drops a pair
    nor one that ends it for good makes fewer of them due, or more.
    """
    plan, clock = scene.plan, scene.clock
    persistent = Standing(scene)
    pair = await pair_up(scene, number, reconnect=Backoff(), on_change=persistent.changed)
    if pair is None:
        return
    persistent.watch(pair)
    try:
        intended = clock.monotonic() + SETTLE
        while intended < scene.ends:
            await scene.until(intended)
            await exchange(scene, pair, number, intended, plan.message_interval)
            ended = max(clock.monotonic(), intended + plan.message_interval)
            intended = ended + plan.message_interval + SETTLE
        await scene.until(scene.ends)
        await scene.door.pass_through()
    except asyncio.CancelledError:
        pair.close()
        raise
    finally:
        scene.tally.active -= persistent.leave()
        pair.retire()


class Standing:
    """Whether a steady pair stands: its drops, and when it was whole again."""

    def __init__(self, scene: LoadContext) -> None:
        self._scene = scene
        self._pair: Pair | None = None
        self._whole = True
        self._dropped_at: float | None = None

    def watch(self, pair: Pair) -> None:
        """It is paired, and stands; from now on it should."""
        self._pair = pair
        self._scene.presence.change(due=1)
        self.changed()

    def leave(self) -> bool:
        """Watch no longer; whether it stood until now."""
        self._pair = None
        self._scene.presence.change(due=-1, away=-(not self._whole))
        return self._whole

    def changed(self) -> None:
        """An end of the pair became whole, or stopped being so."""
        if self._pair is None or self._pair.ready is self._whole:
            return
        self._whole = self._pair.ready
        self._scene.presence.change(away=-1 if self._whole else 1)
        tally, context, now = self._scene.tally, self._scene.context, self._scene.clock.monotonic()
        if not self._whole:
            tally.active -= 1
            tally.totals.disconnects += self._dropped_at is None
            self._dropped_at = now
        elif self._dropped_at is not None:
            tally.active += 1
            context.publish(
                Reconnected(
                    relay=context.relay,
                    probe=context.probe.name,
                    run_id=self._pair.recorder.run_id,
                    seconds=now - self._dropped_at,
                )
            )
