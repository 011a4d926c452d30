"""steady-messaging: persistent pairs, each of which makes one exchange per slot of a fixed grid.

A failed exchange does not close a pair: a node that accepts messages and pushes none is visible on an established
connection only. A pair is rebuilt when the relay terminated it, and replaced, the new one first, at the age of
`max_age`, so that it meets the present nodes, names and certificates.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from monitor.errors import LocalError, ProbeError
from monitor.pairs.pair import Pair, pair_up
from monitor.pairs.uptime import Uptime, UptimeMeter
from monitor.pairs.waiting import SAME_DEADLINE_SPREAD
from monitor.probes.due_pairings import DuePairings
from monitor.probes.runner import REBUILD_BACKOFF, published_slot
from monitor.results import Untried
from monitor.schedule.grid import Grid, GridTimer
from monitor.vocabulary import Outcome
from monitor.wire.backoff import Backoff

if TYPE_CHECKING:
    from monitor.pairs.context import ProbeContext, RunRecorder
    from monitor.reachability.persistent import PersistentPairs
    from monitor.relay.rate_limit import Permit

_log = structlog.get_logger(__name__)

JUDGE_INTERVAL: Final = 5.0
"""Seconds between two reports of verdicts and connected time; a change of connection is reported at once."""


class SteadyMessaging:
    """One exchange of each pair as a bounded run; persistent pairs as a continuous probe."""

    async def run(self, context: ProbeContext, recorder: RunRecorder) -> None:
        """Let each pair make its exchanges for the probe's duration, on a grid of its own."""
        probe = context.probe
        async with asyncio.TaskGroup() as group:
            for number in range(probe.pairs):
                group.create_task(self._run_pair(context, recorder, probe.cycle * number / probe.pairs))

    async def _run_pair(self, context: ProbeContext, recorder: RunRecorder, start: float) -> None:
        """Run one pair from `start` seconds on; an error fails all exchanges that are left."""
        probe = context.probe
        done = 0
        await asyncio.sleep(start)
        try:
            pair = await pair_up(context, recorder)
            try:
                timer = GridTimer(context.clock, Grid(context.clock.monotonic() + probe.settle, probe.cycle))
                for _ in range(probe.exchanges):
                    await pair.exchange(await timer.wait(), probe.message_interval)
                    done += 1
            finally:
                pair.retire()
        except ProbeError as error:
            recorder.fail(error, times=probe.exchanges - done)

    async def serve(self, context: ProbeContext, pairs: PersistentPairs) -> None:
        """Run the probe's pairs until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(context.probe.pairs):
                group.create_task(PersistentPair(context, number, pairs).serve())


class PersistentPair:
    """The slots of one persistent pair, its renewal and its connected time. `pairs` is where it registers."""

    def __init__(self, context: ProbeContext, number: int, pairs: PersistentPairs) -> None:
        self._context = context
        self._number = number
        self._pairs = pairs
        self._period = context.probe.cycle
        # Spread over a quarter of max_age, so that the pairs of a probe are not renewed at once.
        self._max_age = context.probe.max_age * (1 - 0.25 * number / max(1, context.probe.pairs))
        self._pair: Pair | None = None
        self._successor: Pair | None = None  # paired, and replaces `_pair` at the end of the slot
        self._busy = False  # in an exchange
        self._paired_at = 0.0
        self._rebuild: asyncio.Task[None] | None = None
        self._waiting = False  # for the rate limit, to pair
        self._error: ProbeError | None = None  # of the latest failed pairing
        self._failed_at = 0.0
        self._failures = 0
        self._backoff = Backoff()
        self._pairings = DuePairings(context, self._untried)
        self._meter = UptimeMeter(context, self._untried)
        self._uptime = Uptime(context, self._meter)
        self._started = False  # the first pairing has had its time
        self._judged_at = float("-inf")

    async def serve(self) -> None:
        """Run slot after slot until cancelled."""
        context, probe = self._context, self._context.probe
        try:
            self._rebuild = asyncio.ensure_future(self._pair_until_successful())
            # A failure at the deadline is known shortly after it.
            first = probe.timeout + probe.wallet_delay + 10 * SAME_DEADLINE_SPREAD
            await asyncio.wait({self._rebuild}, timeout=first)
            self._started = True
            self._update_expected()
            # Spread over one period, so that the pairs of a probe do not send at once.
            spread = self._period * self._number / max(1, probe.pairs)
            start = context.clock.monotonic() + spread + probe.settle
            timer = GridTimer(context.clock, Grid(start, self._period), context.count, self._admits, self._skipped)
            while True:
                await self._slot(await timer.wait())
        finally:
            if self._rebuild is not None:
                self._rebuild.cancel()
            self._meter.record()
            for pair in (self._pair, self._successor):
                if pair is not None:
                    self._pairs.remove(context.probe.name, self._number, pair)
                    pair.close()

    def _admits(self) -> bool:
        """Return whether a slot may run: the rate limit has permits, and did not delay the first pairing until now."""
        rebuilding = self._rebuild is not None and not self._rebuild.done()
        untried = self._pair is None and self._error is None and rebuilding
        return not untried and self._context.admission.messages.try_acquire(2)

    def _untried(self) -> Untried:
        """Return why nothing is tried over the pair while it is not ready."""
        pair = self._pair
        own = pair.untried if pair is not None else Untried()
        failed_at = self._failed_at if self._error is not None else None
        if pair is not None and not pair.terminated:
            return own
        latest = max((at for at in (own.failed_at, failed_at) if at is not None), default=None)
        return Untried(failed_at=latest, withheld=self._waiting or isinstance(self._error, LocalError))

    def _skipped(self, due: float) -> None:
        self._pairings.review()
        self._context.publish_skipped(due, self._number)

    async def _slot(self, intended: float) -> None:
        """Run one slot: one exchange, or the reason why there is none. What fails in it does not end the loop.

        It begins when the request is to be sent; everything else follows the exchange.
        """
        context = self._context
        recorder = context.recorder(self._number)
        recorder.started = min(recorder.started, intended)  # the delay of this program belongs to the run
        pair = self._pair
        try:
            with published_slot(context, recorder):
                if pair is None or not pair.ready:
                    recorder.untried = self._untried()
                if pair is None:
                    if self._error is None:
                        recorder.abort()  # nothing was ever tried
                    else:
                        recorder.fail(self._error, since=context.clock.monotonic())
                elif not pair.ready:
                    pair.recorder = recorder
                    recorder.fail(pair.error, since=context.clock.monotonic())  # of an earlier attempt
                else:
                    pair.recorder, self._busy = recorder, True
                    await pair.exchange(intended, context.probe.message_interval)
        finally:
            self._busy = False
            self._adopt_successor()
        now = context.clock.monotonic()
        if now - self._judged_at > JUDGE_INTERVAL - self._period:  # the next slot may be too late
            self._judged_at = now
            self._meter.record()
            if self._pair is not None:
                self._pair.tracker.judge()
        self._pairings.review()
        self._renew()

    # Pairing, renewing, rebuilding.

    def _renew(self) -> None:
        """Start to pair anew if the present pair is too old or terminated, or there is none."""
        rebuild = self._rebuild
        if rebuild is not None and not rebuild.done():
            return
        if rebuild is not None and not rebuild.cancelled() and isinstance(bug := rebuild.exception(), Exception):
            _log.error("pairing ended by a bug", probe=self._context.probe.name, error=repr(bug))
            self._context.on_bug(bug)
        pair = self._pair
        if pair is None or pair.terminated or self._context.clock.monotonic() - self._paired_at >= self._max_age:
            self._rebuild = asyncio.ensure_future(self._pair_until_successful())

    async def _pair_until_successful(self) -> None:
        """Pair, with pauses between the attempts, until one succeeds."""
        context = self._context
        self._pairings.begin()
        while True:
            self._waiting = True
            permits = await context.admission.acquire_pair()
            try:
                await context.admission.messages.acquire()  # for the offer
                self._waiting = False
                recorder = await self._pair_once(permits)
            finally:
                for permit in permits:
                    permit.release()
            pairing = recorder.pairing
            if pairing is not None:
                self._pairings.attempted(recorder, pairing)
                if pairing.outcome is Outcome.OK:
                    return
            if self._error is not None:
                fields = self._error.log_fields()
                _log.warning("pairing failed", relay=context.relay, probe=context.probe.name, **fields, repeats=True)
            await context.admission.back_off(REBUILD_BACKOFF.delay(self._failures, context.rng))
            self._waiting = True
            await context.admission.admit_reconnect(2, self._failed_at)
            self._failures += 1

    async def _pair_once(self, permits: list[Permit]) -> RunRecorder:
        """Pair once; the recorder has the result."""
        context = self._context
        recorder = context.recorder(self._number)
        try:
            self._successor = await pair_up(
                context, recorder, reconnect=self._backoff, on_change=self._ready_changed, permits=permits
            )
        except ProbeError as error:
            self._error, self._failed_at = error, context.clock.monotonic()
            self._update_expected()
        else:
            self._paired_at, self._failures = context.clock.monotonic(), 0
            self._adopt_successor()
        return recorder

    def _adopt_successor(self) -> None:
        """Replace the present pair by its successor, if there is one, unless an exchange is under way."""
        if self._successor is None or self._busy:
            return
        predecessor, self._pair, self._successor = self._pair, self._successor, None
        self._pairs.add(self._context.probe.name, self._number, self._pair)
        if predecessor is not None:
            predecessor.retire()
        self._ready_changed()

    # Connected time.

    def _update_expected(self) -> None:
        """Count connected time from the first pairing on, unless only this program keeps the pair from being made."""
        not_tried = self._pair is None and (self._error is None or isinstance(self._error, LocalError))
        self._uptime.expect(self._started and not not_tried)

    def _ready_changed(self) -> None:
        pair = self._pair
        self._update_expected()
        changed = self._uptime.update(pair is not None and pair.ready, pair.recorder.run_id if pair is not None else "")
        if not changed or pair is None or not pair.terminated or self._busy:
            return
        if not pair.ready and self._context.clock.monotonic() - self._paired_at >= self._period:
            self._renew()  # in time for the next slot; of pairs that do not last, one a slot at most
