"""The account of a pair: what its ends report as they work, and the verdicts that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.errors import Obstacle
from monitor.pairs.ledger import Ledger, Message
from monitor.results import Disconnected, MessageFate, MessagesJudged, MessagesSent
from monitor.session.notices import MessageKey, MessageReceived
from monitor.vocabulary import Finding, Phase, Reason, Step, Verdict

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from monitor.pairs import payloads
    from monitor.pairs.context import Bench, Recorder
    from monitor.pairs.participant import End
    from monitor.session.actions import Publish
    from monitor.session.envelope import Envelope
    from monitor.wire.events import Publication


_ACK: Final = Phase.PUBLISH_ACK


@dataclass(slots=True, kw_only=True)
class Leg:
    """One message on its way from one end's application to the other's."""

    sender: End
    receiver: End
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


class Account:
    """What two ends report (`relay.ward.Ward`), booked with the present run's recorder and the pair's ledger.

    `standing`: the ends come back by themselves, so a drop is reported and waited out rather than a failure at once.
    `on_change` is called when an end becomes whole or stops being so.
    """

    def __init__(self, bench: Bench, recorder: Recorder, *, standing: bool, on_change: Callable[[], None]) -> None:
        self.recorder = recorder
        self.ledger = Ledger(remembered=bench.guest.history)
        self.channel: str | None = None  # the session's, once there is one
        self.members: set[str] = set()  # the client ids of the two ends
        # Ids of messages the application got without a leg that waits for them, in order, and when.
        self.received: list[tuple[str, float]] = []
        self.leg: Leg | None = None  # the message that is waited for
        self.queued: dict[tuple[End, int], Leg] = {}  # by message id: not sent yet, and no more than an outbox holds
        self.sequence = 0
        self._sent = 0  # messages, since this was told
        self._acks: list[float] = []  # seconds until the relay accepted a publish, since this was told
        self._bench = bench
        self._standing = standing
        self._on_change = on_change

    def tell_sent(self) -> None:
        """Publish how many messages went out since it was told last, and how soon the relay accepted them."""
        if self._sent or self._acks:
            bench = self._bench
            acks, self._acks = tuple(self._acks), []
            bench.publish(MessagesSent(bench.relay, bench.probe.name, self.recorder.run_id, self._sent, acks))
            self._sent = 0

    def judge(self) -> None:
        """Publish the verdicts on messages whose horizon has passed."""
        self.publish_verdicts(self.ledger.due(self._bench.clock.monotonic()))

    def publish_verdicts(self, messages: list[Message]) -> None:
        """Publish what became of messages that are settled; of one still under way nobody will know."""
        self.tell_sent()
        bench = self._bench
        now = bench.clock.monotonic()
        counts: dict[Verdict | None, int] = {}
        for message in messages:
            under_way = message.arrived_at is None and not message.damaged and message.horizon > now
            verdict = None if under_way else message.verdict()
            counts[verdict] = counts.get(verdict, 0) + 1
        for verdict, count in counts.items():
            bench.publish(MessagesJudged(bench.relay, bench.probe.name, self.recorder.run_id, verdict, count))

    # What the ends report (`relay.ward.Ward`).

    def mark(self, end: End, step: Step, started: float, ended: float) -> None:
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

    def sending(self, end: End, publish: Publish) -> bool:
        """A message is about to be sent; the first time, the ledger learns what to expect.

        Its run took a permit of the relay's limits for it; another try needs one of its own.
        """
        # By its id: when a relay is slow to accept, earlier messages, and tries of them, go out in later exchanges.
        leg = self.queued.pop((end, publish.message_id), None)
        if leg is None:
            return publish.key.channel != self.channel or self._bench.guest.messages.take()
        self.sequence += 1
        bench = self._bench
        horizon = max(leg.deadline, bench.clock.monotonic()) + bench.probe.timeout
        leg.message = Message(
            publish.key, publish.data, leg.direction, self.sequence, leg.intended, leg.deadline, horizon
        )
        self.ledger.expect(leg.message)
        self._sent += 1
        if not self._standing:
            self.tell_sent()
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
        leg = self.leg
        if message is None:
            self._misrouted(envelope)
        elif leg is not None and message is leg.message and message.damaged and not leg.arrived.done():
            leg.arrived.set_exception(
                Obstacle(leg.step, Reason.CORRUPTED, "the bytes that came differ from those sent")
            )

    def _misrouted(self, envelope: Envelope | None) -> None:
        """Count a message of some other session that came on this one's channel."""
        if envelope is None or envelope.client_id in self.members:
            return
        bench = self._bench
        bench.publish(
            MessagesJudged(
                relay=bench.relay,
                probe=bench.probe.name,
                run_id=self.recorder.run_id,
                verdict=Verdict.MISROUTED,
                pending=False,
            )
        )

    def delivered(self, end: End, notice: MessageReceived, at: float) -> None:
        """The wallet protocol gave a message to its application."""
        payload, key, reference_dropped = notice
        if reference_dropped:
            self.recorder.mark(end.side, Step.HISTORY, at, at, Finding.DROPPED_BY_REFERENCE_CLIENT.value)
        leg = self.leg
        if leg is None or end is not leg.receiver or leg.message is None or leg.message.key != key:
            message = self.ledger.find(key)
            came = at if message is None or message.arrived_at is None else message.arrived_at
            self.received.append((str(payload.get("id", "")) if isinstance(payload, dict) else "", came))
        elif leg.arrived.done():
            return
        elif payload == leg.payload:
            arrived = leg.message.arrived_at
            leg.arrived.set_result(at if arrived is None else arrived)
        else:
            leg.arrived.set_exception(Obstacle(leg.step, Reason.WRONG_PEER, "it decrypts, and says something else"))

    def trouble(self, end: End, obstacle: Obstacle) -> None:
        """Something went wrong at one end: what waits for it learns it now, unless the end comes back by itself."""
        leg = self.leg
        if leg is None or leg.arrived.done():
            return
        if end is leg.sender and obstacle.step is Step.PUBLISH:
            leg.arrived.set_exception(obstacle)
        elif not self._standing or obstacle.reason in {Reason.UNDECRYPTABLE, Reason.DENIED}:
            step = leg.step if obstacle.step in {Step.HOLD, Step.DELIVER} else obstacle.step
            leg.arrived.set_exception(Obstacle(step, obstacle.reason, obstacle.detail))

    def changed(self) -> None:
        """An end became whole, or stopped being so."""
        self._on_change()

    def dropped(self, code: int | None) -> None:
        """A connection or subscription that stood was taken away."""
        if self._standing:
            bench = self._bench
            recorder = self.recorder
            bench.publish(
                Disconnected(
                    relay=bench.relay,
                    probe=bench.probe.name,
                    run_id=recorder.run_id,
                    code=code,
                    pair=recorder.pair,
                )
            )


def fate(message: Message) -> MessageFate:
    """A message as its run saw it end: without a verdict while it may still come."""
    verdict = message.verdict() if message.settled or message.arrived_at is not None else None
    wire = message.wire if message.direction != "offline" else None  # it lay in the history meanwhile
    return MessageFate(message.direction, message.sequence, verdict, message.leg, wire)
