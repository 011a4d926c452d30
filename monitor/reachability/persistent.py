"""The persistent pairs of one relay, and the messages that are sent over them to confirm a failure."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.config.relay import MAX_ATTEMPT_TIME
from monitor.pairs.diagnosis import is_stored
from monitor.reachability.rhythm import MAX_ROUND

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.pairs.context import ProbeContext
    from monitor.pairs.pair import Pair
    from monitor.pairs.tracker import InFlightMessage

HEAD_START: Final = 1.0
"""Seconds that a resent message has after the delivery of a fresh attempt."""

SILENT_MESSAGES: Final = 3
"""Messages in a row that a node must have failed to push before it is called silent."""

RESEND_INTERVAL: Final = 0.5
"""Seconds between the messages in a row."""

MAX_CONCURRENT_RESENDS: Final = 3
"""Persistent pairs of one relay that are examined for silence at the same time."""

POLL_INTERVAL: Final = 0.05
"""Seconds between two looks at a resent message; nothing is timed by it."""


class PersistentPairs:
    """The registry in which a continuous probe enters its pairs, so that a failure is confirmed over them."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[str, int], Pair] = {}
        self._offset = 0

    def add(self, probe: str, number: int, pair: Pair) -> None:
        """Register the pair of this number, in place of the one before it."""
        self._pairs[probe, number] = pair

    def remove(self, probe: str, number: int, pair: Pair) -> None:
        """Remove a pair, unless another one has its number by now."""
        if self._pairs.get((probe, number)) is pair:
            del self._pairs[probe, number]

    def find(self, probe: str, number: int) -> Pair | None:
        """Return the pair of this number, or None."""
        return self._pairs.get((probe, number))

    def of_round(self) -> list[Pair]:
        """Return the connected pairs over which a round sends a message: all, or some in turn if there are many."""
        ready = [pair for pair in self._pairs.values() if pair.ready]
        start = self._offset % len(ready) if ready else 0
        self._offset += MAX_ROUND
        return (ready[start:] + ready[:start])[:MAX_ROUND]


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshAttempts:
    """What the examination of a pair needs to know of fresh attempts.

    delivered_at: when one last delivered.
    running: whether one is under way or due at once.
    request: makes another one.
    useful: False while the relay is down, so that a pair shows no fault of its own.
    """

    delivered_at: Callable[[], float]
    running: Callable[[], bool]
    request: Callable[[], None]
    useful: Callable[[], bool]


async def deliver_once(context: ProbeContext, pair: Pair, timeout: float) -> float | None:
    """Send one message over a pair; return when it was sent if it is delivered within `timeout` seconds."""
    sent_at = context.clock.monotonic()
    in_flight = pair.resend("request", timeout)
    while in_flight is not None and pair.ready and context.clock.monotonic() < sent_at + timeout:
        if _arrived(in_flight):
            return sent_at
        await asyncio.sleep(POLL_INTERVAL)
    return sent_at if in_flight is not None and _arrived(in_flight) else None


async def find_silence(
    context: ProbeContext,
    pair: Pair,
    direction: str,
    attempts: FreshAttempts,
    on_arrived: Callable[[float], None],
    *,
    withheld: int = 0,
) -> bool | None:
    """Return whether a pair's node is silent: messages in a row are stored or cross elsewhere, and are not pushed.

    False if a message arrives, and `on_arrived` is called with the time at which it was sent; None if nothing can be
    said. `withheld` messages before these did not arrive.
    """
    timeout = min(context.probe.timeout, MAX_ATTEMPT_TIME)
    if not await _wait_until_ready(pair, timeout):
        return None

    async def send(delay: float) -> bool | None:
        await asyncio.sleep(delay)
        sent_at = context.clock.monotonic()
        result = await _is_withheld(context, pair, direction, timeout, attempts)
        if result is False:
            on_arrived(sent_at)
        return result

    delays = [RESEND_INTERVAL * number for number in range(SILENT_MESSAGES - withheld)]
    tasks = [asyncio.ensure_future(send(delay)) for delay in delays]
    silent: bool | None = True
    try:
        for completed in asyncio.as_completed(tasks):
            result = await completed
            if result is False:
                return False
            silent = silent and result
    finally:
        for task in tasks:
            task.cancel()
    return silent


async def _is_withheld(
    context: ProbeContext, pair: Pair, direction: str, timeout: float, attempts: FreshAttempts
) -> bool | None:
    """Send one message; return False if it arrives, True if its node withholds it, None if that is not known."""
    clock = context.clock
    sent_at = clock.monotonic()
    in_flight = pair.resend(direction, timeout)
    if in_flight is None:
        return None
    asked = False
    while pair.ready and attempts.useful():
        if _arrived(in_flight):
            return False
        now = clock.monotonic()
        if now >= sent_at + timeout / 2:
            if sent_at <= attempts.delivered_at() <= now - HEAD_START:
                return True
            if not asked:
                asked = True
                if in_flight.message is not None and await is_stored(
                    in_flight.receiver, in_flight.message, context.admission.history, context.probe.diagnosis_timeout
                ):
                    return not _arrived(in_flight)
                if attempts.delivered_at() < sent_at and not attempts.running():
                    attempts.request()
            elif attempts.delivered_at() < sent_at and not attempts.running():
                return None  # no attempt delivered either
        await asyncio.sleep(POLL_INTERVAL)
    return None


def _arrived(in_flight: InFlightMessage) -> bool:
    return in_flight.message is not None and in_flight.message.arrived_at is not None


async def _wait_until_ready(pair: Pair, timeout: float) -> bool:
    """Wait up to `timeout` seconds for a pair to be ready; return False if it is not, or is terminated."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            while not (pair.ready or pair.terminated):  # noqa: ASYNC110 - its one listener is the probe
                await asyncio.sleep(POLL_INTERVAL)
    return pair.ready
