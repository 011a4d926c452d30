"""New-pair attempts: a pairing and one message, to confirm a failure or to find a recovery. They are in no SLI."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from monitor.errors import LocalError, ProbeError
from monitor.pairs.admission import ConnectPriority
from monitor.pairs.pair import pair_up
from monitor.vocabulary import Reason, Step

if TYPE_CHECKING:
    from monitor.pairs.context import ProbeContext
    from monitor.results import Report, Run

ATTEMPT_MARGIN: Final = 1.0
"""Seconds beyond its own deadlines after which an attempt is cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """How an attempt ended. `delivered` is None if that is unknown: a local fault, or the relay asked for fewer."""

    run_id: str
    delivered: bool | None
    error: ProbeError | None = None

    @property
    def rate_limited(self) -> bool:
        """True if the relay asked for fewer connects."""
        return self.error is not None and self.error.reason is Reason.RATE_LIMITED


async def try_new_pair(context: ProbeContext, timeout: float, *, recovery: bool = False) -> AttemptResult:
    """Pair and deliver one message, without waits, within `timeout` seconds. Never raises.

    Both participants use the same endpoint, the next one in each attempt: if one node of two fails, a pair that needs
    both of them never succeeds. `recovery`: the attempt belongs to recovery probing and leaves the permits that are
    reserved for confirmations.
    """
    unpublished = replace(
        context,
        publish=_ignore,
        priority=ConnectPriority.RECOVERY if recovery else ConnectPriority.CONFIRMATION,
        probe=context.probe.model_copy(update={"timeout": timeout, "wallet_delay": 0.0}),
    )
    recorder = unpublished.recorder()
    if not context.admission.messages.try_acquire(2):  # the offer and the message
        limits = LocalError(Step.PUBLISH, Reason.OVERLOADED, "limits allow no more messages now")
        return AttemptResult(run_id=recorder.run_id, delivered=None, error=limits)
    try:
        async with asyncio.timeout(timeout + ATTEMPT_MARGIN):
            pair = await pair_up(unpublished, recorder)
            try:
                await pair.request(recorder.started)
            finally:
                pair.close()
    except LocalError as error:
        return AttemptResult(run_id=recorder.run_id, delivered=None, error=error)
    except ProbeError as error:
        delivered = None if error.reason is Reason.RATE_LIMITED else False
        return AttemptResult(run_id=recorder.run_id, delivered=delivered, error=error)
    except TimeoutError:
        overdue = LocalError(Step.CLOSE, Reason.INTERNAL)
        return AttemptResult(run_id=recorder.run_id, delivered=None, error=overdue)
    return AttemptResult(run_id=recorder.run_id, delivered=True)


def _ignore(_: Run | Report) -> None:
    """Publish nothing."""
