"""realistic-session: a user's whole journey. Pair as users do it, exchange a few messages, leave."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from monitor.errors import LocalError, ProbeError
from monitor.pairs.pair import Pair
from monitor.scenarios import ANSWER_DELAY
from monitor.vocabulary import Outcome

if TYPE_CHECKING:
    from monitor.pairs.context import ProbeContext, RunRecorder


async def pair_up(pair: Pair, recorder: RunRecorder) -> None:
    """Pair, book the pairing with the run, and raise `ProbeError` if it failed."""
    recorder.pairing = await pair.pair()
    if (failure := recorder.pairing.failure) is not None:
        kind = LocalError if recorder.pairing.outcome is Outcome.ABORTED else ProbeError
        raise kind(failure.step, failure.reason, failure.detail)


class RealisticSession:
    """A fresh pairing, then `messages` exchanges."""

    async def run(self, context: ProbeContext, recorder: RunRecorder) -> None:
        """Play one journey."""
        pair = Pair(context, recorder)
        try:
            await pair_up(pair, recorder)
            for _ in range(context.probe.messages):
                intended = context.clock.monotonic() + context.probe.settle
                await asyncio.sleep(context.probe.settle)
                await pair.exchange(intended, ANSWER_DELAY)
        finally:
            pair.retire()
