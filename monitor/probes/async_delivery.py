"""async-delivery: the wallet is away, the dApp writes, a new wallet on the same store gets everything, once, in order.

Sessions are reused, each for an hour, because a pairing leaves channels behind on the relay and shows nothing here
that the other probes do not; `pairing: fresh` pairs every time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from monitor.config.capacity import SESSION_REUSE
from monitor.errors import Obstacle, OwnFault
from monitor.pairs.pair import Pair
from monitor.pairs.waiting import both
from monitor.probes.realistic_session import pair_up
from monitor.relay.target import RateLimited
from monitor.results import Exchange
from monitor.vocabulary import Outcome, Reason, Step

if TYPE_CHECKING:
    from monitor.config import ProbeConfig
    from monitor.pairs.context import Bench, Recorder
    from monitor.wire.backoff import Backoff

_log = structlog.get_logger(__name__)


class AsyncDelivery:
    """One absence: pair or resume, drop the wallet, send, wait, resume a new wallet, compare.

    One object serves one probe at one relay, since it keeps the session that is reused.
    """

    def __init__(self) -> None:
        self._kept: tuple[Pair, float] | None = None

    def cost(self, config: ProbeConfig) -> tuple[int, int]:
        """Both ends, and the new wallet; the offer of a pairing, and the messages."""
        return 3, 1 + config.messages

    async def play(self, bench: Bench, recorder: Recorder) -> None:
        """Play one absence. The session is kept for the next run, but not one that failed."""
        pair = await self._standing(bench, recorder)
        good, refused, came_back = False, False, False
        try:
            pair.wallet.abort()  # as a phone that loses its network: no close frame
            sent = await pair.send_offline(bench.probe.messages)
            back = bench.clock.monotonic() + bench.probe.delay
            await asyncio.sleep(bench.probe.delay)
            came_back = True
            await recover(pair, bench, recorder, sent, back, bench.probe.timeout)
            good = True
        except Obstacle as obstacle:
            refused = not isinstance(obstacle, OwnFault)
            raise
        finally:
            pair.note_offline()
            if good and bench.probe.pairing == "reuse":
                pair.rest()
            else:
                self._kept = None
                leave(pair, bench, refused=refused, came_back=came_back)

    async def _standing(self, bench: Bench, recorder: Recorder) -> Pair:
        """A pair with both ends connected: the kept one resumed, or a new one."""
        now = bench.clock.monotonic()
        if self._kept is not None and now - self._kept[1] < SESSION_REUSE:
            pair = self._kept[0]
            pair.recorder = recorder
            try:
                deadline = now + bench.probe.timeout
                await both(pair.resume_dapp(deadline), pair.resume_wallet(deadline))
            except BaseException:
                self._kept = None
                pair.close()
                raise
            return pair
        pair = Pair(bench, recorder)
        try:
            await pair_up(pair, recorder)
        except BaseException:
            pair.close()
            raise
        if bench.probe.pairing == "reuse":
            self._kept = (pair, now)
        return pair


def leave(pair: Pair, bench: Bench, *, refused: bool, came_back: bool) -> None:
    """Leave after an absence, and see to it that what the relay stored is not called lost.

    `refused`: it was the relay that ended the run; `came_back`: that was after the wallet's return.
    """
    if pair.wallet.whole or (refused and came_back):
        pair.retire()
    elif refused:
        bench.background(look_again(pair, bench))
    else:
        pair.close()  # it was us who sent no wallet to listen: what became of the messages nobody knows


async def look_again(pair: Pair, bench: Bench) -> None:
    """Let a new wallet take what the relay kept for the one that is away, and leave as from any other run.

    For a run that ended before its wallet came back: what the relay stored is not lost.
    """
    deadline = bench.clock.monotonic() + bench.probe.timeout
    pair.due_by(deadline)
    ending = pair.close  # where nobody was there to listen, what became of the messages nobody knows
    try:
        await pair.resume_wallet(deadline)
        ending = pair.retire
    except OwnFault as fault:
        _log.info("no wallet to look for what was stored", why=str(fault))
    except Obstacle:
        ending = pair.retire
    finally:
        ending()


async def recover(
    pair: Pair,
    bench: Bench,
    recorder: Recorder,
    sent: list[str],
    intended: float,
    within: float,
    *,
    again: Backoff | None = None,
) -> None:
    """Let a new wallet on the same store resume, and book whether all that was sent came: once, in order, `within` s.

    Timed from `intended`, when it should come back, or from now if a timer fired early. Where a wallet is kept from it,
    another one comes, `again` says when; None leaves it at one. Raises `Obstacle`, the last wallet's.
    """
    now = bench.clock.monotonic()
    resumed_at, deadline = min(intended, now), now + within
    pair.due_by(deadline)
    expected = set(sent)
    try:
        await _come_back(pair, bench, expected, deadline, again)
    except Obstacle as obstacle:
        if obstacle.step is Step.RECOVER and obstacle.reason is Reason.SILENT:
            raise await pair.why_not_recovered() from None
        raise
    order = [name for name, _ in pair.received if name in expected]
    recorder.mark("wallet", Step.RECOVER, resumed_at, pair.received[-1][1])
    if len(order) != len(sent):
        raise Obstacle(Step.RECOVER, Reason.DUPLICATED, f"{len(order)} messages for the {len(sent)} that were sent")
    if order != sent:
        raise Obstacle(Step.RECOVER, Reason.REORDERED, "not in the order they were sent")
    arrived = max(at for name, at in pair.received if name in expected)
    recorder.exchanges.append(Exchange(outcome=Outcome.OK, recovery=arrived - resumed_at))


async def _come_back(pair: Pair, bench: Bench, expected: set[str], deadline: float, again: Backoff | None) -> None:
    """Resume one wallet after another until one has all that is `expected`. Raises `Obstacle`."""
    failures = 0
    while True:
        try:
            await pair.resume_wallet(deadline)
            await pair.wallet.wait(lambda: expected <= {name for name, _ in pair.received}, deadline, Step.RECOVER)
        except Obstacle as obstacle:
            # What a wallet lacks that stands, another one will not get.
            if again is None or isinstance(obstacle, OwnFault) or pair.wallet.whole:
                raise
            pause = again.delay(failures, bench.rng)
            if isinstance(obstacle, RateLimited):
                pause = max(pause, obstacle.retry_after)
            if bench.clock.monotonic() + pause >= deadline:
                raise
        else:
            return
        failures += 1
        await asyncio.sleep(pause)
