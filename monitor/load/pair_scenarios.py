"""The three load scenarios of pairs: what one pair does, as the scenarios' authors run them.

No latency includes a wait: the user's scan, the pause before an exchange, the wallet's delay, the message interval.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from monitor.errors import LocalError, ProbeError
from monitor.load.plan import EXCHANGE_PAUSE
from monitor.pairs import pair as pairs
from monitor.pairs.ledger import Ledger
from monitor.pairs.offline import OfflineDelivery
from monitor.pairs.uptime import Uptime
from monitor.results import Paired
from monitor.scenarios import ANSWER_DELAY
from monitor.vocabulary import Outcome, Step
from monitor.wire.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.load.load_context import LoadContext
    from monitor.pairs.context import RunRecorder
    from monitor.pairs.pair import Pair

MAX_PENDING_MESSAGES: Final = 64
"""Messages of a pair that can wait for their verdict: about as many as the shortest intervals allow."""

MAX_JUDGED_MESSAGES: Final = 4
"""Messages that a pair's ledger keeps after their verdict; few, since a test has thousands of pairs."""

_CONNECT_STEPS: Final = frozenset({Step.RESOLVE, Step.PROXY, Step.TCP, Step.TLS, Step.UPGRADE, Step.HELLO})


async def pair_up(
    load: LoadContext, number: int, *, reconnect: Backoff | None = None, on_change: Callable[[], None] = lambda: None
) -> Pair | None:
    """Create and pair a new pair, record the pairing, and return the pair, or None if the pairing failed."""
    context, statistics = load.probe_context, load.statistics
    statistics.record_start()
    recorder = context.recorder(number)
    ledger = Ledger(limit=MAX_PENDING_MESSAGES, remembered=MAX_JUDGED_MESSAGES)
    pair = None
    try:
        pair = await pairs.pair_up(context, recorder, reconnect=reconnect, on_change=on_change, ledger=ledger)
    except ProbeError:
        pass  # the pairing has it
    except BaseException:
        statistics.record_unfinished()
        raise
    for seconds in _connect_times(recorder, min(load.start_of(number), recorder.started)):
        statistics.record_connect_time(seconds)
    if recorder.pairing is not None:
        statistics.record_pairing(recorder.pairing)
        ended_at = context.clock.time()
        context.publish(Paired(context.relay, context.probe.name, recorder.run_id, recorder.pairing, ended_at))
    if pair is not None:
        recorder.marks.clear()
        statistics.active += 1
    return pair


def _connect_times(recorder: RunRecorder, intended: float) -> list[float]:
    """Return the seconds that each peer took to connect.

    The dApp's time begins at `intended` (monotonic clock), the wallet's when the handshake began.
    Both end at the hello.
    """
    starts = {"dapp": intended - recorder.started}
    for mark in recorder.marks:
        if mark.step is Step.HANDSHAKE:
            starts["wallet"] = mark.started
    times = []
    for side, start in starts.items():
        marks = [mark for mark in recorder.marks if mark.side == side and mark.step in _CONNECT_STEPS]
        if any(mark.step is Step.HELLO and not mark.failed for mark in marks):
            times.append(max(mark.ended for mark in marks) - start)
    return times


async def exchange(load: LoadContext, pair: Pair, number: int, intended: float, pause: float) -> bool:
    """Make one exchange and publish it; return whether it succeeded.

    `intended` is the monotonic time at which the request should be sent, `pause` the wallet's delay in seconds.
    """
    recorder = pair.recorder = load.probe_context.recorder(number)
    pair.tracker.judge()
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
        load.probe_context.publish(run)
    return run.outcome is Outcome.OK


async def realistic_session(load: LoadContext, number: int) -> None:
    """Run a user's whole session: pair, make a few exchanges that the wallet answers after a second, disconnect."""
    pair = await pair_up(load, number)
    if pair is None:
        return
    try:
        for _ in range(load.plan.messages_per_session):
            intended = load.clock.monotonic() + EXCHANGE_PAUSE
            await load.sleep_until(intended)
            await exchange(load, pair, number, intended, ANSWER_DELAY)
    except asyncio.CancelledError:
        pair.close()
        raise
    finally:
        load.statistics.active -= 1
        pair.retire()


async def async_delivery(load: LoadContext, number: int) -> None:
    """Drop the wallet's transport, let the dApp send, and resume a new wallet on the same store after the delay."""
    pair = await pair_up(load, number)
    if pair is None:
        return
    context, plan = load.probe_context, load.plan
    recorder = pair.recorder = context.recorder(number)
    delivery = OfflineDelivery(pair)
    refused = False
    try:
        await delivery.send(1)
        returns_at = load.clock.monotonic() + plan.delay
        await load.sleep_until(returns_at)
        await delivery.recover(returns_at, plan.recovery_timeout, retry=Backoff())
    except ProbeError as error:
        refused = not isinstance(error, LocalError)
        recorder.fail(error)
    except BaseException:
        recorder.abort()
        raise
    finally:
        delivery.record_fates()
        load.statistics.active -= 1
        context.publish(recorder.finish())
        delivery.finish(refused=refused)


async def steady_messaging(load: LoadContext, number: int) -> None:
    """Exchange, wait the interval, exchange, until the test ends; the last exchange begun is finished.

    An exchange that cannot be made takes as long as one that can: the number of exchanges due depends neither on drops
    nor on a relay that ends the pair for good.
    """
    plan, clock = load.plan, load.clock
    connectivity = PairConnectivity(load)
    pair = await pair_up(load, number, reconnect=Backoff(), on_change=connectivity.update)
    if pair is None:
        return
    connectivity.start(pair)
    try:
        intended = clock.monotonic() + EXCHANGE_PAUSE
        while intended < load.end_time:
            await load.sleep_until(intended)
            await exchange(load, pair, number, intended, plan.message_interval)
            ended = max(clock.monotonic(), intended + plan.message_interval)
            intended = ended + plan.message_interval + EXCHANGE_PAUSE
        await load.sleep_until(load.end_time)
        await load.disconnect_pacer.wait()
    except asyncio.CancelledError:
        pair.close()
        raise
    finally:
        load.statistics.active -= connectivity.stop()
        pair.retire()


class PairConnectivity:
    """Records the drops, reconnects and uptime of a persistent pair."""

    def __init__(self, load: LoadContext) -> None:
        self._load = load
        self._pair: Pair | None = None
        self._uptime = Uptime(load.probe_context, load.uptime, connected=True)
        self._has_dropped = False

    def start(self, pair: Pair) -> None:
        """Start recording: the pair is paired, and should be connected from now on."""
        self._pair = pair
        self._uptime.expect(expected=True)
        self.update()

    def stop(self) -> bool:
        """Stop recording, and return whether the pair was connected until now."""
        self._pair = None
        self._uptime.expect(expected=False)
        return self._uptime.connected

    def update(self) -> None:
        """Record a change of the pair's state, if there is one."""
        pair, statistics = self._pair, self._load.statistics
        if pair is None or not self._uptime.update(pair.ready, pair.recorder.run_id):
            return
        statistics.active += 1 if pair.ready else -1
        if not pair.ready:
            statistics.totals.disconnects += not self._has_dropped
            self._has_dropped = True
