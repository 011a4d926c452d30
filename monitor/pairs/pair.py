"""A dApp and a wallet with a session between them, and the account of every message they exchange.

The pair is where sending, receiving and judging meet: its ends report raw publications as their bytes arrive, the
ledger knows what was sent, and an exchange is ok only when both agree.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING

from monitor.errors import LocalError, ProbeError
from monitor.pairs import payloads
from monitor.pairs.context import failure_of
from monitor.pairs.diagnosis import examine
from monitor.pairs.participant import Participant
from monitor.pairs.tracker import DeliveryTracker, InFlightMessage, fate
from monitor.pairs.waiting import both
from monitor.results import Exchange, Pairing
from monitor.session.dapp import Dapp
from monitor.session.store import KeyValueStore, MemoryStore, Session
from monitor.session.wallet import Wallet
from monitor.vocabulary import Outcome, Reason, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.pairs.context import ProbeContext, RunRecorder
    from monitor.pairs.ledger import Message
    from monitor.relay.rate_limit import Permit
    from monitor.session.peer import Peer
    from monitor.wire.backoff import Backoff

_STEPS = {"request": Step.DELIVER, "response": Step.ANSWER, "offline": Step.PUBLISH}

_OVERTAKEN = "it came after a later one, and the wallet protocol drops what is older than what it has"


class Pair(DeliveryTracker):
    """One dApp, one wallet, one ledger.

    `reconnect` makes the ends come back by themselves (a standing pair); None leaves a drop as the failure it is.
    `on_change` is called when the pair becomes whole or stops being so. `permits` are what the first connects of dApp
    and wallet have of the relay's limits already.
    """

    def __init__(
        self,
        context: ProbeContext,
        recorder: RunRecorder,
        *,
        reconnect: Backoff | None = None,
        on_change: Callable[[], None] = lambda: None,
        permits: Sequence[Permit] = (),
    ) -> None:
        super().__init__(context, recorder, persistent=reconnect is not None, on_change=on_change)
        self.session: Session | None = None
        self._clock = context.clock
        self._loop = asyncio.get_running_loop()
        self._reconnect = reconnect
        self._stores: dict[str, KeyValueStore] = {"dapp": MemoryStore(), "wallet": MemoryStore()}
        self._sessions: dict[str, str] = {}  # each side's own name for the session
        self._offline: list[Message] = []
        self._epoch: str | None = None  # of the stream that the messages to an absent wallet went into
        self._turn = context.admission.endpoint_index()
        self._peers = self._make_peers()
        first, second, *_ = (*permits, None, None)
        self.dapp = self._make_end("dapp", self._peers[0], first)
        self.wallet = self._make_end("wallet", self._peers[1], second)

    @property
    def ready(self) -> bool:
        """Whether both ends stand on the session's channel."""
        return self.dapp.ready and self.wallet.ready

    @property
    def terminated(self) -> bool:
        """Whether the relay ended it for good: a close that says not to come back, a channel taken away."""
        return self.dapp.terminated or self.wallet.terminated

    @property
    def error(self) -> ProbeError:
        """What keeps the pair from being whole."""
        error = (
            next((end.error for end in (self.dapp, self.wallet) if end.error is not None), None)
            or next((ProbeError(end.step, Reason.SILENT) for end in (self.dapp, self.wallet) if end.step), None)
            or ProbeError(Step.HOLD, Reason.DISCONNECTED)
        )
        if not (self.dapp.client.awaiting_permit or self.wallet.client.awaiting_permit):
            return error
        return ProbeError(error.step, error.reason, f"{error.detail}; the next try waits for the limits")

    def _make_peers(self) -> tuple[Dapp, Wallet]:
        """New clients on the same stores, as after a restart."""
        keys, clock, history = self._bench.crypto, self._clock, self._bench.admission.history
        return (
            Dapp(store=self._stores["dapp"], keys=keys, clock=clock, history=history),
            Wallet(store=self._stores["wallet"], keys=keys, clock=clock, history=history),
        )

    def _make_end(self, side: str, peer: Peer, permit: Permit | None = None) -> Participant:
        self.members.add(peer.client_id)
        access = self._bench.endpoint(side, self._turn, permit)
        return Participant(side, peer, access, observer=self, reconnect=self._reconnect)

    # Pairing and resuming.

    async def pair(self) -> Pairing:
        """Pair the two anew, in trusted mode; what the relay did wrong is in the result.

        Timed from when the wallet was to start until both ends are connected. The time-out bounds all of it but the
        wallet's own delay.
        """
        probe, clock = self._bench.probe, self._clock
        started = clock.monotonic()
        deadline = started + probe.timeout
        dapp, wallet = self.dapp, self.wallet
        asking, answering = self._peers
        wallet_connected = started

        async def wallet_connects() -> None:
            nonlocal wallet_connected
            await wallet.wait(lambda: wallet.ready, deadline, Step.HANDSHAKE)
            wallet_connected = clock.monotonic()

        try:
            request = dapp.do(lambda: asking.connect(mode="trusted"))
            await dapp.wait(lambda: dapp.has_read(request.channel), deadline, Step.HANDSHAKE)
            started = clock.monotonic() + probe.wallet_delay
            if probe.wallet_delay:
                await asyncio.sleep(probe.wallet_delay)
                started = min(started, clock.monotonic())  # what a timer is late by counts; it may be early too
            deadline += probe.wallet_delay
            wallet.do(lambda: answering.connect(request))
            # The wallet first: until it has made its offer, the dApp waits for nothing that the relay owes it.
            await both(wallet_connects(), dapp.wait(lambda: dapp.ready, deadline, Step.HANDSHAKE))
        except ProbeError as raised:
            error = raised
            if raised.reason is Reason.SILENT and wallet.published is not None:
                error = wallet.published  # no offer comes that the relay did not take
            outcome = Outcome.ABORTED if isinstance(error, LocalError) else Outcome.FAILED
            pairing = Pairing(outcome=outcome, failure=failure_of(error))
        else:
            self.session = asking.session
            self.channel = self.session.channel if self.session is not None else None
            self._sessions = {end.side: end.peer.session.id for end in (dapp, wallet) if end.peer.session is not None}
            pairing = Pairing(
                outcome=Outcome.OK, seconds=clock.monotonic() - started, wallet_seconds=wallet_connected - started
            )
        self.recorder.mark("pair", Step.HANDSHAKE, started, clock.monotonic())
        return pairing

    async def resume_dapp(self, deadline: float) -> None:
        """Let a new dApp client resume the session from its store. Raises `ProbeError`."""
        self.dapp.close()
        self.dapp = self._make_end("dapp", self._make_peers()[0])
        await self._resume(self.dapp, deadline)

    async def resume_wallet(self, deadline: float) -> None:
        """Let a new wallet client resume the session from its store. Raises `ProbeError`."""
        self.wallet.close()
        self.wallet = self._make_end("wallet", self._make_peers()[1])
        await self._resume(self.wallet, deadline)

    async def _resume(self, end: Participant, deadline: float) -> None:
        started = self._clock.monotonic()
        session_id = self._sessions[end.side]
        end.do(lambda: end.peer.resume(session_id))
        await end.wait(lambda: end.ready, deadline, Step.RESUME)
        self.recorder.mark(end.side, Step.RESUME, started, self._clock.monotonic())

    def retire(self) -> None:
        """Leave: at once where every message came, else when the last one's horizon has passed.

        Only a pair that still listens can tell a late message from a lost one.
        """
        if next(self.ledger.awaited(), None) is None:
            self.close()
        else:
            self._bench.background(self._linger())

    async def _linger(self) -> None:
        try:
            while (horizon := self.ledger.next_horizon()) is not None:
                await asyncio.sleep(max(0.001, horizon - self._clock.monotonic()))
                self.judge()
        finally:
            self.close()

    def suspend(self) -> None:
        """Leave the relay, keeping the session in both stores for another run."""
        self.close()

    def close(self) -> None:
        """Leave now; every message not judged yet is judged as what it is."""
        self.dapp.close()
        self.wallet.close()
        self.queued.clear()
        self.publish_verdicts(self.ledger.settle())

    # Exchanges.

    async def exchange(self, intended: float, pause: float) -> None:
        """A request and its answer `pause` seconds later, booked with the recorder.

        `intended` is when the request should go out. The time-out bounds both legs together; the pause lies outside.
        """
        self.received.clear()
        request = payloads.request(self.recorder.run_id, self.sequence + 1)
        identifier = request["id"]
        timeout = self._bench.probe.timeout
        legs: list[InFlightMessage] = []
        try:
            legs.append(self._begin(self.dapp, self.wallet, "request", request, intended, intended + timeout))
            asked = self._ended(legs[0], await legs[0].arrived)
            answer_at = asked + pause
            await asyncio.sleep(max(0.0, answer_at - self._clock.monotonic()))
            deadline = answer_at + timeout - (asked - intended)
            answer = payloads.response(identifier)
            legs.append(self._begin(self.wallet, self.dapp, "response", answer, answer_at, deadline))
            answered = self._ended(legs[1], await legs[1].arrived)
        except ProbeError as error:
            self.recorder.fail(error)
            await self.examine(error, [legs[-1].message] if legs and legs[-1].message is not None else [])
        else:
            self.recorder.exchanges.append(
                Exchange(
                    outcome=Outcome.OK,
                    # From each leg's own intention: a timer that fired early sent it before the one asked for.
                    round_trip=(asked - legs[0].intended) + (answered - legs[1].intended),
                    wire_request=legs[0].message.wire if legs[0].message else None,
                    wire_response=legs[1].message.wire if legs[1].message else None,
                )
            )
        finally:
            self.in_flight = None
            self._note(legs)

    async def cross(self, intended: float) -> None:
        """One request, without an answer: does a message cross at all? Raises `ProbeError`."""
        payload = payloads.request(self.recorder.run_id, 1)
        deadline = intended + self._bench.probe.timeout
        in_flight = self._begin(self.dapp, self.wallet, "request", payload, intended, deadline)
        try:
            self._ended(in_flight, await in_flight.arrived)
        finally:
            self.in_flight = None

    async def examine(self, error: ProbeError, messages: list[Message]) -> None:
        """Look for messages that did not come, if that is the obstacle, and note what is found."""
        self.in_flight = None
        receiver = self.dapp if messages and messages[0].direction == "response" else self.wallet
        await examine(self._bench, self.recorder, receiver, self._turn, error, messages)

    def _begin(
        self,
        sender: Participant,
        receiver: Participant,
        direction: str,
        payload: payloads.Payload,
        intended: float,
        deadline: float,
    ) -> InFlightMessage:
        step = _STEPS[direction]
        if not sender.ready:
            error = sender.error or ProbeError(step, Reason.DISCONNECTED)
            raise ProbeError(step, error.reason, error.detail) if error.step is Step.HOLD else error
        # uvloop's timers count whole milliseconds and may fire early; a message is never sent before its time.
        in_flight = InFlightMessage(
            sender=sender,
            receiver=receiver,
            direction=direction,
            step=step,
            payload=payload,
            intended=min(intended, self._clock.monotonic()),
            deadline=deadline,
            arrived=self._loop.create_future(),
        )
        self.in_flight = in_flight
        if deadline < inf:
            self._bench.admission.deadlines.add(deadline, self)

        def send() -> None:
            self.queued[sender, sender.peer.send_message(payload)] = in_flight

        sender.do(send)
        return in_flight

    def _ended(self, in_flight: InFlightMessage, arrived: float) -> float:
        if arrived > in_flight.deadline:
            raise self._why(in_flight)
        self.recorder.mark(in_flight.receiver.side, in_flight.step, in_flight.intended, arrived)
        return arrived

    # What `deadlines.Deadlines` asks.

    def due(self) -> float | None:
        """When the message that is waited for is due; one to an absent wallet may take its time."""
        in_flight = self.in_flight
        return (
            None if in_flight is None or in_flight.arrived.done() or in_flight.deadline == inf else in_flight.deadline
        )

    def overdue(self) -> None:
        """A message's time is up, of the present leg or of one before it."""
        in_flight = self.in_flight
        if in_flight is not None and not in_flight.arrived.done() and in_flight.deadline <= self._clock.monotonic():
            in_flight.arrived.set_exception(self._why(in_flight))

    def _why(self, in_flight: InFlightMessage) -> ProbeError:  # noqa: PLR0911 - one answer a cause, the first that fits
        """The first cause of a message that did not come in time."""
        message = in_flight.message
        if message is None or not message.acked:
            if in_flight.sender.published is not None:
                return in_flight.sender.published
            return in_flight.sender.error or ProbeError(Step.PUBLISH, Reason.SILENT, "no ack in time")
        if message.corrupted:
            return ProbeError(in_flight.step, Reason.CORRUPTED, "the bytes that came differ from those sent")
        if not in_flight.receiver.ready:
            cause = in_flight.receiver.error
            return ProbeError(
                in_flight.step, Reason.DISCONNECTED, cause.detail if cause else "the receiver was not connected"
            )
        if message.arrived_at is None:
            return ProbeError(in_flight.step, Reason.LOST, "acked, never delivered")
        if message.arrived_at > in_flight.deadline:
            return ProbeError(in_flight.step, Reason.TIMEOUT, "it came after its deadline")
        if message.overtaken:
            return ProbeError(in_flight.step, Reason.REORDERED, _OVERTAKEN)
        return ProbeError(in_flight.step, Reason.WRONG_PEER, "it came, and the wallet protocol did not accept it")

    def _note(self, legs: list[InFlightMessage]) -> None:
        self.publish_sent()
        for in_flight in legs:
            if (message := in_flight.message) is not None:
                self.recorder.fates.append(fate(message))
            if not in_flight.arrived.done():
                in_flight.arrived.cancel()
            elif not in_flight.arrived.cancelled():
                in_flight.arrived.exception()

    # Messages to an absent wallet.

    async def send_offline(self, count: int) -> list[str]:
        """Send `count` messages, each once the relay accepted the one before, and return their ids.

        Raises `ProbeError`.
        """
        self.received.clear()
        self._offline = []
        self._epoch = self.dapp.epochs.get(self.channel or "")
        identifiers = []
        deadline = self._clock.monotonic() + self._bench.probe.timeout
        for number in range(1, count + 1):
            now = self._clock.monotonic()
            payload = payloads.request(self.recorder.run_id, number)
            # When it must arrive is known once the wallet comes back: `due_by` says so.
            in_flight = self._begin(self.dapp, self.wallet, "offline", payload, now, inf)
            try:
                await self.dapp.wait(in_flight.accepted, deadline, Step.PUBLISH)
            finally:
                self.in_flight = None
                if in_flight.message is not None:
                    self._offline.append(in_flight.message)
            identifiers.append(payload["id"])
        return identifiers

    def due_by(self, deadline: float) -> None:
        """The absent wallet is back: what was sent to it is due by `deadline`."""
        for message in self._offline:
            message.deadline = deadline
            message.horizon = deadline + self._bench.probe.timeout

    def note_offline(self) -> None:
        """Write what became of the messages to the absent wallet into the run; those never due are due soon."""
        now = self._clock.monotonic()
        for message in self._offline:
            if message.deadline == inf:
                message.deadline, message.horizon = now, now + self._bench.probe.timeout
            self.recorder.fates.append(fate(message))

    async def why_not_recovered(self) -> ProbeError:
        """The first cause why a resumed wallet did not get all that was sent to it, and an autopsy of what it lacks."""
        missing = [message for message in self._offline if message.arrived_at is None]
        error = self._why_not_recovered(missing)
        await self.examine(error, missing)
        return error

    def _why_not_recovered(self, missing: list[Message]) -> ProbeError:
        if any(message.corrupted for message in self._offline):
            return ProbeError(Step.RECOVER, Reason.CORRUPTED, "the bytes that came differ from those sent")
        if missing:
            lack = f"{len(missing)} of {len(self._offline)} not in the history"
            if self._epoch not in {None, self.wallet.epochs.get(self.channel or "")}:
                return ProbeError(Step.RECOVER, Reason.EPOCH_CHANGED, f"{lack}, which began anew meanwhile")
            return ProbeError(Step.RECOVER, Reason.LOST, lack)
        if any(message.overtaken for message in self._offline):
            return ProbeError(Step.RECOVER, Reason.REORDERED, _OVERTAKEN)
        return ProbeError(Step.RECOVER, Reason.WRONG_PEER, "all came, and the wallet protocol did not accept them")
