"""What one pair does in each of the three scenarios of pairs, exactly as the scenarios' authors run them.

Waits are in no latency: the user's scan, the settling before an exchange, the wallet's thinking, the interval.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.config.probe import ANSWER_DELAY
from monitor.errors import Obstacle, OwnFault
from monitor.load.plan import SETTLE
from monitor.pairs.ledger import Ledger
from monitor.pairs.pair import Pair
from monitor.probes.async_delivery import leave, recover
from monitor.results import Paired, Reconnected
from monitor.vocabulary import Outcome, Step
from monitor.wire.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.clock import Clock
    from monitor.load.pacing import Door
    from monitor.load.plan import Plan
    from monitor.load.statistics import Tally
    from monitor.pairs.context import Bench, Recorder
    from monitor.pairs.uptime import Presence

AWAITED: Final = 64
"""Messages of a pair that can be short of their horizon: at the shortest intervals, about as many."""

REMEMBERED: Final = 4
"""Messages a pair's ledger keeps after their verdict: little, since a test has thousands of pairs."""

_CONNECT: Final = frozenset({Step.RESOLVE, Step.PROXY, Step.TCP, Step.TLS, Step.UPGRADE, Step.HELLO})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What all pairs of one test share. `began` and `ends` are readings of the monotonic clock."""

    plan: Plan
    bench: Bench
    tally: Tally
    clock: Clock
    door: Door
    presence: Presence
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
    scene: Scene, number: int, *, reconnect: Backoff | None = None, on_change: Callable[[], None] = lambda: None
) -> Pair | None:
    """A new pair, paired; None where that failed. Booked either way."""
    bench, tally = scene.bench, scene.tally
    tally.started()
    recorder = bench.recorder(number)
    pair = Pair(bench, recorder, reconnect=reconnect, on_change=on_change)
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
    bench.publish(Paired(relay=bench.relay, probe=bench.probe.name, run_id=recorder.run_id, pairing=pairing))
    if pairing.outcome is not Outcome.OK:
        pair.close()
        return None
    recorder.marks.clear()
    tally.active += 1
    return pair


def _connect_times(recorder: Recorder, intended: float) -> list[float]:
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


async def exchange(scene: Scene, pair: Pair, number: int, intended: float, pause: float) -> bool:
    """One exchange, published as soon as it is over, or given up; whether it was good."""
    recorder = pair.recorder = scene.bench.recorder(number)
    pair.judge()
    try:
        if pair.whole:
            await pair.exchange(intended, pause)
        else:
            recorder.fail(pair.obstacle)
    except BaseException:
        recorder.abort()
        raise
    finally:
        run = recorder.finish()
        recorder.marks = []
        scene.bench.publish(run)
    return run.outcome is Outcome.OK


async def realistic_session(scene: Scene, number: int) -> None:
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


async def async_delivery(scene: Scene, number: int) -> None:
    """The wallet's transport drops; the dApp sends; after the delay a new wallet on the same store resumes."""
    pair = await pair_up(scene, number)
    if pair is None:
        return
    bench, plan = scene.bench, scene.plan
    recorder = pair.recorder = bench.recorder(number)
    refused, came_back = False, False
    try:
        pair.wallet.abort()
        sent = await pair.send_offline(1)
        back = scene.clock.monotonic() + plan.delay
        await scene.until(back)
        came_back = True
        await recover(pair, bench, recorder, sent, back, plan.recovery_timeout, again=Backoff())
    except Obstacle as obstacle:
        refused = not isinstance(obstacle, OwnFault)
        recorder.fail(obstacle)
    except BaseException:
        recorder.abort()
        raise
    finally:
        pair.note_offline()
        scene.tally.active -= 1
        bench.publish(recorder.finish())
        leave(pair, bench, refused=refused, came_back=came_back)


async def steady_messaging(scene: Scene, number: int) -> None:
    """Exchange, wait the interval, exchange, until the test ends; the last exchange begun is finished.

    An exchange that cannot be made takes the place and the time of one that could: neither a relay that drops a pair
    nor one that ends it for good makes fewer of them due, or more.
    """
    plan, clock = scene.plan, scene.clock
    standing = Standing(scene)
    pair = await pair_up(scene, number, reconnect=Backoff(), on_change=standing.changed)
    if pair is None:
        return
    standing.watch(pair)
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
        scene.tally.active -= standing.leave()
        pair.retire()


class Standing:
    """Whether a steady pair stands: its drops, and when it was whole again."""

    def __init__(self, scene: Scene) -> None:
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
        if self._pair is None or self._pair.whole is self._whole:
            return
        self._whole = self._pair.whole
        self._scene.presence.change(away=-1 if self._whole else 1)
        tally, bench, now = self._scene.tally, self._scene.bench, self._scene.clock.monotonic()
        if not self._whole:
            tally.active -= 1
            tally.totals.disconnects += self._dropped_at is None
            self._dropped_at = now
        elif self._dropped_at is not None:
            tally.active += 1
            bench.publish(
                Reconnected(
                    relay=bench.relay,
                    probe=bench.probe.name,
                    run_id=self._pair.recorder.run_id,
                    seconds=now - self._dropped_at,
                )
            )
