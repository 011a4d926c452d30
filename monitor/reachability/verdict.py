"""Does a message cross this relay at all? A failure is confirmed by fresh attempts before the relay is called down.

A failed run, a standing pair that cannot be made or a standing connection that drops starts a **round** at once: a few
fresh attempts (each a new pairing and one message) spaced by `CONFIRMATION_SPACING`, in parallel. The first that
crosses ends it. Where all fail, and the fault is not found to be this monitor's own, the relay is down; from then on
one attempt every `WHILE_DOWN` seconds looks for the repair, and the first message that crosses makes it up again. Every
fall and rise is published as it comes. There is one round at a time, at most every `ROUND_EVERY` seconds, and none
while the relay asks for less.

Where the failure was a standing pair's, one message more goes over that very pair as it stands (`resend`). What is
counted of it makes a silent node visible, a node that accepts and stores and pushes nothing:

- `over="standing", outcome="ok"`: it crossed.
- `over="standing", outcome="failed"`: it did not, half a time-out after the exchange itself had failed, though the
  pair stood all the time, and though a fresh message, *sent after it*, has crossed at least `HEAD_START` ago. So beside
  each such count stands `over="fresh", outcome="ok"` of the same round, never later than it.
- Nothing is counted where the connection is gone, or comes back only later: that is a drop, and in a rolling restart
  they all do. Nor where no fresh message crossed either: then the relay is down, or hung for a moment, and the
  connection shows no fault of its own. (Counted, each silent outage would leave a failure over the standing connection
  beside the fresh success that ends it, in one window of any rule: a page after the repair.)

Therefore `increase(relay_probe_confirmations_total{over="standing",outcome="failed"}[1m]) > 0` alone says that a
standing pair's exchange fails while fresh ones succeed, on two messages in a row; asking for `{over="fresh",
outcome="ok"}` too changes nothing if it is summed by relay. While the node stays silent each of the pair's slots starts
another round, so that the counter goes on; once it pushes again nothing is counted and the rule resolves by itself.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from monitor.clock import utc
from monitor.config.probe import CONFIRMATION_SPACING, MAX_ATTEMPT_TIME
from monitor.errors import LocalError, ProbeError
from monitor.reachability.attempts import AttemptResult, resend, try_new_pair
from monitor.reachability.persistent import PersistentPairs
from monitor.results import Confirmed, Disconnected, Paired, Run
from monitor.vocabulary import Outcome, Reason
from monitor.wire.codes import CloseCode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from monitor.pairs.context import ProbeContext
    from monitor.pairs.pair import Pair
    from monitor.results import Exchange, Report

_log = structlog.get_logger(__name__)

WHILE_DOWN: Final = 5.0
"""Seconds between attempts while the relay is down."""

ROUND_EVERY: Final = 5.0
"""Seconds from one round's start to the next one's at least: a cluster with an ill node fails all the time."""

HEAD_START: Final = 1.0
"""Seconds a standing pair has for its message after a fresh one has crossed."""

AT_ONCE: Final = 3
"""Standing pairs of one relay that are tried at the same time."""

LOOK: Final = 0.05
"""Seconds between two looks at a message under way over a standing pair; nothing is timed by it."""

ASKED_FOR_LESS: Final = frozenset({CloseCode.TOO_MANY_REQUESTS, CloseCode.CONNECTION_LIMIT})
"""Close codes of a relay that must not be answered with more connections."""

CLEARED: Final = 10.0
"""Seconds for which this monitor, once found to be without fault, is not asked again."""


async def never_local(_: ProbeError | None) -> bool:
    """For those who do not suspect themselves."""
    return False


class RelayVerdict:
    """One relay's `up`, and `since` when it is so: None before the first verdict. `on_change` is told each change.

    `is_local_fault` finds out whether the fault is this monitor's own, given the error, if one is known.
    While that question is open, `unresolved` is True; `on_resolved` is called when it is answered.
    """

    def __init__(
        self,
        relay: str,
        on_change: Callable[[bool], None],
        *,
        is_local_fault: Callable[[ProbeError | None], Awaitable[bool]] = never_local,
        on_resolved: Callable[[], None] = lambda: None,
    ) -> None:
        self.pairs = PersistentPairs()
        self.up: bool | None = None
        self.since: datetime | None = None
        self.unresolved = False
        self._relay = relay
        self._on_change = on_change
        self._is_local_fault = is_local_fault
        self._on_settled = on_resolved
        self._round: asyncio.Task[None] | None = None
        self._question: asyncio.Task[bool] | None = None
        self._standing: dict[Pair, asyncio.Task[None]] = {}
        self._bench: ProbeContext | None = None  # of the latest round
        self._began = float("-inf")
        self.delivered_at = float("-inf")  # when a message crossed last, a run's or an attempt's
        self._fresh_at = float("-inf")  # when an attempt's did
        self._cleared_at = float("-inf")

    def observe(self, report: Run | Report, context: ProbeContext) -> None:
        """Hear of a run or a drop: a message that crossed settles it, a failure starts the confirmation."""
        if isinstance(report, Run):
            if report.outcome is Outcome.OK and any(_crossed(exchange) for exchange in report.exchanges):
                self._crossing(context)
            elif report.outcome is Outcome.FAILED and report.failure is not None:
                # A relay that asks for fewer must not be answered with more.
                if report.failure.reason is not Reason.RATE_LIMITED:
                    direction = report.messages[-1].direction if report.messages else "request"
                    self._doubt(context, report.pair, direction)
            elif report.failure is not None and report.failure.reason is Reason.UNREACHABLE:
                # Aborted, so the run found no way out of this machine.
                self._ask(context, LocalError(report.failure.step, report.failure.reason, report.failure.detail))
        elif isinstance(report, Disconnected):
            if report.code not in ASKED_FOR_LESS:
                self._doubt(context, report.pair, "request")
        elif isinstance(report, Paired) and report.pairing.outcome is Outcome.FAILED:
            failure = report.pairing.failure
            if failure is None or failure.reason is not Reason.RATE_LIMITED:
                self._doubt(context, None, "request")  # a standing pair cannot be made: no run may tell of it for long

    def suspend(self) -> None:
        """Confirm nothing, and reach no verdict, until the next failure or `resume`."""
        for task in (self._round, *self._standing.values()):
            if task is not None:
                task.cancel()
        self._settle()

    def resume(self) -> None:
        """Go on looking for the repair, where the relay was down."""
        if self.up is False and self._bench is not None and not self._busy:
            self._round = asyncio.ensure_future(self._mend(self._bench))

    async def stop(self) -> None:
        """End for good, leaving nothing behind."""
        running = {task for task in (self._round, self._question, *self._standing.values()) if task is not None}
        self.suspend()
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=1)

    @property
    def _busy(self) -> bool:
        return self._round is not None and not self._round.done()

    def _doubt(self, context: ProbeContext, number: int | None, direction: str) -> None:
        if context.admission.connects.paused:
            return
        if not self._busy:
            self.unresolved = True
            self._bench = context
            self._round = asyncio.ensure_future(self._confirm(context))
        elif self.up is False and context.clock.monotonic() - self._cleared_at > CLEARED:
            # Down for long: since then the fault may have become ours.
            self.unresolved = True
            self._ask(context, None)
        pair = self.pairs.find(context.probe.name, number) if number is not None else None
        if pair is not None and pair not in self._standing and len(self._standing) < AT_ONCE and self.up is not False:
            task = asyncio.ensure_future(self._try_standing(context, pair, direction))
            self._standing[pair] = task
            task.add_done_callback(lambda _: self._standing.pop(pair, None))

    # Fresh attempts.

    async def _confirm(self, context: ProbeContext) -> None:
        """One round; then, where the relay is down, the search for the repair."""
        clock = context.clock
        await asyncio.sleep(max(0.0, self._began + ROUND_EVERY - clock.monotonic()))
        began = self._began = clock.monotonic()
        try:
            failed = await self._try_fresh(context)
            # Whether the fault is ours is settled before the relay is blamed for it.
            if failed is None or await asyncio.shield(self._ask(context, None)) or self.delivered_at > began:
                return
        finally:
            self._settle()
        if failed < min(2, context.probe.confirm.attempts):
            _log.warning("failure not confirmed", relay=self._relay, why="too few attempts could be made")
            return
        self._set(context, up=False)
        await self._mend(context)

    async def _try_fresh(self, context: ProbeContext) -> int | None:
        """The attempts of one round: how many failed, or None as soon as one crosses or the relay asks for less."""
        confirm = context.probe.confirm
        bound = min(context.probe.timeout, MAX_ATTEMPT_TIME, confirm.within)
        spacing = min(CONFIRMATION_SPACING, (confirm.within - bound) / max(1, confirm.attempts - 1))
        tries = [
            asyncio.ensure_future(self._try_one(context, bound, number * spacing)) for number in range(confirm.attempts)
        ]
        failed = 0
        try:
            for ended in asyncio.as_completed(tries):
                tried = await ended
                if tried.delivered:
                    return None
                if tried.limited:
                    self._settle()  # a relay that answers so can be reached
                    return None
                failed += tried.delivered is False
                self._ask(context, tried.error)
        finally:
            for attempt in tries:
                attempt.cancel()
        return failed

    async def _try_one(
        self, context: ProbeContext, bound: float, delay: float, *, recovery: bool = False
    ) -> AttemptResult:
        await asyncio.sleep(delay)
        tried = await try_new_pair(context, bound, recovery=recovery)
        if tried.error is not None:
            why = str(tried.error)
            _log.info(
                "new-pair attempt failed", relay=self._relay, run_id=tried.run_id, delivered=tried.delivered, error=why
            )
        if tried.delivered is not None:
            self._count(context, tried.run_id, "fresh", ok=tried.delivered)
        if tried.delivered:
            self._fresh_at = context.clock.monotonic()
            self._crossing(context)
        return tried

    async def _mend(self, context: ProbeContext) -> None:
        """While the relay is down, an attempt every few seconds."""
        clock = context.clock
        bound = min(context.probe.timeout, MAX_ATTEMPT_TIME)
        delay = WHILE_DOWN
        while not self.up:
            started = clock.monotonic() + delay
            tried = await self._try_one(context, bound, delay, recovery=True)
            if isinstance(tried.error, LocalError):
                self._ask(context, tried.error)
            delay = max(0.0, started + WHILE_DOWN - clock.monotonic())

    # The very pair that failed.

    async def _try_standing(self, context: ProbeContext, pair: Pair, direction: str) -> None:
        clock = context.clock
        bound = min(context.probe.timeout, MAX_ATTEMPT_TIME)
        if not await _stands(pair, bound):
            return
        sent_at = clock.monotonic()
        in_flight = resend(context, pair, direction, bound)
        if in_flight is None:
            return
        run_id = pair.recorder.run_id
        while pair.ready and self.up is not False:  # once all fresh ones have failed, it shows no fault of its own
            if in_flight.message is not None and in_flight.message.arrived_at is not None:
                self._count(context, run_id, "standing", ok=True)
                return
            now = clock.monotonic()
            if now >= sent_at + bound / 2:
                if sent_at <= self._fresh_at <= now - HEAD_START:
                    _log.warning("standing pair is silent", relay=self._relay, probe=context.probe.name, run_id=run_id)
                    self._count(context, run_id, "standing", ok=False)
                    return
                if self._fresh_at < sent_at and not self._busy:
                    return  # none crossed either
            await asyncio.sleep(LOOK)

    def _count(self, context: ProbeContext, run_id: str, via: str, *, ok: bool) -> None:
        context.publish(Confirmed(relay=context.relay, probe=context.probe.name, run_id=run_id, via=via, ok=ok))

    # The verdict, and the question whether the fault is ours.

    def _crossing(self, context: ProbeContext) -> None:
        self.delivered_at = context.clock.monotonic()
        if not self.up or self._busy:
            context.admission.mark_up()
        if self.up is False and self._round is not None and self._round is not asyncio.current_task():
            self._round.cancel()  # the search for the repair: should it fail again, a round must begin at once
        self._set(context, up=True)
        self._settle()

    def _ask(self, context: ProbeContext, error: ProbeError | None) -> asyncio.Task[bool]:
        """Ask whether the fault is ours, unless somebody is asking already."""
        question = self._question
        if question is None or question.done():
            question = self._question = asyncio.ensure_future(self._answer(context, error))
        return question

    async def _answer(self, context: ProbeContext, error: ProbeError | None) -> bool:
        ours = await self._is_local_fault(error)
        if not ours:
            self._cleared_at = context.clock.monotonic()
        self._settle()
        return ours

    def _settle(self) -> None:
        if self.unresolved:
            self.unresolved = False
            self._on_settled()

    def _set(self, context: ProbeContext, *, up: bool) -> None:
        if up is not self.up:
            self.up, self.since = up, utc(context.clock)
            if up:
                _log.info("relay is up", relay=self._relay)
            else:
                _log.error("relay is down", relay=self._relay)
            self._on_change(up)


def _crossed(exchange: Exchange) -> bool:
    """Whether an exchange brought a message over; a bare connection that was held brings none."""
    return exchange.outcome is Outcome.OK and (exchange.round_trip is not None or exchange.recovery is not None)


async def _stands(pair: Pair, patience: float) -> bool:
    """Wait so many seconds for a pair to be whole again; False where it is gone."""
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while not (pair.ready or pair.terminated):  # noqa: ASYNC110 - it has one listener, its probe
                await asyncio.sleep(LOOK)
    return pair.ready
