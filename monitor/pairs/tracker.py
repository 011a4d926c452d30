"""The account of a pair: what its ends report as they work, and the verdicts that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.errors import ProbeError
from monitor.pairs.ledger import Ledger, Message
from monitor.results import Disconnected, MessageFate, MessagesJudged, MessagesSent
from monitor.session.notices import MessageKey, MessageReceived
from monitor.vocabulary import Finding, Phase, Reason, Step, Verdict

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from monitor.pairs import payloads
    from monitor.pairs.context import ProbeContext, RunRecorder
    from monitor.pairs.participant import Participant
    from monitor.session.actions import Publish
    from monitor.session.envelope import Envelope
    from monitor.wire.events import Publication


_ACK: Final = Phase.PUBLISH_ACK


@dataclass(slots=True, kw_only=True)
class InFlightMessage:
    """One message on its way from one end's application to the other's."""

    sender: Participant
    receiver: Participant
    direction: str
    step: Step
    payload: payloads.Payload
    intended: float
    deadline: float
    arrived: asyncio.Future[float]
    message: Message | None = None

    def accepted(self) -> bool:
        """Whether the relay accepted its message."""
        return self.message is not None and self.message.acked


class DeliveryTracker:
    """What two ends report (`relay.ward.Ward`), booked with the present run's recorder and the pair's ledger.

    `standing`: the ends come back by themselves, so a drop is reported and waited out rather than a failure at once.
    `on_change` is called when an end becomes whole or stops being so.
    """

    def __init__(
        self, context: ProbeContext, recorder: RunRecorder, *, persistent: bool, on_change: Callable[[], None]
    ) -> None:
        self.recorder = recorder
        self.ledger = Ledger(remembered=context.admission.history)
        self.channel: str | None = None  # the session's, once there is one
        self.members: set[str] = set()  # the client ids of the two ends
        # Ids of messages the application got without a leg that waits for them, in order, and when.
        self.received: list[tuple[str, float]] = []
        self.in_flight: InFlightMessage | None = None  # the message that is waited for
        self.queued: dict[
            tuple[Participant, int], InFlightMessage
        ] = {}  # by message id: not sent yet, and no more than an outbox holds
        self.sequence = 0
        self._sent = 0  # messages, since this was told
        self._acks: list[float] = []  # seconds until the relay accepted a publish, since this was told
        self._bench = context
        self._standing = persistent
        self._on_change = on_change

    def publish_sent(self) -> None:
        """Publish how many messages went out since it was told last, and how soon the relay accepted them."""
        if self._sent or self._acks:
            context = self._bench
            acks, self._acks = tuple(self._acks), []
            context.publish(MessagesSent(context.relay, context.probe.name, self.recorder.run_id, self._sent, acks))
            self._sent = 0

    def judge(self) -> None:
        """Publish the verdicts on messages whose horizon has passed."""
        self.publish_verdicts(self.ledger.due(self._bench.clock.monotonic()))

    def publish_verdicts(self, messages: list[Message]) -> None:
        """Publish what became of messages that are settled; of one still under way nobody will know."""
        self.publish_sent()
        context = self._bench
        now = context.clock.monotonic()
        counts: dict[Verdict | None, int] = {}
        for message in messages:
            under_way = message.arrived_at is None and not message.damaged and message.horizon > now
            verdict = None if under_way else message.verdict()
            counts[verdict] = counts.get(verdict, 0) + 1
        for verdict, count in counts.items():
            context.publish(MessagesJudged(context.relay, context.probe.name, self.recorder.run_id, verdict, count))

    # What the ends report (`relay.ward.Ward`).

    def mark(self, end: Participant, step: Step, started: float, ended: float) -> None:
        """A step of one end is behind us."""
        self.recorder.mark(end.side, step, started, ended)

    def phase(self, phase: Phase, seconds: float) -> None:
        """A phase took `seconds`. Of acks there are so many that those of standing ends are told together."""
        if phase is _ACK and self._standing:
            self._acks.append(seconds)
        else:
            self.recorder.phase(phase, seconds)

    def address_failed(self, family: str) -> None:
        """An address could not be reached."""
        self.recorder.address_failed(family)

    def certificate(self, not_after: float) -> None:
        """The relay's certificate was seen."""
        self.recorder.certificate(not_after)

    def sending(self, end: Participant, publish: Publish) -> bool:
        """A message is about to be sent; the first time, the ledger learns what to expect.

        Its run took a permit of the relay's limits for it; another try needs one of its own.
        """
        # By its id: when a relay is slow to accept, earlier messages, and tries of them, go out in later exchanges.
        in_flight = self.queued.pop((end, publish.message_id), None)
        if in_flight is None:
            return publish.key.channel != self.channel or self._bench.admission.messages.try_acquire()
        self.sequence += 1
        context = self._bench
        horizon = max(in_flight.deadline, context.clock.monotonic()) + context.probe.timeout
        in_flight.message = Message(
            publish.key,
            publish.data,
            in_flight.direction,
            self.sequence,
            in_flight.intended,
            in_flight.deadline,
            horizon,
        )
        self.ledger.expect(in_flight.message)
        self._sent += 1
        if not self._standing:
            self.publish_sent()
        return True

    def sent(self, publish: Publish, at: float) -> None:
        """Its bytes were handed to the socket."""
        self.ledger.published(publish.key, at)

    def acked(self, publish: Publish) -> None:
        """The relay accepted a message."""
        self.ledger.acked(publish.key)

    def raw(self, envelope: Envelope | None, publication: Publication, *, live: bool) -> None:
        """A publication of the other side came, as the relay gave it."""
        channel, data, offset, at = publication
        if channel != self.channel:
            return  # the handshake has its own account: the pairing
        if envelope is None:
            message = self.ledger.garbled(channel, data)
        else:
            message = self.ledger.arrived(
                MessageKey(channel, envelope.client_id, envelope.nonce), data, offset, at, live=live
            )
        in_flight = self.in_flight
        if message is None:
            self._misrouted(envelope)
        elif (
            in_flight is not None and message is in_flight.message and message.damaged and not in_flight.arrived.done()
        ):
            in_flight.arrived.set_exception(
                ProbeError(in_flight.step, Reason.CORRUPTED, "the bytes that came differ from those sent")
            )

    def _misrouted(self, envelope: Envelope | None) -> None:
        """Count a message of some other session that came on this one's channel."""
        if envelope is None or envelope.client_id in self.members:
            return
        context = self._bench
        context.publish(
            MessagesJudged(
                relay=context.relay,
                probe=context.probe.name,
                run_id=self.recorder.run_id,
                verdict=Verdict.MISROUTED,
                pending=False,
            )
        )

    def delivered(self, end: Participant, notice: MessageReceived, at: float) -> None:
        """The wallet protocol gave a message to its application."""
        payload, key, reference_dropped = notice
        if reference_dropped:
            self.recorder.mark(end.side, Step.HISTORY, at, at, Finding.DROPPED_BY_REFERENCE_CLIENT.value)
        in_flight = self.in_flight
        if (
            in_flight is None
            or end is not in_flight.receiver
            or in_flight.message is None
            or in_flight.message.key != key
        ):
            message = self.ledger.find(key)
            came = at if message is None or message.arrived_at is None else message.arrived_at
            self.received.append((str(payload.get("id", "")) if isinstance(payload, dict) else "", came))
        elif in_flight.arrived.done():
            return
        elif payload == in_flight.payload:
            arrived = in_flight.message.arrived_at
            in_flight.arrived.set_result(at if arrived is None else arrived)
        else:
            in_flight.arrived.set_exception(
                ProbeError(in_flight.step, Reason.WRONG_PEER, "it decrypts, and says something else")
            )

    def trouble(self, end: Participant, error: ProbeError) -> None:
        """Something went wrong at one end: what waits for it learns it now, unless the end comes back by itself."""
        in_flight = self.in_flight
        if in_flight is None or in_flight.arrived.done():
            return
        if end is in_flight.sender and error.step is Step.PUBLISH:
            in_flight.arrived.set_exception(error)
        elif not self._standing or error.reason in {Reason.UNDECRYPTABLE, Reason.DENIED}:
            step = in_flight.step if error.step in {Step.HOLD, Step.DELIVER} else error.step
            in_flight.arrived.set_exception(ProbeError(step, error.reason, error.detail))

    def changed(self) -> None:
        """An end became whole, or stopped being so."""
        self._on_change()

    def dropped(self, code: int | None) -> None:
        """A connection or subscription that stood was taken away."""
        if self._standing:
            context = self._bench
            recorder = self.recorder
            context.publish(
                Disconnected(
                    relay=context.relay,
                    probe=context.probe.name,
                    run_id=recorder.run_id,
                    code=code,
                    pair=recorder.pair,
                )
            )


def fate(message: Message) -> MessageFate:
    """A message as its run saw it end: without a verdict while it may still come."""
    verdict = message.verdict() if message.settled or message.arrived_at is not None else None
    wire = message.wire if message.direction != "offline" else None  # it lay in the history meanwhile
    return MessageFate(message.direction, message.sequence, verdict, message.latency, wire)
