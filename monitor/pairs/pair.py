"""A dApp and a wallet with a session between them, and the account of every message they exchange.

The pair is where sending, receiving and judging meet: its ends report raw publications as their bytes arrive, the
ledger knows what was sent, and an exchange is ok only when both agree.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING

from monitor.errors import Obstacle, OwnFault
from monitor.pairs import payloads
from monitor.pairs.context import failure_of
from monitor.pairs.diagnosis import examine
from monitor.pairs.participant import End
from monitor.pairs.tracker import Account, Leg, fate
from monitor.pairs.waiting import both
from monitor.results import Exchange, Pairing
from monitor.session.dapp import Dapp
from monitor.session.store import KeyValueStore, MemoryStore, Session
from monitor.session.wallet import Wallet
from monitor.vocabulary import Outcome, Reason, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.pairs.context import Bench, Recorder
    from monitor.pairs.ledger import Message
    from monitor.relay.rate_limit import Permit
    from monitor.session.peer import Peer
    from monitor.wire.backoff import Backoff

_STEPS = {"request": Step.DELIVER, "response": Step.ANSWER, "offline": Step.PUBLISH}

_OVERTAKEN = "it came after a later one, and the wallet protocol drops what is older than what it has"


class Pair(Account):
    """One dApp, one wallet, one ledger.

    `reconnect` makes the ends come back by themselves (a standing pair); None leaves a drop as the failure it is.
    `on_change` is called when the pair becomes whole or stops being so. `permits` are what the first connects of dApp
    and wallet have of the relay's limits already.
    """

    def __init__(
        self,
        bench: Bench,
        recorder: Recorder,
        *,
        reconnect: Backoff | None = None,
        on_change: Callable[[], None] = lambda: None,
        permits: Sequence[Permit] = (),
    ) -> None:
        super().__init__(bench, recorder, standing=reconnect is not None, on_change=on_change)
        self.session: Session | None = None
        self._clock = bench.clock
        self._loop = asyncio.get_running_loop()
        self._reconnect = reconnect
        self._stores: dict[str, KeyValueStore] = {"dapp": MemoryStore(), "wallet": MemoryStore()}
        self._sessions: dict[str, str] = {}  # each side's own name for the session
        self._offline: list[Message] = []
        self._epoch: str | None = None  # of the stream that the messages to an absent wallet went into
        self._turn = bench.guest.turn()
        self._peers = self._make_peers()
        first, second, *_ = (*permits, None, None)
        self.dapp = self._make_end("dapp", self._peers[0], first)
        self.wallet = self._make_end("wallet", self._peers[1], second)

    @property
    def whole(self) -> bool:
        """Whether both ends stand on the session's channel."""
        return self.dapp.whole and self.wallet.whole

    @property
    def over(self) -> bool:
        """Whether the relay ended it for good: a close that says not to come back, a channel taken away."""
        return self.dapp.over or self.wallet.over

    @property
    def obstacle(self) -> Obstacle:
        """What keeps the pair from being whole."""
        obstacle = (
            next((end.obstacle for end in (self.dapp, self.wallet) if end.obstacle is not None), None)
            or next((Obstacle(end.step, Reason.SILENT) for end in (self.dapp, self.wallet) if end.step), None)
            or Obstacle(Step.HOLD, Reason.DISCONNECTED)
        )
        if not (self.dapp.client.queued or self.wallet.client.queued):
            return obstacle
        return Obstacle(obstacle.step, obstacle.reason, f"{obstacle.detail}; the next try waits for the limits")

    def _make_peers(self) -> tuple[Dapp, Wallet]:
        """New clients on the same stores, as after a restart."""
        keys, clock, history = self._bench.crypto, self._clock, self._bench.guest.history
        return (
            Dapp(store=self._stores["dapp"], keys=keys, clock=clock, history=history),
            Wallet(store=self._stores["wallet"], keys=keys, clock=clock, history=history),
        )

    def _make_end(self, side: str, peer: Peer, permit: Permit | None = None) -> End:
        self.members.add(peer.client_id)
        access = self._bench.access(side, self._turn, permit)
        return End(side, peer, access, ward=self, reconnect=self._reconnect)

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
            await wallet.wait(lambda: wallet.whole, deadline, Step.HANDSHAKE)
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
            await both(wallet_connects(), dapp.wait(lambda: dapp.whole, deadline, Step.HANDSHAKE))
        except Obstacle as raised:
            obstacle = raised
            if raised.reason is Reason.SILENT and wallet.published is not None:
                obstacle = wallet.published  # no offer comes that the relay did not take
            outcome = Outcome.ABORTED if isinstance(obstacle, OwnFault) else Outcome.FAILED
            pairing = Pairing(outcome=outcome, failure=failure_of(obstacle))
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
        """Let a new dApp client resume the session from its store. Raises `Obstacle`."""
        self.dapp.close()
        self.dapp = self._make_end("dapp", self._make_peers()[0])
        await self._resume(self.dapp, deadline)

    async def resume_wallet(self, deadline: float) -> None:
        """Let a new wallet client resume the session from its store. Raises `Obstacle`."""
        self.wallet.close()
        self.wallet = self._make_end("wallet", self._make_peers()[1])
        await self._resume(self.wallet, deadline)

    async def _resume(self, end: End, deadline: float) -> None:
        started = self._clock.monotonic()
        session_id = self._sessions[end.side]
        end.do(lambda: end.peer.resume(session_id))
        await end.wait(lambda: end.whole, deadline, Step.RESUME)
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

    def rest(self) -> None:
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
        legs: list[Leg] = []
        try:
            legs.append(self._begin(self.dapp, self.wallet, "request", request, intended, intended + timeout))
            asked = self._ended(legs[0], await legs[0].arrived)
            answer_at = asked + pause
            await asyncio.sleep(max(0.0, answer_at - self._clock.monotonic()))
            deadline = answer_at + timeout - (asked - intended)
            answer = payloads.response(identifier)
            legs.append(self._begin(self.wallet, self.dapp, "response", answer, answer_at, deadline))
            answered = self._ended(legs[1], await legs[1].arrived)
        except Obstacle as obstacle:
            self.recorder.fail(obstacle)
            await self.examine(obstacle, [legs[-1].message] if legs and legs[-1].message is not None else [])
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
            self.leg = None
            self._note(legs)

    async def cross(self, intended: float) -> None:
        """One request, without an answer: does a message cross at all? Raises `Obstacle`."""
        payload = payloads.request(self.recorder.run_id, 1)
        deadline = intended + self._bench.probe.timeout
        leg = self._begin(self.dapp, self.wallet, "request", payload, intended, deadline)
        try:
            self._ended(leg, await leg.arrived)
        finally:
            self.leg = None

    async def examine(self, obstacle: Obstacle, messages: list[Message]) -> None:
        """Look for messages that did not come, if that is the obstacle, and note what is found."""
        self.leg = None
        receiver = self.dapp if messages and messages[0].direction == "response" else self.wallet
        await examine(self._bench, self.recorder, receiver, self._turn, obstacle, messages)

    def _begin(
        self, sender: End, receiver: End, direction: str, payload: payloads.Payload, intended: float, deadline: float
    ) -> Leg:
        step = _STEPS[direction]
        if not sender.whole:
            obstacle = sender.obstacle or Obstacle(step, Reason.DISCONNECTED)
            raise Obstacle(step, obstacle.reason, obstacle.detail) if obstacle.step is Step.HOLD else obstacle
        # uvloop's timers count whole milliseconds and may fire early; a message is never sent before its time.
        leg = Leg(
            sender=sender,
            receiver=receiver,
            direction=direction,
            step=step,
            payload=payload,
            intended=min(intended, self._clock.monotonic()),
            deadline=deadline,
            arrived=self._loop.create_future(),
        )
        self.leg = leg
        if deadline < inf:
            self._bench.guest.deadlines.add(deadline, self)

        def send() -> None:
            self.queued[sender, sender.peer.send_message(payload)] = leg

        sender.do(send)
        return leg

    def _ended(self, leg: Leg, arrived: float) -> float:
        if arrived > leg.deadline:
            raise self._why(leg)
        self.recorder.mark(leg.receiver.side, leg.step, leg.intended, arrived)
        return arrived

    # What `deadlines.Deadlines` asks.

    def due(self) -> float | None:
        """When the message that is waited for is due; one to an absent wallet may take its time."""
        leg = self.leg
        return None if leg is None or leg.arrived.done() or leg.deadline == inf else leg.deadline

    def overdue(self) -> None:
        """A message's time is up, of the present leg or of one before it."""
        leg = self.leg
        if leg is not None and not leg.arrived.done() and leg.deadline <= self._clock.monotonic():
            leg.arrived.set_exception(self._why(leg))

    def _why(self, leg: Leg) -> Obstacle:  # noqa: PLR0911 - one answer a cause, the first that fits
        """The first cause of a message that did not come in time."""
        message = leg.message
        if message is None or not message.acked:
            if leg.sender.published is not None:
                return leg.sender.published
            return leg.sender.obstacle or Obstacle(Step.PUBLISH, Reason.SILENT, "no ack in time")
        if message.corrupted:
            return Obstacle(leg.step, Reason.CORRUPTED, "the bytes that came differ from those sent")
        if not leg.receiver.whole:
            cause = leg.receiver.obstacle
            return Obstacle(leg.step, Reason.DISCONNECTED, cause.detail if cause else "the receiver was not connected")
        if message.arrived_at is None:
            return Obstacle(leg.step, Reason.LOST, "acked, never delivered")
        if message.arrived_at > leg.deadline:
            return Obstacle(leg.step, Reason.TIMEOUT, "it came after its deadline")
        if message.overtaken:
            return Obstacle(leg.step, Reason.REORDERED, _OVERTAKEN)
        return Obstacle(leg.step, Reason.WRONG_PEER, "it came, and the wallet protocol did not accept it")

    def _note(self, legs: list[Leg]) -> None:
        self.tell_sent()
        for leg in legs:
            if (message := leg.message) is not None:
                self.recorder.fates.append(fate(message))
            if not leg.arrived.done():
                leg.arrived.cancel()
            elif not leg.arrived.cancelled():
                leg.arrived.exception()

    # Messages to an absent wallet.

    async def send_offline(self, count: int) -> list[str]:
        """Send `count` messages, each once the relay accepted the one before; returns their ids. Raises `Obstacle`."""
        self.received.clear()
        self._offline = []
        self._epoch = self.dapp.epochs.get(self.channel or "")
        identifiers = []
        deadline = self._clock.monotonic() + self._bench.probe.timeout
        for number in range(1, count + 1):
            now = self._clock.monotonic()
            payload = payloads.request(self.recorder.run_id, number)
            # When it must arrive is known once the wallet comes back: `due_by` says so.
            leg = self._begin(self.dapp, self.wallet, "offline", payload, now, inf)
            try:
                await self.dapp.wait(leg.accepted, deadline, Step.PUBLISH)
            finally:
                self.leg = None
                if leg.message is not None:
                    self._offline.append(leg.message)
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

    async def why_not_recovered(self) -> Obstacle:
        """The first cause why a resumed wallet did not get all that was sent to it, and an autopsy of what it lacks."""
        missing = [message for message in self._offline if message.arrived_at is None]
        obstacle = self._why_not_recovered(missing)
        await self.examine(obstacle, missing)
        return obstacle

    def _why_not_recovered(self, missing: list[Message]) -> Obstacle:
        if any(message.corrupted for message in self._offline):
            return Obstacle(Step.RECOVER, Reason.CORRUPTED, "the bytes that came differ from those sent")
        if missing:
            lack = f"{len(missing)} of {len(self._offline)} not in the history"
            if self._epoch not in {None, self.wallet.epochs.get(self.channel or "")}:
                return Obstacle(Step.RECOVER, Reason.EPOCH_CHANGED, f"{lack}, which began anew meanwhile")
            return Obstacle(Step.RECOVER, Reason.LOST, lack)
        if any(message.overtaken for message in self._offline):
            return Obstacle(Step.RECOVER, Reason.REORDERED, _OVERTAKEN)
        return Obstacle(Step.RECOVER, Reason.WRONG_PEER, "all came, and the wallet protocol did not accept them")
