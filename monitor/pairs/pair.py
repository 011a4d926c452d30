"""A dApp and a wallet with a session between them: pairing, resuming, exchanges."""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING, Final, TypeVar

from monitor.clock import UnsteppedClock
from monitor.errors import LocalError, ProbeError
from monitor.pairs import payloads
from monitor.pairs.context import failure_of
from monitor.pairs.diagnosis import diagnose
from monitor.pairs.ledger import Ledger
from monitor.pairs.participant import Participant
from monitor.pairs.tracker import DeliveryTracker, InFlightMessage, fate
from monitor.pairs.waiting import is_withheld, wait_for_both
from monitor.results import Exchange, Pairing, Untried
from monitor.session.dapp import Dapp
from monitor.session.store import KeyValueStore, MemoryStore
from monitor.session.wallet import Wallet
from monitor.vocabulary import Outcome, Reason, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.pairs.context import ProbeContext, RunRecorder
    from monitor.pairs.ledger import Message
    from monitor.relay.rate_limit import Permit
    from monitor.session.peer import Peer
    from monitor.wire.backoff import Backoff

P = TypeVar("P", Dapp, Wallet)

_STEPS: Final = {"request": Step.DELIVER, "response": Step.ANSWER, "offline": Step.PUBLISH}


class Pair:
    """One dApp and one wallet with the tracker of their messages.

    `reconnect` makes the participants come back after a drop (a persistent pair); None leaves a drop a failure.
    `on_change` is called when a participant becomes ready or stops being so. `permits` are permits of the relay's rate
    limit for the first connects of dApp and wallet. `ledger` replaces the default one.
    """

    def __init__(
        self,
        context: ProbeContext,
        recorder: RunRecorder,
        *,
        reconnect: Backoff | None = None,
        on_change: Callable[[], None] = lambda: None,
        permits: Sequence[Permit] = (),
        ledger: Ledger | None = None,
    ) -> None:
        self.pairing_error: ProbeError | None = None
        self.context = context
        self.tracker = DeliveryTracker(
            context,
            recorder,
            ledger or Ledger(remembered=context.admission.history),
            persistent=reconnect is not None,
            on_change=on_change,
        )
        self._clock = context.clock
        self._session_clock = UnsteppedClock(context.clock)
        self._loop = asyncio.get_running_loop()
        self._reconnect = reconnect
        self._stores: dict[str, KeyValueStore] = {"dapp": MemoryStore(), "wallet": MemoryStore()}
        self._sessions: dict[str, str] = {}  # session id by side; each side has its own
        self._endpoint_index = context.next_endpoint()
        self._peers = self._new_peer(Dapp, "dapp"), self._new_peer(Wallet, "wallet")
        first, second, *_ = (*permits, None, None)
        self.dapp = self._new_participant("dapp", self._peers[0], first)
        self.wallet = self._new_participant("wallet", self._peers[1], second)

    @property
    def recorder(self) -> RunRecorder:
        """The recorder of the present run."""
        return self.tracker.recorder

    @recorder.setter
    def recorder(self, recorder: RunRecorder) -> None:
        self.tracker.recorder = recorder

    @property
    def ready(self) -> bool:
        """True while both participants are subscribed to the session's channel."""
        return self.dapp.ready and self.wallet.ready

    @property
    def terminated(self) -> bool:
        """True if a participant will not come back: the relay forbade a reconnect, or revoked the channel."""
        return self.dapp.terminated or self.wallet.terminated

    @property
    def error(self) -> ProbeError:
        """Why the pair is not ready."""
        members = (self.dapp, self.wallet)
        error = (
            next((member.error for member in members if member.error is not None), None)
            or next((ProbeError(member.step, Reason.SILENT) for member in members if member.step), None)
            or ProbeError(Step.HOLD, Reason.DISCONNECTED)
        )
        if not any(member.client.awaiting_permit for member in members):
            return error
        return error.moved(error.step, f"{error.detail}; the next attempt waits for the rate limit")

    @property
    def untried(self) -> Untried:
        """Why nothing is tried over the pair while it is not ready."""
        away = [member.client for member in (self.dapp, self.wallet) if not member.ready]
        failed = [client.failed_at for client in away if client.failed_at is not None]
        withheld = isinstance(self.error, LocalError) or any(is_withheld(client) for client in away)
        return Untried(failed_at=max(failed, default=None), withheld=withheld)

    def _new_peer(self, kind: type[P], side: str) -> P:
        """Return a new peer on the side's store, as after a restart of the application."""
        context = self.context
        store, history = self._stores[side], context.admission.history
        return kind(store=store, keys=context.crypto, clock=self._session_clock, history=history)

    def _new_participant(self, side: str, peer: Peer, permit: Permit | None = None) -> Participant:
        self.tracker.members.add(peer.client_id)
        endpoint = self.context.endpoint(side, self._endpoint_index, permit)
        return Participant(side, peer, endpoint, observer=self.tracker, reconnect=self._reconnect)

    # Pairing and resuming.

    async def pair(self) -> Pairing:
        """Pair dApp and wallet in trusted mode. What the relay did wrong is in the result; raises nothing for it.

        Timed from the wallet's intended start until both are connected. The timeout covers everything but the wallet's
        configured delay.
        """
        probe, clock = self.context.probe, self._clock
        started = clock.monotonic()
        deadline = started + probe.timeout
        dapp, wallet = self.dapp, self.wallet
        dapp_peer, wallet_peer = self._peers
        wallet_connected = started

        async def wallet_connects() -> None:
            nonlocal wallet_connected
            await wallet.wait(lambda: wallet.ready, deadline, Step.HANDSHAKE)
            wallet_connected = clock.monotonic()

        try:
            request = dapp.do(lambda: dapp_peer.connect(mode="trusted"))
            await dapp.wait(lambda: dapp.has_read(request.channel), deadline, Step.HANDSHAKE)
            started = clock.monotonic() + probe.wallet_delay
            if probe.wallet_delay:
                await asyncio.sleep(probe.wallet_delay)
                started = min(started, clock.monotonic())  # a late timer counts; an early one is possible too
            deadline += probe.wallet_delay
            wallet.do(lambda: wallet_peer.connect(request))
            # The wallet first: until it has made its offer, the relay owes the dApp nothing.
            await wait_for_both(wallet_connects(), dapp.wait(lambda: dapp.ready, deadline, Step.HANDSHAKE))
        except ProbeError as raised:
            error = raised
            if raised.reason is Reason.SILENT and wallet.publish_error is not None:
                error = wallet.publish_error  # the relay refused the offer that the dApp waited for
            self.pairing_error = error
            outcome = Outcome.ABORTED if isinstance(error, LocalError) else Outcome.FAILED
            pairing = Pairing(outcome=outcome, failure=failure_of(error))
        else:
            self.tracker.channel = dapp_peer.session.channel if dapp_peer.session is not None else None
            sessions = {item.side: item.peer.session for item in (dapp, wallet)}
            self._sessions = {side: session.id for side, session in sessions.items() if session is not None}
            seconds = clock.monotonic() - started
            pairing = Pairing(outcome=Outcome.OK, seconds=seconds, wallet_seconds=wallet_connected - started)
        self.recorder.mark("pair", Step.HANDSHAKE, started, clock.monotonic())
        return pairing

    async def resume(self, deadline: float) -> None:
        """Resume the session with a new dApp client and a new wallet client at once. Raises `ProbeError`."""
        await wait_for_both(self.resume_dapp(deadline), self.resume_wallet(deadline))

    async def resume_dapp(self, deadline: float) -> None:
        """Resume the session with a new dApp client on the old one's store. Raises `ProbeError`."""
        self.dapp.close()
        self.dapp = self._new_participant("dapp", self._new_peer(Dapp, "dapp"))
        await self._resume(self.dapp, deadline)

    async def resume_wallet(self, deadline: float) -> None:
        """Resume the session with a new wallet client on the old one's store. Raises `ProbeError`."""
        self.wallet.close()
        self.wallet = self._new_participant("wallet", self._new_peer(Wallet, "wallet"))
        await self._resume(self.wallet, deadline)

    async def _resume(self, participant: Participant, deadline: float) -> None:
        started = self._clock.monotonic()
        self.tracker.discard_unsent(participant.side)
        session_id = self._sessions[participant.side]
        participant.do(lambda: participant.peer.resume(session_id))
        await participant.wait(lambda: participant.ready, deadline, Step.RESUME)
        self.recorder.mark(participant.side, Step.RESUME, started, self._clock.monotonic())

    def retire(self) -> None:
        """Close the pair once no message is outstanding: now, or after the horizon of the last one.

        Only a pair that is still connected can tell a late message from a lost one.
        """
        if next(self.tracker.ledger.outstanding(), None) is None:
            self.close()
        else:
            self.context.background(self._linger())

    async def _linger(self) -> None:
        ledger = self.tracker.ledger
        try:
            while (horizon := ledger.next_horizon()) is not None:
                await asyncio.sleep(max(0.001, horizon - self._clock.monotonic()))
                self.tracker.judge()
        finally:
            self.close()

    def close(self) -> None:
        """Disconnect now and judge every message. The session stays in both stores and can be resumed."""
        self.dapp.close()
        self.wallet.close()
        self.tracker.close()

    # Exchanges.

    async def exchange(self, intended: float, pause: float) -> None:
        """Make one exchange, a request and its response `pause` seconds later, and record it.

        `intended` is when the request is to be sent. The timeout covers both messages together, without the pause.
        """
        tracker, recorder = self.tracker, self.tracker.recorder
        tracker.received_ids.clear()
        request = payloads.request(recorder.run_id, tracker.sequence + 1)
        identifier = request["id"]
        timeout = self.context.probe.timeout
        sent: list[InFlightMessage] = []
        try:
            sent.append(self.send("request", request, intended, intended + timeout))
            requested = self._complete(sent[0], await sent[0].arrived)
            respond_at = requested + pause
            await asyncio.sleep(max(0.0, respond_at - self._clock.monotonic()))
            deadline = respond_at + timeout - (requested - intended)
            sent.append(self.send("response", payloads.response(identifier), respond_at, deadline))
            responded = self._complete(sent[1], await sent[1].arrived)
        except ProbeError as error:
            if sent:
                failed = sent[-1]
                error.noticed_by((failed.sender if error.step is Step.PUBLISH else failed.receiver).side)
            recorder.fail(error, since=sent[-1].intended if sent else intended)
            message = sent[-1].message if sent else None
            await self.diagnose(error, [message] if message is not None else [])
            if error.reason is Reason.UNRECOVERED and message is not None and message.in_history is False:
                recorder.refine(Reason.LOST)
        else:
            recorder.exchanges.append(
                Exchange(
                    outcome=Outcome.OK,
                    # From each message's own intended time: an early timer sends before `intended`.
                    round_trip=(requested - sent[0].intended) + (responded - sent[1].intended),
                    wire_request=sent[0].message.wire if sent[0].message else None,
                    wire_response=sent[1].message.wire if sent[1].message else None,
                    ended=responded - recorder.started,
                )
            )
        finally:
            tracker.awaited = None
            self._record_fates(sent)

    async def request(self, intended: float) -> None:
        """Deliver one request without a response. Raises `ProbeError`."""
        payload = payloads.request(self.tracker.recorder.run_id, 1)
        message = self.send("request", payload, intended, intended + self.context.probe.timeout)
        try:
            self._complete(message, await message.arrived)
        finally:
            self.tracker.awaited = None

    async def diagnose(self, error: ProbeError, messages: list[Message]) -> None:
        """Record in the timeline why `messages` did not arrive, if `error` is a loss."""
        self.tracker.awaited = None
        receiver = self.dapp if messages and messages[0].direction == "response" else self.wallet
        await diagnose(self.context, self.tracker.recorder, receiver, self._endpoint_index, error, messages)

    def send(self, direction: str, payload: payloads.Payload, intended: float, deadline: float) -> InFlightMessage:
        """Send one message, which the tracker then awaits. Raises `ProbeError` if the sender is not ready."""
        message = self._new_message(direction, payload, intended, deadline)
        sender = message.sender
        if not sender.ready:
            error = sender.error or ProbeError(message.step, Reason.DISCONNECTED)
            raise error.moved(message.step) if error.step is Step.HOLD else error
        self.tracker.awaited = message
        if deadline < inf:
            self.context.admission.deadlines.add(deadline, self)
        self._submit(message)
        return message

    def resend(self, direction: str, timeout: float) -> InFlightMessage | None:
        """Send one message in `direction`, to arrive within `timeout` seconds, beside the exchange that is under way.

        No exchange awaits it, and it is judged like any other. None if the pair is not ready or the rate limit leaves
        no permit.
        """
        if not self.ready or not self.context.admission.messages.try_acquire():
            return None
        now = self._clock.monotonic()
        request = payloads.request(f"{self.tracker.recorder.run_id}/again", self.tracker.sequence + 1)
        payload = payloads.response(request["id"]) if direction == "response" else request
        message = self._new_message(direction, payload, now, now + timeout)
        try:
            self._submit(message)
        except ProbeError:
            return None
        return message

    def _new_message(
        self, direction: str, payload: payloads.Payload, intended: float, deadline: float
    ) -> InFlightMessage:
        sender, receiver = (self.wallet, self.dapp) if direction == "response" else (self.dapp, self.wallet)
        return InFlightMessage(
            sender=sender,
            receiver=receiver,
            direction=direction,
            step=_STEPS[direction],
            payload=payload,
            # uvloop's timers have a resolution of 1 ms and may fire early.
            intended=min(intended, self._clock.monotonic()),
            deadline=deadline,
            arrived=self._loop.create_future(),
        )

    def _submit(self, message: InFlightMessage) -> None:
        sender = message.sender

        def send() -> None:
            self.tracker.unsent[sender.side, sender.peer.send_message(message.payload)] = message

        sender.do(send)

    def _complete(self, message: InFlightMessage, arrived: float) -> float:
        if arrived > message.deadline:
            raise message.deadline_error()
        self.tracker.recorder.mark(message.receiver.side, message.step, message.intended, arrived)
        return arrived

    def _record_fates(self, sent: list[InFlightMessage]) -> None:
        self.tracker.publish_sent()
        for item in sent:
            if item.message is not None:
                self.tracker.recorder.fates.append(fate(item.message, self.tracker.recorder))
            if not item.arrived.done():
                item.arrived.cancel()
            elif not item.arrived.cancelled():
                item.arrived.exception()  # retrieved, so that asyncio does not log it

    # deadlines.Waiter.

    def due(self) -> float | None:
        """Return the deadline of the awaited message; None for a message to an absent wallet, which has none."""
        message = self.tracker.awaited
        return None if message is None or message.arrived.done() or message.deadline == inf else message.deadline

    def overdue(self) -> None:
        """Fail the awaited message if its deadline has passed."""
        message = self.tracker.awaited
        if message is not None and not message.arrived.done() and message.deadline <= self._clock.monotonic():
            message.arrived.set_exception(message.deadline_error())


async def pair_up(
    context: ProbeContext,
    recorder: RunRecorder,
    *,
    reconnect: Backoff | None = None,
    on_change: Callable[[], None] = lambda: None,
    permits: Sequence[Permit] = (),
    ledger: Ledger | None = None,
) -> Pair:
    """Return a new pair, paired; the arguments are those of `Pair`. The pairing is recorded with `recorder`.

    Raises `ProbeError` if the pairing failed; the pair is closed then.
    """
    pair = Pair(context, recorder, reconnect=reconnect, on_change=on_change, permits=permits, ledger=ledger)
    try:
        recorder.pairing = await pair.pair()
    except BaseException:
        pair.close()
        raise
    if pair.pairing_error is not None:
        pair.close()
        raise pair.pairing_error
    return pair
