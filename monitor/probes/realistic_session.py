"""realistic-session: pair as users do it, exchange a few messages, disconnect."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from monitor.pairs.pair import pair_up
from monitor.scenarios import ANSWER_DELAY

if TYPE_CHECKING:
    from monitor.pairs.context import ProbeContext, RunRecorder


class RealisticSession:
    """A new pairing, then `messages` exchanges."""

    async def run(self, context: ProbeContext, recorder: RunRecorder) -> None:
        """Make one session."""
        pair = await pair_up(context, recorder)
        try:
            for _ in range(context.probe.messages):
                intended = context.clock.monotonic() + context.probe.settle
                await asyncio.sleep(context.probe.settle)
                await pair.exchange(intended, ANSWER_DELAY)
        finally:
            pair.retire()
