"""The pairings of a persistent pair that are due: they count the same however often the relay lets it try."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.results import Paired, Pairing
from monitor.vocabulary import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.pairs.context import ProbeContext, RunRecorder
    from monitor.results import Untried

PAIRING_INTERVAL: Final = 20.0
"""Seconds from one due pairing to the next while the pair cannot be made: the longest wait between two attempts."""


class DuePairings:
    """Publishes one `Paired` that counts for each due pairing; attempts in between are retries, which do not count.

    `untried` returns why nothing is tried.
    """

    def __init__(self, context: ProbeContext, untried: Callable[[], Untried]) -> None:
        self._context = context
        self._untried = untried
        self._due: float | None = None  # when the next pairing is due; None while none is

    def begin(self) -> None:
        """Note that a pairing is due now."""
        if self._due is None:
            self._due = self._context.clock.monotonic()

    def attempted(self, recorder: RunRecorder, pairing: Pairing) -> None:
        """Publish an attempt that has just ended."""
        context, now = self._context, self._context.clock.monotonic()
        ok = pairing.outcome is Outcome.OK
        retry = not ok and (self._due is None or now < self._due)
        if ok:
            self._due = None
        elif self._due is not None and not retry:
            self._due += PAIRING_INTERVAL
        context.publish(
            Paired(
                context.relay,
                context.probe.name,
                recorder.run_id,
                pairing,
                ended_at=context.clock.time(),
                since=recorder.started,
                until=now,
                retry=retry,
            )
        )

    def review(self) -> None:
        """Publish the due pairings that nothing was tried for."""
        context = self._context
        while self._due is not None and context.clock.monotonic() - self._due >= PAIRING_INTERVAL:
            due, pairing = self._due, Pairing(outcome=Outcome.ABORTED)
            self._due += PAIRING_INTERVAL
            context.publish(
                Paired(context.relay, context.probe.name, "", pairing, since=due, until=due, untried=self._untried())
            )
