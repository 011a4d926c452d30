"""The protocol's own dApp, in Node, with the monitor's wallet, over each kind of relay."""

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
from tests.interop.node_program import TIMEOUT, NodeProgram

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from monitor.errors import ProbeError
    from monitor.session import notices
    from monitor.wire.events import HistoryRead


class RecordingObserver:
    """A `ParticipantObserver` that records delivered payloads and errors."""

    def __init__(self) -> None:
        self.payloads: list[Any] = []
        self.errors: list[ProbeError] = []

    def delivered(self, side: str, notice: notices.MessageReceived, at: float) -> None:
        del side, at
        self.payloads.append(notice.payload)

    def history_read(self, side: str, event: HistoryRead) -> None:
        del side, event

    def on_error(self, side: str, error: ProbeError) -> None:
        del side
        self.errors.append(error)

    def _ignore(self, *_: object, **__: object) -> None: ...

    def admit_message(self, *_: object) -> bool:
        return True

    step_completed = phase = address_failed = certificate = sent = acked = received = ready_changed = dropped = _ignore


class WalletPeer:
    """The monitor's wallet on a file, which can be restarted."""

    def __init__(self, url: str, path: Path) -> None:
        self._url, self._path = url, path
        self._clock = SYSTEM_CLOCK
        self.observer = RecordingObserver()
        self.wallet, self.participant = self.restart()

    def restart(self) -> tuple[Wallet, Participant]:
        """Create a new client on the same store."""

        async def admit(_: float | None) -> None: ...

        async def target() -> Target:
            return Target(url=self._url)

        async def hello() -> Connect:
            return Connect(name="relay-monitor", version="test")

        clock = self._clock
        endpoint = EndpointProvider(
            target=target,
            hello=hello,
            admit=admit,
            postpone=lambda _: None,
            clock=clock,
            arrivals=Arrivals(clock),
            deadlines=Deadlines(clock),
            rng=random.Random(1),
            timeout=TIMEOUT,
        )
        wallet = Wallet(store=FileStore(self._path), keys=Ecies(), clock=clock)
        self.wallet = wallet
        self.participant = Participant("wallet", wallet, endpoint, observer=self.observer, reconnect=None)
        return wallet, self.participant

    async def until(self, done: Any, step: Step = Step.DELIVER) -> None:
        """Wait until `done` is true."""
        await self.participant.wait(done, self._clock.monotonic() + TIMEOUT, step)


@pytest.fixture
async def peer(relay_url: str, tmp_path: Path) -> AsyncIterator[WalletPeer]:
    peer = WalletPeer(relay_url, tmp_path / "wallet.json")
    yield peer
    peer.participant.close()


@pytest.fixture
async def dapp(relay_url: str) -> AsyncIterator[NodeProgram]:
    async with await NodeProgram.start("dapp.mjs", relay_url) as dapp:
        yield dapp


async def pair(peer: WalletPeer, dapp: NodeProgram, mode: str) -> None:
    """Pair with the request as the link of the QR code."""
    dapp.send(do="connect", mode=mode)
    request = SessionRequest.from_json((await dapp.event("session_request"))["request"])
    peer.participant.do(lambda: peer.wallet.connect(SessionRequest.from_link(request.to_link())))
    if mode == "untrusted":
        await dapp.event("otp_required")
        assert peer.wallet.otp is not None
        dapp.send(do="otp", otp=peer.wallet.otp)
    await peer.until(lambda: peer.participant.ready, Step.HANDSHAKE)
    await dapp.event("connected")


@pytest.mark.parametrize("mode", ["trusted", "untrusted"])
async def test_ten_messages_are_delivered_in_each_direction(peer: WalletPeer, dapp: NodeProgram, mode: str) -> None:
    await pair(peer, dapp, mode)
    for number in range(10):
        request = {"id": number, "method": "personal_sign", "params": ["0xé😀", number]}
        dapp.send(do="send", payload=request)
        await peer.until(lambda number=number: len(peer.observer.payloads) > number)
        response = {"id": number, "result": "0x" + "ab" * 65}
        peer.participant.do(lambda response=response: peer.wallet.send_message(response))  # type: ignore[misc]
        assert (await dapp.event("message"))["payload"] == response
        assert peer.observer.payloads[number] == request
    assert len(peer.observer.payloads) == 10
    assert peer.observer.errors == []


async def test_a_wrong_code_is_rejected_and_the_correct_one_pairs(peer: WalletPeer, dapp: NodeProgram) -> None:
    dapp.send(do="connect", mode="untrusted")
    request = SessionRequest.from_json((await dapp.event("session_request"))["request"])
    peer.participant.do(lambda: peer.wallet.connect(request))
    await dapp.event("otp_required")
    correct = peer.wallet.otp
    assert correct is not None
    dapp.send(do="otp", otp="000000" if correct != "000000" else "111111")
    refused = await dapp.event("failed")
    assert (refused["did"], refused["code"]) == ("otp", "OTP_INCORRECT")
    dapp.send(do="otp", otp=correct)
    await dapp.event("connected")
    await peer.until(lambda: peer.participant.ready, Step.HANDSHAKE)


async def test_a_restarted_wallet_receives_each_missed_message_once_and_in_order(
    peer: WalletPeer, dapp: NodeProgram
) -> None:
    await pair(peer, dapp, "trusted")
    assert peer.wallet.session is not None
    session = peer.wallet.session.id
    dapp.send(do="send", payload={"id": "before"})
    await peer.until(lambda: len(peer.observer.payloads) == 1)
    peer.participant.abort()
    for number in range(10):
        dapp.send(do="send", payload={"id": number})
    for _ in range(11):
        await dapp.event("done")  # the relay has accepted each, and the one before
    wallet, participant = peer.restart()
    participant.do(lambda: wallet.resume(session))
    await peer.until(lambda: len(peer.observer.payloads) == 11, Step.RECOVER)
    peer.participant.do(lambda: peer.wallet.send_message({"id": "back"}))
    assert (await dapp.event("message"))["payload"] == {"id": "back"}
    dapp.send(do="send", payload={"id": "after"})
    await peer.until(lambda: len(peer.observer.payloads) == 12)
    assert [item["id"] for item in peer.observer.payloads] == ["before", *range(10), "after"]
