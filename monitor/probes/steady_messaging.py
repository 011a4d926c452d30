"""steady-messaging: standing pairs, each with a loop of its own, exchanging one message each way per slot.

A pair keeps its place on a fixed grid whatever happens to it. It is never torn down because an exchange failed: a
node that takes messages and pushes none shows on the standing connection only. It is rebuilt when the relay ended it
for good, and replaced, the new one first, when it is `max_age` old, so that it meets today's nodes, names and
certificates.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from monitor.errors import LocalError, ProbeError
from monitor.pairs.pair import Pair
from monitor.pairs.waiting import ONE_MOMENT
from monitor.probes.realistic_session import pair_up
from monitor.probes.runner import REBUILD_BACKOFF
from monitor.results import Paired, PairTime, Reconnected
from monitor.schedule.grid import Grid, GridTimer
from monitor.vocabulary import Outcome, Reason, Step
from monitor.wire.backoff import Backoff

if TYPE_CHECKING:
    from monitor.pairs.context import ProbeContext, RunRecorder
    from monitor.reachability.persistent import PersistentPairs
    from monitor.relay.rate_limit import Permit

_log = structlog.get_logger(__name__)

SETTLE_EVERY: Final = 5.0
"""Seconds in which messages are judged and the connected time is told; a change of that is told at once."""


class SteadyMessaging:
    """One exchange of one pair as a bounded run; standing pairs as a continuous probe."""

    async def run(self, context: ProbeContext, recorder: RunRecorder) -> None:
        """Let each pair exchange for the probe's duration, on a grid of its own."""
        probe = context.probe
        async with asyncio.TaskGroup() as group:
            for number in range(probe.pairs):
                group.create_task(self._play_one(context, recorder, probe.cycle * number / probe.pairs))

    async def _play_one(self, context: ProbeContext, recorder: RunRecorder, start: float) -> None:
        """One pair's part; where it stops early, what is left of it has failed for that cause."""
        probe = context.probe
        done = 0
        await asyncio.sleep(start)
        pair = Pair(context, recorder)
        try:
            await pair_up(pair, recorder)
            timer = GridTimer(context.clock, Grid(context.clock.monotonic() + probe.settle, probe.cycle))
            for _ in range(probe.exchanges):
                await pair.exchange(await timer.wait(), probe.message_interval)
                done += 1
        except ProbeError as error:
            recorder.fail(error, times=probe.exchanges - done)
        finally:
            pair.retire()

    async def serve(self, context: ProbeContext, pairs: PersistentPairs) -> None:
        """Keep the probe's pairs going until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(context.probe.pairs):
                group.create_task(Standing(context, number, pairs).serve())


class Standing:
    """One standing pair: its slots, its renewal, and the account of its connected time."""

    def __init__(self, context: ProbeContext, number: int, pairs: PersistentPairs) -> None:
        self._bench = context
        self._number = number
        self._pairs = pairs
        self._period = context.probe.cycle
        # Pairs of one probe take turns, a part of max_age apart, so that a renewal is no burst.
        self._max_age = context.probe.max_age * (1 - 0.25 * number / max(1, context.probe.pairs))
        self._pair: Pair | None = None
        self._fresh: Pair | None = None  # made, and waiting for the slot's end to take the other's place
        self._busy = False
        self._made_at = 0.0
        self._making: asyncio.Task[None] | None = None
        self._obstacle: ProbeError | None = None  # why the latest try to make a pair came to nothing
        self._failed_at = 0.0  # and when
        self._failures = 0
        self._backoff = Backoff()
        self._dropped_at: float | None = None
        self._counted_at = context.clock.monotonic()
        self._settled_at = float("-inf")  # when that was last done at the end of a slot, and messages were judged
        self._counting = False
        self._whole = False

    async def serve(self) -> None:
        """Play slot after slot until cancelled."""
        context, probe = self._bench, self._bench.probe
        try:
            self._making = asyncio.ensure_future(self._make())
            # What fails at its deadline is known a moment later.
            await asyncio.wait({self._making}, timeout=probe.timeout + probe.wallet_delay + 10 * ONE_MOMENT)
            # Spread over one period, so that no two pairs of a probe ever send together.
            spread = self._period * self._number / max(1, probe.pairs)
            # The first pairing takes the time it takes; from here on the pair should be connected.
            self._counting, self._counted_at = True, context.clock.monotonic()
            start = context.clock.monotonic() + spread + probe.settle
            timer = GridTimer(context.clock, Grid(start, self._period), context.count, self._admits)
            while True:
                await self._slot(await timer.wait())
        finally:
            if self._making is not None:
                self._making.cancel()
            self._account()
            for pair in (self._pair, self._fresh):
                if pair is not None:
                    self._pairs.remove(context.probe.name, self._number, pair)
                    pair.close()

    def _admits(self) -> bool:
        """Whether the relay's limits leave room for one more exchange, and did so for the pair that is to have it."""
        untried = self._pair is None and self._obstacle is None and self._making is not None and not self._making.done()
        return not untried and self._bench.admission.messages.try_acquire(2)

    @property
    def _held_back(self) -> bool:
        """Whether there is no pair yet, and the relay had no part in that so far."""
        return self._pair is None and (self._obstacle is None or isinstance(self._obstacle, LocalError))

    async def _slot(self, intended: float) -> None:
        """One slot: one exchange, or the reason why there was none. Nothing that happens in it ends the loop.

        It begins when the request is to go out; what is not needed for that comes after the exchange.
        """
        context = self._bench
        recorder = context.recorder(self._number)
        recorder.started = min(recorder.started, intended)  # what this program is late by is in the run
        aborted = ""
        pair = self._pair
        try:
            if pair is None:
                recorder.fail(
                    self._obstacle or ProbeError(Step.HANDSHAKE, Reason.SILENT, "the pair is not connected yet")
                )
            elif not pair.ready:
                pair.recorder = recorder
                recorder.fail(pair.error)
            else:
                pair.recorder, self._busy = recorder, True
                await pair.exchange(intended, context.probe.message_interval)
        except asyncio.CancelledError:
            aborted = "stopped"
            raise
        except Exception:  # noqa: BLE001 - a fault of ours is an aborted slot, never the end of the loop
            aborted = "a fault in this program"
            _log.exception("slot aborted", why=aborted, run_id=recorder.run_id, probe=context.probe.name)
        finally:
            if aborted:
                recorder.abort()
            context.publish(recorder.finish(aborted=aborted))
            self._busy = False
            self._adopt()
        now = context.clock.monotonic()
        if now - self._settled_at > SETTLE_EVERY - self._period:  # the next slot may be too late
            self._settled_at = now
            self._account()
            if self._pair is not None:
                self._pair.judge()
        self._see_to_age()

    # Making, renewing, rebuilding.

    def _see_to_age(self) -> None:
        """Start a new pair where the old one is too old, or over for good."""
        if self._making is not None and not self._making.done():
            return
        pair = self._pair
        if pair is None or pair.terminated or self._bench.clock.monotonic() - self._made_at >= self._max_age:
            self._making = asyncio.ensure_future(self._make())

    async def _make(self) -> None:
        """Make a new pair and put it in the old one's place; tries until it succeeds."""
        context = self._bench
        while True:
            permits = await context.admission.acquire_pair()
            try:
                await context.admission.messages.acquire()  # for the offer
                recorder = await self._try(permits)
            finally:
                for permit in permits:
                    permit.release()
            if recorder.pairing is not None:
                context.publish(
                    Paired(
                        relay=context.relay, probe=context.probe.name, run_id=recorder.run_id, pairing=recorder.pairing
                    )
                )
            if recorder.pairing is not None and recorder.pairing.outcome is Outcome.OK:
                return
            _log.warning("pairing failed", relay=context.relay, probe=context.probe.name, why=str(self._obstacle))
            await asyncio.sleep(REBUILD_BACKOFF.delay(self._failures, context.rng))
            await context.admission.admit_reconnect(2, self._failed_at)
            self._failures += 1

    async def _try(self, permits: list[Permit]) -> RunRecorder:
        """One pairing; its notebook tells what came of it."""
        context = self._bench
        recorder = context.recorder(self._number)
        pair = Pair(context, recorder, reconnect=self._backoff, on_change=self._changed, permits=permits)
        try:
            await pair_up(pair, recorder)
        except ProbeError as error:
            self._account()
            self._obstacle, self._failed_at = error, context.clock.monotonic()
            pair.close()
        except BaseException:
            pair.close()
            raise
        else:
            self._made_at, self._failures = context.clock.monotonic(), 0
            self._fresh = pair
            self._adopt()
        return recorder

    def _adopt(self) -> None:
        """Let the fresh pair, if there is one, take the standing one's place; never in the middle of an exchange."""
        if self._fresh is None or self._busy:
            return
        old, self._pair, self._fresh = self._pair, self._fresh, None
        self._pairs.add(self._bench.probe.name, self._number, self._pair)
        if old is not None:
            old.retire()
        self._changed()

    # The account of connected time.

    def _changed(self) -> None:
        """An end of the pair became whole, or stopped being so."""
        self._account()
        ready = self._pair is not None and self._pair.ready
        if ready is self._whole:
            return
        self._whole = ready
        now = self._bench.clock.monotonic()
        if not ready:
            self._dropped_at = now
            if (
                self._pair is not None
                and self._pair.terminated
                and not self._busy
                and now - self._made_at >= self._period
            ):
                self._see_to_age()  # in time for the next slot; but of one that does not last, one a slot at most
        elif self._dropped_at is not None:
            context = self._bench
            run_id = self._pair.recorder.run_id if self._pair is not None else ""
            context.publish(
                Reconnected(
                    relay=context.relay, probe=context.probe.name, run_id=run_id, seconds=now - self._dropped_at
                )
            )
            self._dropped_at = None

    def _account(self) -> None:
        """Publish the time since the last account, in the state it was spent in."""
        context = self._bench
        now = context.clock.monotonic()
        seconds, self._counted_at = now - self._counted_at, now
        if seconds > 0 and self._counting and not self._held_back:
            run_id = self._pair.recorder.run_id if self._pair is not None else ""
            context.publish(PairTime(context.relay, context.probe.name, run_id, self._whole, seconds))
