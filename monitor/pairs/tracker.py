"""Delivery tracking of one pair: what its participants report, and the verdicts that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.errors import ProbeError
from monitor.pairs.ledger import Message
from monitor.results import Disconnected, MessageFate, MessagesJudged, MessagesSent, UnjudgedMessage
from monitor.session.notices import MessageKey, MessageReceived
from monitor.vocabulary import Finding, Phase, Reason, Step, Verdict

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from monitor.pairs import payloads
    from monitor.pairs.context import ProbeContext, RunRecorder
    from monitor.pairs.ledger import Ledger
    from monitor.pairs.participant import Participant
    from monitor.session.actions import Publish
    from monitor.session.envelope import Envelope
    from monitor.wire.events import HistoryRead, Publication


_ACK: Final = Phase.PUBLISH_ACK
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
            # Whether it is lost, its channel's history shows.
            detail = f"acknowledged but not delivered within {self.seconds:.3g} s"
            return ProbeError(self.step, Reason.UNRECOVERED, detail)
        if message.arrived_at > self.deadline:
            return ProbeError(self.step, Reason.TIMEOUT, "it arrived after its deadline")
        if message.overtaken:
            return ProbeError(self.step, Reason.REORDERED, OVERTAKEN)
        return ProbeError(self.step, Reason.WRONG_PEER, "it arrived, and the wallet protocol did not accept it")


class DeliveryTracker:
    """The `ParticipantObserver` of a pair: records events with the present run and messages in the ledger.

    `persistent`: the participants reconnect, so a drop is reported and waited out instead of failing an exchange.
    `on_change` is called when a participant becomes ready or stops being so.
    """

    def __init__(
        self,
        context: ProbeContext,
        recorder: RunRecorder,
        ledger: Ledger,
        *,
        persistent: bool,
        on_change: Callable[[], None],
    ) -> None:
        self.recorder = recorder
        self.ledger = ledger
        self.channel: str | None = None  # the session's, once there is one
        self.members: set[str] = set()  # client ids of the two participants
        self.received_ids: list[tuple[str, float]] = []  # delivered while not awaited: id and time, in order
        self.awaited: InFlightMessage | None = None
        self.unsent: dict[tuple[str, int], InFlightMessage] = {}  # by side and message id; bounded by the outbox
        self.sequence = 0
        self._sent = 0  # messages since the last report
        self._acks: list[float] = []  # seconds from publish to ack, since the last report
        self._context = context
        self._persistent = persistent
        self._on_change = on_change

    def publish_sent(self) -> None:
        """Publish the number of messages sent since the last call, and the times of their acks."""
        if self._sent or self._acks:
            context = self._context
            acks, self._acks = tuple(self._acks), []
            context.publish(MessagesSent(context.relay, context.probe.name, self.recorder.run_id, self._sent, acks))
            self._sent = 0

    def judge(self) -> None:
        """Publish the verdicts on messages whose horizon has passed."""
        self._publish_verdicts(self.ledger.due(self._context.clock.monotonic()))

    def close(self) -> None:
        """Publish the verdicts on all messages: no more can arrive."""
        self.unsent.clear()
        self._publish_verdicts(self.ledger.judge_all())

    def discard_unsent(self, side: str) -> None:
        """Forget the messages that a client, which is gone, had still to send."""
        self.unsent = {key: message for key, message in self.unsent.items() if key[0] != side}

    def _publish_verdicts(self, messages: list[Message]) -> None:
        self.publish_sent()
        context = self._context
        now = context.clock.monotonic()
        counts: dict[Verdict | None, int] = {}
        since: dict[Verdict | None, float] = {}
        after_run: dict[Verdict | None, list[UnjudgedMessage]] = {}
        for message in messages:
            # The fate of a message that may still arrive remains unknown.
            undecided = message.arrived_at is None and not message.damaged and message.horizon > now
            verdict = None if undecided else message.verdict()
            counts[verdict] = counts.get(verdict, 0) + 1
            since[verdict] = min(since.get(verdict, now), message.intended)
            if message.unjudged_in:
                unjudged = UnjudgedMessage(
                    message.unjudged_in, message.direction, message.sequence, _note(message, verdict, now)
                )
                if not self.recorder.judge(unjudged, verdict):
                    after_run.setdefault(verdict, []).append(unjudged)
        for verdict, count in counts.items():
            context.publish(
                MessagesJudged(
                    relay=context.relay,
                    probe=context.probe.name,
                    run_id=self.recorder.run_id,
                    verdict=verdict,
                    messages=count,
                    since=since[verdict],
                    until=now,
                    after_run=tuple(after_run.get(verdict, ())),
                )
            )

    # ParticipantObserver.

    def step_completed(self, side: str, step: Step, started: float, ended: float) -> None:
        """Record a step in the timeline."""
        self.recorder.mark(side, step, started, ended)

    def phase(self, phase: Phase, seconds: float) -> None:
        """Publish a phase; the frequent acks of a persistent pair are published together."""
        if phase is _ACK and self._persistent:
            self._acks.append(seconds)
        else:
            self.recorder.phase(phase, seconds)

    def address_failed(self, family: str) -> None:
        """Publish that an address could not be reached."""
        self.recorder.address_failed(family)

    def certificate(self, not_after: float) -> None:
        """Publish when the relay's certificate expires."""
        self.recorder.certificate(not_after)

    def admit_message(self, side: str, publish: Publish) -> bool:
        """Return whether a message may be sent; at its first attempt, enter it in the ledger.

        The run acquired a permit of the relay's rate limit for the first attempt; each further one needs its own.
        """
        # By its id: if a relay is slow to accept, earlier messages and retries are sent during later exchanges.
        in_flight = self.unsent.pop((side, publish.message_id), None)
        if in_flight is None:
            return publish.key.channel != self.channel or self._context.admission.messages.try_acquire()
        self.sequence += 1
        context = self._context
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
        if not self._persistent:
            self.publish_sent()
        return True

    def sent(self, publish: Publish, at: float) -> None:
        """Note that the bytes of a message were handed to the socket."""
        self.ledger.published(publish.key, at)

    def acked(self, publish: Publish) -> None:
        """Note that the relay accepted a message."""
        self.ledger.acked(publish.key, self._context.clock.monotonic())

    def received(self, envelope: Envelope | None, publication: Publication, *, live: bool) -> None:
        """Match a raw publication with the messages that were sent, before any de-duplication."""
        channel, data, offset, at = publication
        if channel != self.channel:
            return  # the handshake, which the pairing covers
        if envelope is None:
            message = self.ledger.garbled(channel, data)
        else:
            message = self.ledger.arrived(
                MessageKey(channel, envelope.client_id, envelope.nonce), data, offset, at, live=live
            )
        awaited = self.awaited
        if message is None:
            self._report_misrouted(envelope)
        elif awaited is not None and message is awaited.message and message.damaged and not awaited.arrived.done():
            awaited.arrived.set_exception(ProbeError(awaited.step, Reason.CORRUPTED, CORRUPTED))

    def history_read(self, side: str, event: HistoryRead) -> None:
        """Note which of the messages to a side its channel's history has."""
        publications, position = event.publications, event.position
        complete = position is None or not publications or publications[-1].offset >= position.offset
        directions = {"response"} if side == "dapp" else {"request", "offline"}
        data = {publication.data for publication in publications if isinstance(publication.data, str)}
        self.ledger.history_read(event.channel, directions, data, event.at - event.took, complete=complete)

    def _report_misrouted(self, envelope: Envelope | None) -> None:
        """Count a message of another session that arrived on this session's channel."""
        if envelope is None or envelope.client_id in self.members:
            return
        context = self._context
        context.publish(
            MessagesJudged(
                relay=context.relay,
                probe=context.probe.name,
                run_id=self.recorder.run_id,
                verdict=Verdict.MISROUTED,
                pending=False,
            )
        )

    def delivered(self, side: str, notice: MessageReceived, at: float) -> None:
        """Complete the awaited message, or note one that was not awaited."""
        payload, key, reference_dropped = notice
        if reference_dropped:
            self.recorder.mark(side, Step.HISTORY, at, at, Finding.DROPPED_BY_REFERENCE_CLIENT.value)
        awaited = self.awaited
        if awaited is None or side != awaited.receiver.side or awaited.message is None or awaited.message.key != key:
            message = self.ledger.find(key)
            arrived_at = at if message is None or message.arrived_at is None else message.arrived_at
            identifier = str(payload.get("id", "")) if isinstance(payload, dict) else ""
            self.received_ids.append((identifier, arrived_at))
        elif awaited.arrived.done():
            return
        elif payload == awaited.payload:
            arrived = awaited.message.arrived_at
            awaited.arrived.set_result(at if arrived is None else arrived)
        else:
            awaited.arrived.set_exception(
                ProbeError(awaited.step, Reason.WRONG_PEER, "the decrypted payload differs from the one sent")
            )

    def on_error(self, side: str, error: ProbeError) -> None:
        """Fail the awaited message, unless the participant recovers by itself."""
        self.recorder.log("debug", "error of a participant", side=side, error=error)
        awaited = self.awaited
        if awaited is None or awaited.arrived.done():
            return
        if side == awaited.sender.side and error.step is Step.PUBLISH:
            awaited.arrived.set_exception(error)
        elif not self._persistent or error.reason in {Reason.UNDECRYPTABLE, Reason.DENIED}:
            step = awaited.step if error.step in {Step.HOLD, Step.DELIVER} else error.step
            awaited.arrived.set_exception(error.moved(step))

    def ready_changed(self) -> None:
        """Pass on that a participant became ready, or is not ready any more."""
        self._on_change()

    def dropped(self, code: int | None) -> None:
        """Publish the loss of a persistent connection or subscription."""
        self.recorder.log("debug", "connection or subscription lost", code=code)
        if self._persistent:
            context = self._context
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


def fate(message: Message, recorder: RunRecorder) -> MessageFate:
    """Return the state of a message at the end of its run: without a verdict while it may still arrive."""
    verdict = message.verdict() if message.judged or message.arrived_at is not None else None
    if verdict is None:
        message.unjudged_in = recorder.run_id
    wire = message.wire if message.direction != "offline" else None  # the time in the history is not wire latency
    sent = message.intended - recorder.started
    return MessageFate(message.direction, message.sequence, verdict, message.latency, wire, sent=sent)


def _note(message: Message, verdict: Verdict | None, now: float) -> str:
    """Say when a message arrived that arrived after its run, or why it has no verdict."""
    if verdict is None:
        return "not judged: the pair was closed before it had to arrive"
    if message.latency is not None:
        return f"arrived {message.latency:.3g} s after it was to be sent"
    return f"judged {now - message.intended:.3g} s after it was to be sent"
