"""The attempts that confirm a failure: a new pair and one message, or one message more over the pair that failed.

None of them is in an SLI, and each is bounded. What became of one is a value: a message crossed, it did not, or it
could not be told, because the fault lay on this side, or the relay asked for fewer connects.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from monitor.errors import LocalError, ProbeError
from monitor.pairs import payloads
from monitor.pairs.admission import CONFIRMING, RECOVERY
from monitor.pairs.pair import Pair
from monitor.pairs.tracker import InFlightMessage
from monitor.vocabulary import Outcome, Reason, Step

if TYPE_CHECKING:
    from monitor.pairs.context import ProbeContext
    from monitor.results import Report, Run

MARGIN: Final = 1.0
"""Seconds past its own deadlines after which an attempt is ended from outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """How an attempt ended. `crossed` is None where it cannot be told; `obstacle` is what stood in the way."""

    run_id: str
    delivered: bool | None
    error: ProbeError | None = None

    @property
    def limited(self) -> bool:
        """Whether the relay asked for fewer."""
        return self.error is not None and self.error.reason is Reason.RATE_LIMITED


async def try_new_pair(context: ProbeContext, bound: float, *, recovery: bool = False) -> AttemptResult:
    """A new pairing and one message over it, without waits, within `bound` seconds. Never raises.

    Its two ends meet the same endpoint, another one each time: whether a message crosses *at all* is the question here,
    and where one node of two is ill, no pair that needs both of them would find the good one. Its connects may take the
    last permits of the relay's limits, unless it is `recovery`: those that look for the repair leave enough for the
    next confirmation.
    """
    silent = replace(
        context,
        publish=_ignore,
        priority=RECOVERY if recovery else CONFIRMING,
        probe=context.probe.model_copy(update={"timeout": bound, "wallet_delay": 0.0}),
    )
    recorder = silent.recorder()
    if not context.admission.messages.try_acquire(
        2
    ):  # the offer and the message are held to the relay's limits, as all others are
        return AttemptResult(run_id=recorder.run_id, delivered=None, error=_limits())
    pair = Pair(silent, recorder)
    try:
        async with asyncio.timeout(bound + MARGIN):
            pairing = await pair.pair()
            if (failure := pairing.failure) is not None:
                kind = LocalError if pairing.outcome is Outcome.ABORTED else ProbeError
                raise kind(failure.step, failure.reason, failure.detail)
            await pair.cross(recorder.started)
    except LocalError as fault:
        return AttemptResult(run_id=recorder.run_id, delivered=None, error=fault)
    except ProbeError as error:
        crossed = None if error.reason is Reason.RATE_LIMITED else False
        return AttemptResult(run_id=recorder.run_id, delivered=crossed, error=error)
    except TimeoutError:
        return AttemptResult(run_id=recorder.run_id, delivered=None, error=LocalError(Step.CLOSE, Reason.INTERNAL))
    finally:
        pair.close()
    return AttemptResult(run_id=recorder.run_id, delivered=True)


def resend(context: ProbeContext, pair: Pair, direction: str, bound: float) -> InFlightMessage | None:
    """Send one message over `pair` as it stands, in the direction that failed, beside whatever it is doing.

    The message is in the pair's ledger, and judged at its horizon as all others are, but no exchange waits for it: look
    at `message.arrived_at` of the leg. None where the pair cannot send or the relay's limits leave no room.
    """
    if not pair.ready or not context.admission.messages.try_acquire():
        return None
    now = context.clock.monotonic()
    asking = payloads.request(f"{pair.recorder.run_id}/again", pair.sequence + 1)
    back = direction == "response"
    sender, receiver = (pair.wallet, pair.dapp) if back else (pair.dapp, pair.wallet)
    in_flight = InFlightMessage(
        sender=sender,
        receiver=receiver,
        direction=direction,
        step=Step.ANSWER if back else Step.DELIVER,
        payload=payloads.response(asking["id"]) if back else asking,
        intended=now,
        deadline=now + bound,
        arrived=asyncio.get_running_loop().create_future(),
    )

    def send() -> None:
        pair.queued[sender, sender.peer.send_message(in_flight.payload)] = in_flight

    try:
        sender.do(send)
    except ProbeError:
        return None
    return in_flight


def _limits() -> LocalError:
    return LocalError(Step.PUBLISH, Reason.OVERLOADED, "limits allow no more messages now")


def _ignore(_: Run | Report) -> None:
    """In no SLI."""
