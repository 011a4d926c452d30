"""A message between its sender's application and its receiver's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.errors import ProbeError
from monitor.vocabulary import Reason, Step

if TYPE_CHECKING:
    import asyncio

    from monitor.pairs import payloads
    from monitor.pairs.ledger import Message
    from monitor.pairs.participant import Participant

CORRUPTED: Final = "the received bytes differ from those sent"
OVERTAKEN: Final = "it arrived after a later message, and the wallet protocol drops messages older than the newest"


@dataclass(slots=True, kw_only=True)
class InFlightMessage:
    """One message on its way. `arrived` resolves to its arrival time on the monotonic clock, or to a `ProbeError`."""

    sender: Participant
    receiver: Participant
    direction: str
    step: Step
    payload: payloads.Payload
    intended: float
    deadline: float
    arrived: asyncio.Future[float]
    message: Message | None = None  # from the first attempt to send it on

    @property
    def seconds(self) -> float:
        """The time that the message has, in seconds."""
        return self.deadline - self.intended

    def accepted(self) -> bool:
        """Return whether the relay accepted the message."""
        return self.message is not None and self.message.acked

    def deadline_error(self) -> ProbeError:  # noqa: PLR0911 - one return a cause
        """Return the first cause why the message did not arrive by its deadline."""
        message = self.message
        if message is None or not message.acked:
            if self.sender.publish_error is not None:
                return self.sender.publish_error
            return self.sender.error or ProbeError(Step.PUBLISH, Reason.SILENT, "not acknowledged in time")
        if message.corrupted:
            return ProbeError(self.step, Reason.CORRUPTED, CORRUPTED)
        if not self.receiver.ready:
            cause = self.receiver.error
            return ProbeError(
                self.step, Reason.DISCONNECTED, cause.detail if cause else "the receiver was not connected"
            )
        if message.arrived_at is None:
            return ProbeError(self.step, Reason.LOST, f"acknowledged but not delivered within {self.seconds:.3g} s")
        if message.arrived_at > self.deadline:
            return ProbeError(self.step, Reason.TIMEOUT, "it arrived after its deadline")
        if message.overtaken:
            return ProbeError(self.step, Reason.REORDERED, OVERTAKEN)
        return ProbeError(self.step, Reason.WRONG_PEER, "it arrived, and the wallet protocol did not accept it")
