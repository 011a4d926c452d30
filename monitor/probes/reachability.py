"""Does a message cross this relay at all? A failure is confirmed by fresh attempts before the relay is called down.

An attempt is a new pairing and one message, without waits. The first run at the beginning, or any failed run or
dropped connection later, starts a few of them; the relay is down only when all of them fail, and up again at the first
message that crosses.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from monitor.catalogue import Outcome, Reason
from monitor.errors import Obstacle, OwnFault
from monitor.probes.pair import Pair
from monitor.probes.run import Confirmed, Disconnected, Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.probes.bench import Bench
    from monitor.probes.run import Exchange, Report

_log = structlog.get_logger(__name__)

SPACING: Final = 2.0
"""Seconds between the starts of the attempts that confirm one failure."""

LONGEST: Final = 6.0
"""Seconds one attempt may take, whatever the probe's time-out."""

WHILE_DOWN: Final = 5.0
"""Seconds between attempts while the relay is down."""


class Reachability:
    """One relay's `up`: None before the first verdict. `on_change` is told each verdict that changes it."""

    def __init__(self, relay: str, on_change: Callable[[bool], None]) -> None:
        self.up: bool | None = None
        self._relay = relay
        self._on_change = on_change
        self._confirming: asyncio.Task[None] | None = None

    def take(self, report: Run | Report, bench: Bench) -> None:
        """Hear of a run or a drop: a message that crossed settles it, a failure starts the confirmation."""
        if isinstance(report, Run):
            if any(_crossed(exchange) for exchange in report.exchanges):
                self._set(up=True)
            elif report.failure is not None and report.outcome is Outcome.FAILED:
                self._doubt(bench, limited=report.failure.reason is Reason.RATE_LIMITED)
        elif isinstance(report, Disconnected):
            self._doubt(bench, limited=False)

    def stop(self) -> None:
        """Confirm nothing any more."""
        if self._confirming is not None:
            self._confirming.cancel()

    def _doubt(self, bench: Bench, *, limited: bool) -> None:
        # A relay that asks for fewer connects must not be answered with more of them.
        if limited or (self._confirming is not None and not self._confirming.done()):
            return
        self._confirming = asyncio.ensure_future(self._confirm(bench))

    async def _confirm(self, bench: Bench) -> None:
        """The fresh attempts; then, while the relay is down, one every few seconds until a message crosses."""
        confirm = bench.probe.confirm
        try:
            async with asyncio.timeout(confirm.within + LONGEST):
                attempts = [
                    asyncio.ensure_future(self._attempt(bench, number * SPACING)) for number in range(confirm.attempts)
                ]
                try:
                    crossed = await _first_true(attempts)
                finally:
                    for attempt in attempts:
                        attempt.cancel()
        except TimeoutError:
            crossed = None
        if crossed is None:
            return
        self._set(up=crossed)
        while not self.up:
            crossed = await self._attempt(bench, WHILE_DOWN)
            if crossed:
                self._set(up=True)

    async def _attempt(self, bench: Bench, start: float) -> bool | None:
        """One attempt: True if its message crossed, None if it failed on this side."""
        await asyncio.sleep(start)
        silent = replace(
            bench,
            publish=lambda _: None,  # in no SLI
            probe=bench.probe.model_copy(update={"timeout": min(bench.probe.timeout, LONGEST), "wallet_delay": 0.0}),
        )
        if not bench.guest.messages.take(2):
            return None  # the offer and the message are held to the relay's limits, as all others are
        recorder = silent.recorder()
        pair = Pair(silent, recorder)
        try:
            pairing = await pair.pair()
            if pairing.outcome is Outcome.ABORTED:
                return None
            if pairing.failure is None:
                await pair.cross(silent.clock.monotonic())
            crossed = pairing.failure is None
        except OwnFault:
            return None
        except Obstacle:
            crossed = False
        finally:
            pair.close()
        bench.publish(
            Confirmed(relay=bench.relay, probe=bench.probe.name, run_id=recorder.run_id, over="fresh", ok=crossed)
        )
        return crossed

    def _set(self, *, up: bool) -> None:
        if up is not self.up:
            self.up = up
            if up:
                _log.info("relay is up", relay=self._relay)
            else:
                _log.error("relay is down", relay=self._relay)
            self._on_change(up)


def _crossed(exchange: Exchange) -> bool:
    """Whether an exchange brought a message over; a bare connection that was held brings none."""
    return exchange.outcome is Outcome.OK and (exchange.round_trip is not None or exchange.recovery is not None)


async def _first_true(attempts: list[asyncio.Task[bool | None]]) -> bool | None:
    """True as soon as one attempt is; False when all failed; None when any of the rest could not tell."""
    results = []
    for done in asyncio.as_completed(attempts):
        result = await done
        if result:
            return True
        results.append(result)
    return False if None not in results else None
