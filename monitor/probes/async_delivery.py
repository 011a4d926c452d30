"""async-delivery: the wallet is away, the dApp writes, a new wallet on the same store gets everything, once, in order.

Sessions are reused, each for an hour, because a pairing leaves channels behind on the relay and shows nothing here
that the other probes do not; `pairing: fresh` pairs every time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from monitor.config.probe import SESSION_REUSE
from monitor.errors import LocalError, ProbeError, RateLimitedError
from monitor.pairs.pair import Pair
from monitor.pairs.waiting import both
from monitor.probes.realistic_session import pair_up
from monitor.results import Exchange
from monitor.vocabulary import Outcome, Reason, Step

if TYPE_CHECKING:
    from monitor.pairs.context import ProbeContext, RunRecorder
    from monitor.wire.backoff import Backoff

_log = structlog.get_logger(__name__)


class AsyncDelivery:
    """One absence: pair or resume, drop the wallet, send, wait, resume a new wallet, compare.

    One object serves one probe at one relay, since it keeps the session that is reused.
    """

    def __init__(self) -> None:
        self._kept: tuple[Pair, float] | None = None

    async def run(self, context: ProbeContext, recorder: RunRecorder) -> None:
        """Play one absence. The session is kept for the next run, but not one that failed."""
        pair = await self._standing(context, recorder)
        good, refused, came_back = False, False, False
        try:
            pair.wallet.abort()  # as a phone that loses its network: no close frame
            sent = await pair.send_offline(context.probe.messages)
            back = context.clock.monotonic() + context.probe.delay
            await asyncio.sleep(context.probe.delay)
            came_back = True
            await recover(pair, context, recorder, sent, back, context.probe.timeout)
            good = True
        except ProbeError as error:
            refused = not isinstance(error, LocalError)
            raise
        finally:
            pair.note_offline()
            if good and context.probe.pairing == "reuse":
                pair.suspend()
            else:
                self._kept = None
                leave(pair, context, refused=refused, came_back=came_back)

    async def _standing(self, context: ProbeContext, recorder: RunRecorder) -> Pair:
        """A pair with both ends connected: the kept one resumed, or a new one."""
        now = context.clock.monotonic()
        if self._kept is not None and now - self._kept[1] < SESSION_REUSE:
            pair = self._kept[0]
            pair.recorder = recorder
            try:
                deadline = now + context.probe.timeout
                await both(pair.resume_dapp(deadline), pair.resume_wallet(deadline))
            except BaseException:
                self._kept = None
                pair.close()
                raise
            return pair
        pair = Pair(context, recorder)
        try:
            await pair_up(pair, recorder)
        except BaseException:
            pair.close()
            raise
        if context.probe.pairing == "reuse":
            self._kept = (pair, now)
        return pair


def leave(pair: Pair, context: ProbeContext, *, refused: bool, came_back: bool) -> None:
    """Leave after an absence, and see to it that what the relay stored is not called lost.

    `refused`: it was the relay that ended the run; `came_back`: that was after the wallet's return.
    """
    if pair.wallet.ready or (refused and came_back):
        pair.retire()
    elif refused:
        context.background(look_again(pair, context))
    else:
        pair.close()  # it was us who sent no wallet to listen: what became of the messages nobody knows


async def look_again(pair: Pair, context: ProbeContext) -> None:
    """Let a new wallet take what the relay kept for the one that is away, and leave as from any other run.

    For a run that ended before its wallet came back: what the relay stored is not lost.
    """
    deadline = context.clock.monotonic() + context.probe.timeout
    pair.due_by(deadline)
    ending = pair.close  # where nobody was there to listen, what became of the messages nobody knows
    try:
        await pair.resume_wallet(deadline)
        ending = pair.retire
    except LocalError as fault:
        _log.info("no wallet to look for what was stored", why=str(fault))
    except ProbeError:
        ending = pair.retire
    finally:
        ending()


async def recover(
    pair: Pair,
    context: ProbeContext,
    recorder: RunRecorder,
    sent: list[str],
    intended: float,
    within: float,
    *,
    again: Backoff | None = None,
) -> None:
    """Let a new wallet on the same store resume, and book whether all that was sent came: once, in order, `within` s.

    Timed from `intended`, when it should come back, or from now if a timer fired early. Where a wallet is kept from it,
    another one comes, `again` says when; None leaves it at one. Raises `ProbeError`, the last wallet's.
    """
    now = context.clock.monotonic()
    resumed_at, deadline = min(intended, now), now + within
    pair.due_by(deadline)
    expected = set(sent)
    try:
        await _come_back(pair, context, expected, deadline, again)
    except ProbeError as error:
        if error.step is Step.RECOVER and error.reason is Reason.SILENT:
            raise await pair.why_not_recovered() from None
        raise
    order = [name for name, _ in pair.received if name in expected]
    recorder.mark("wallet", Step.RECOVER, resumed_at, pair.received[-1][1])
    if len(order) != len(sent):
        raise ProbeError(Step.RECOVER, Reason.DUPLICATED, f"{len(order)} messages for the {len(sent)} that were sent")
    if order != sent:
        raise ProbeError(Step.RECOVER, Reason.REORDERED, "not in the order they were sent")
    arrived = max(at for name, at in pair.received if name in expected)
    recorder.exchanges.append(Exchange(outcome=Outcome.OK, recovery=arrived - resumed_at))


async def _come_back(
    pair: Pair, context: ProbeContext, expected: set[str], deadline: float, again: Backoff | None
) -> None:
    """Resume one wallet after another until one has all that is `expected`. Raises `ProbeError`."""
    failures = 0
    while True:
        try:
            await pair.resume_wallet(deadline)
            await pair.wallet.wait(lambda: expected <= {name for name, _ in pair.received}, deadline, Step.RECOVER)
        except ProbeError as error:
            # What a wallet lacks that stands, another one will not get.
            if again is None or isinstance(error, LocalError) or pair.wallet.ready:
                raise
            pause = again.delay(failures, context.rng)
            if isinstance(error, RateLimitedError):
                pause = max(pause, error.retry_after)
            if context.clock.monotonic() + pause >= deadline:
                raise
        else:
            return
        failures += 1
        await asyncio.sleep(pause)
