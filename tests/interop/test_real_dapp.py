"""The protocol's own dApp, in Node, with our wallet, over the engine."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from monitor.clock import SYSTEM_CLOCK, Arrivals
from monitor.deadlines import Deadlines
from monitor.pairs.participant import Participant
from monitor.relay.endpoint import EndpointProvider
from monitor.relay.target import Target
from monitor.session.crypto import Ecies
from monitor.session.request import SessionRequest
from monitor.session.store import FileStore
from monitor.session.wallet import Wallet
from monitor.vocabulary import Step
from monitor.wire.commands import Connect
from tests.interop.peer import WAIT, Peer
from tests.relays import BUILD_TIMEOUT, ENGINE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from monitor.errors import ProbeError
    from monitor.session import notices
    from tests.relays import Engine

pytestmark = [pytest.mark.required_counterpart(ENGINE), pytest.mark.timeout(BUILD_TIMEOUT)]


class Owner:
    """The `ParticipantObserver` of our wallet: keeps delivered payloads and errors."""

    def __init__(self) -> None:
        self.payloads: list[Any] = []
        self.errors: list[ProbeError] = []

    def delivered(self, side: str, notice: notices.MessageReceived, at: float) -> None:
        del side, at
        self.payloads.append(notice.payload)

    def on_error(self, side: str, error: ProbeError) -> None:
        del side
        self.errors.append(error)

    def _ignore(self, *_: object, **__: object) -> None: ...

    def admit_message(self, *_: object) -> bool:
        return True

    step_completed = phase = address_failed = certificate = sent = acked = received = ready_changed = dropped = _ignore


class OurWallet:
    """Our wallet on a file, restarted as often as wanted."""

    def __init__(self, url: str, path: Path) -> None:
        self._url, self._path = url, path
        self._clock = SYSTEM_CLOCK
        self.owner = Owner()
        self.wallet, self.end = self.make()

    def make(self) -> tuple[Wallet, Participant]:
        """A new client on the same store."""

        async def admit(_: float | None) -> None: ...

        clock = self._clock
        endpoint = EndpointProvider(
            target=lambda: Target(url=self._url),
            hello=lambda: Connect(name="relay-monitor", version="test"),
            admit=admit,
            postpone=lambda _: None,
            clock=clock,
            arrivals=Arrivals(clock),
            deadlines=Deadlines(clock),
            rng=random.Random(1),
            timeout=WAIT,
        )
        wallet = Wallet(store=FileStore(self._path), keys=Ecies(), clock=clock)
        self.wallet, self.end = wallet, Participant("wallet", wallet, endpoint, observer=self.owner, reconnect=None)
        return wallet, self.end

    async def until(self, done: Any, step: Step = Step.DELIVER) -> None:
        """Wait for something to come true of it."""
        await self.end.wait(done, self._clock.monotonic() + WAIT, step)


@pytest.fixture
async def ours(engine: Engine, tmp_path: Path) -> AsyncIterator[OurWallet]:
    ours = OurWallet(engine.url, tmp_path / "wallet.json")
    yield ours
    ours.end.close()


@pytest.fixture
async def theirs(engine: Engine) -> AsyncIterator[Peer]:
    async with await Peer.start("dapp.mjs", engine.url) as dapp:
        yield dapp


async def pair(ours: OurWallet, theirs: Peer, mode: str) -> None:
    """Pair as users do, the request going through the QR code's text."""
    theirs.tell(do="connect", mode=mode)
    request = SessionRequest.from_json((await theirs.event("session_request"))["request"])
    ours.end.do(lambda: ours.wallet.connect(SessionRequest.from_link(request.to_link())))
    if mode == "untrusted":
        await theirs.event("otp_required")
        assert ours.wallet.otp is not None
        theirs.tell(do="otp", otp=ours.wallet.otp)
    await ours.until(lambda: ours.end.ready, Step.HANDSHAKE)
    await theirs.event("connected")


@pytest.mark.parametrize("mode", ["trusted", "untrusted"])
async def test_ten_messages_go_each_way(ours: OurWallet, theirs: Peer, mode: str) -> None:
    await pair(ours, theirs, mode)
    for number in range(10):
        request = {"id": number, "method": "personal_sign", "params": ["0xé😀", number]}
        theirs.tell(do="send", payload=request)
        await ours.until(lambda number=number: len(ours.owner.payloads) > number)
        answer = {"id": number, "result": "0x" + "ab" * 65}
        ours.end.do(lambda answer=answer: ours.wallet.send_message(answer))  # type: ignore[misc]
        assert (await theirs.event("message"))["payload"] == answer
        assert ours.owner.payloads[number] == request
    assert len(ours.owner.payloads) == 10
    assert ours.owner.errors == []


async def test_a_wrong_code_is_refused_and_the_right_one_still_pairs(ours: OurWallet, theirs: Peer) -> None:
    theirs.tell(do="connect", mode="untrusted")
    request = SessionRequest.from_json((await theirs.event("session_request"))["request"])
    ours.end.do(lambda: ours.wallet.connect(request))
    await theirs.event("otp_required")
    right = ours.wallet.otp
    assert right is not None
    theirs.tell(do="otp", otp="000000" if right != "000000" else "111111")
    refused = await theirs.event("failed")
    assert (refused["did"], refused["code"]) == ("otp", "OTP_INCORRECT")
    theirs.tell(do="otp", otp=right)
    await theirs.event("connected")
    await ours.until(lambda: ours.end.ready, Step.HANDSHAKE)


async def test_a_wallet_that_was_away_gets_each_message_once_and_in_order(ours: OurWallet, theirs: Peer) -> None:
    await pair(ours, theirs, "trusted")
    assert ours.wallet.session is not None
    session = ours.wallet.session.id
    theirs.tell(do="send", payload={"id": "before"})
    await ours.until(lambda: len(ours.owner.payloads) == 1)
    ours.end.abort()
    for number in range(10):
        theirs.tell(do="send", payload={"id": number})
    for _ in range(11):
        await theirs.event("done")  # each was accepted by the relay, the one before included
    wallet, end = ours.make()
    end.do(lambda: wallet.resume(session))
    await ours.until(lambda: len(ours.owner.payloads) == 11, Step.RECOVER)
    ours.end.do(lambda: ours.wallet.send_message({"id": "back"}))
    assert (await theirs.event("message"))["payload"] == {"id": "back"}
    theirs.tell(do="send", payload={"id": "after"})
    await ours.until(lambda: len(ours.owner.payloads) == 12)
    assert [item["id"] for item in ours.owner.payloads] == ["before", *range(10), "after"]
