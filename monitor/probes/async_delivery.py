"""async-delivery: messages to an absent wallet reach a new wallet on the same store, each once and in order.

With `pairing: reuse` the session is kept for an hour, because each pairing leaves channels behind on the relay;
`pairing: fresh` pairs in every run.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from monitor.config.probe import SESSION_REUSE
from monitor.errors import LocalError, ProbeError
from monitor.pairs.offline import OfflineDelivery
from monitor.pairs.pair import pair_up

if TYPE_CHECKING:
    from monitor.pairs.context import ProbeContext, RunRecorder
    from monitor.pairs.pair import Pair


class AsyncDelivery:
    """Pair or resume, drop the wallet, send, wait, resume a new wallet, compare.

    One object serves one probe at one relay: it holds the session that is reused.
    """

    def __init__(self) -> None:
        self._reusable: tuple[Pair, float] | None = None  # and when it was paired, on the monotonic clock

    async def run(self, context: ProbeContext, recorder: RunRecorder) -> None:
        """Make one offline delivery. The session is kept for the next run unless this one failed."""
        pair = await self._connected_pair(context, recorder)
        delivery = OfflineDelivery(pair)
        succeeded = refused = False
        try:
            await delivery.send(context.probe.messages)
            returns_at = context.clock.monotonic() + context.probe.delay
            await asyncio.sleep(context.probe.delay)
            await delivery.recover(returns_at, context.probe.timeout)
            succeeded = True
        except ProbeError as error:
            refused = not isinstance(error, LocalError)
            raise
        finally:
            delivery.record_fates()
            if succeeded and context.probe.pairing == "reuse":
                pair.close()
            else:
                self._reusable = None
                delivery.finish(refused=refused)

    async def _connected_pair(self, context: ProbeContext, recorder: RunRecorder) -> Pair:
        """Return a pair with both participants connected: the kept one resumed, or a new one. Raises `ProbeError`."""
        now = context.clock.monotonic()
        if self._reusable is not None and now - self._reusable[1] < SESSION_REUSE:
            pair = self._reusable[0]
            pair.recorder = recorder
            try:
                await pair.resume(now + context.probe.timeout)
            except BaseException:
                self._reusable = None
                pair.close()
                raise
            return pair
        pair = await pair_up(context, recorder)
        if context.probe.pairing == "reuse":
            self._reusable = (pair, now)
        return pair
