"""Fresh attempts: a new pairing and one message, both ends at one endpoint. They are in no SLI."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from monitor.errors import LocalError, ProbeError, RateLimitedError
from monitor.pairs.admission import ConnectPriority
from monitor.pairs.pair import pair_up
from monitor.reachability.live_delivery import delivers_live
from monitor.results import ATTEMPT, Exchange
from monitor.vocabulary import Outcome, Reason, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.pairs.context import ProbeContext
    from monitor.relay.rate_limit import Permit
    from monitor.results import Report, Run

ATTEMPT_MARGIN: Final = 1.0
"""Seconds beyond its own deadlines after which an attempt is cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """How an attempt ended.

    delivered: None if that is unknown because of a local fault.
    error: what failed; beside `delivered` the relay delivers, and its history is broken.
    endpoint: name of the endpoint, if the relay has several.
    run: the attempt as a run, for the journal.
    """

    run_id: str
    delivered: bool | None
    error: ProbeError | None = None
    endpoint: str = ""
    run: Run | None = None

    @property
    def reduced(self) -> bool:
        """True if the relay asked for fewer connects."""
        return self.error is not None and asks_for_fewer(self.error)


def asks_for_fewer(error: ProbeError) -> bool:
    """Return whether a relay asks for fewer connects by this error."""
    return isinstance(error, RateLimitedError) or error.reason is Reason.RATE_LIMITED


async def try_new_pair(
    context: ProbeContext,
    timeout: float,
    *,
    recovery: bool = False,
    endpoint_index: int | None = None,
    permits: Sequence[Permit] = (),
) -> AttemptResult:
    """Pair and deliver one message, without waits, within `timeout` seconds. Never raises.

    Both participants use the endpoint of `endpoint_index`: if one node of two fails, a pair that needs both of them
    never succeeds. `permits` are those of its connects; without them the attempt waits for the limits itself, where
    `recovery` leaves the permits that are reserved for confirmations. If the relay refuses its history, the message is
    sent once more between two connections that do without.
    """
    unpublished = replace(
        context,
        publish=_ignore,
        priority=ConnectPriority.RECOVERY if recovery else ConnectPriority.CONFIRMATION,
        probe=context.probe.model_copy(update={"timeout": timeout, "wallet_delay": 0.0}),
        endpoint_index=endpoint_index,
    )
    index = unpublished.next_endpoint()
    unpublished = replace(unpublished, endpoint_index=index)
    recorder = unpublished.recorder()
    endpoint = ""
    error: ProbeError | None = None
    delivered: bool | None = True
    try:
        async with asyncio.timeout(timeout + ATTEMPT_MARGIN):
            pair = await pair_up(unpublished, recorder, permits=permits)
            try:
                endpoint = pair.dapp.client.endpoint
                await pair.request(recorder.started)
            finally:
                pair.close()
    except LocalError as raised:
        error, delivered = raised, None
    except ProbeError as raised:
        error, delivered = raised.seen_at(endpoint), False
    except TimeoutError:
        error, delivered = LocalError(Step.CLOSE, Reason.INTERNAL), None
    if error is None:
        recorder.exchanges.append(Exchange(outcome=Outcome.OK))
    else:
        recorder.fail(error)
        if error.step is Step.HISTORY and delivered is False:
            delivered = await delivers_live(unpublished, index, timeout)
    return AttemptResult(
        run_id=recorder.run_id,
        delivered=delivered,
        error=error,
        endpoint=endpoint or (error.endpoint if error is not None else ""),
        run=recorder.finish()._replace(probe=ATTEMPT),
    )


def _ignore(_: Run | Report) -> None:
    """Publish nothing."""
