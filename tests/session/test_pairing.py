"""`session.dapp` and `wallet`, connected by a relay in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monitor.errors import CryptoError, ErrorCode, SessionError, TransportError, WalletProtocolError
from monitor.session import notices
from monitor.session.actions import Publish
from monitor.session.crypto import Ecies
from monitor.session.dapp import OFFER_GRACE_MS, OTP_ATTEMPTS, Dapp
from monitor.session.envelope import encode
from monitor.session.peer import State
from monitor.session.request import TTL_MS, SessionRequest
from monitor.session.store import SESSION_TTL, FileStore, MemoryStore
from monitor.session.wallet import OTP_TTL_MS, Wallet
from tests.session.world import ManualClock, Relay

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from monitor.session.peer import Peer


class World:
    """One dApp, one wallet, one relay."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.relay = Relay(self.clock)
        self.dapp = Dapp(store=MemoryStore(), keys=Ecies(), clock=self.clock)
        self.wallet = Wallet(store=MemoryStore(), keys=Ecies(), clock=self.clock)

    def run_until_idle(self) -> None:
        self.relay.run_until_idle(self.dapp, self.wallet)

    def pair(self, mode: str = "trusted") -> None:
        request = self.dapp.connect(mode=mode)  # type: ignore[arg-type]
        self.run_until_idle()
        self.wallet.connect(request)
        self.run_until_idle()
        if mode == "untrusted":
            assert self.wallet.otp is not None
            self.dapp.submit_otp(self.wallet.otp)
            self.run_until_idle()

    def received(self, peer: Peer) -> list[object]:
        return [notice.payload for notice in self.relay.notices_of(peer, notices.MessageReceived)]

    def failures(self, peer: Peer) -> list[ErrorCode]:
        return [notice.error.code for notice in self.relay.notices_of(peer, notices.Failed)]

    def tick(self, seconds: float) -> None:
        self.clock.move(seconds)
        for peer in (self.dapp, self.wallet):
            peer.tick(self.clock.now)
        self.run_until_idle()


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("mode", ["trusted", "untrusted"])
def test_dapp_and_wallet_share_a_session_and_exchange_messages(world: World, mode: str) -> None:
    world.pair(mode)
    assert world.dapp.state is world.wallet.state is State.CONNECTED
    assert world.dapp.session is not None
    assert world.wallet.session is not None
    assert world.dapp.session.channel == world.wallet.session.channel
    assert (
        world.dapp.channels == world.wallet.channels == {world.dapp.session.channel}
    )  # the handshake channel is unsubscribed
    for number in range(3):
        world.dapp.send_message({"id": number})
        world.run_until_idle()
        world.wallet.send_message({"id": number, "result": "0x"})
        world.run_until_idle()
    assert world.received(world.wallet) == [{"id": number} for number in range(3)]
    assert world.received(world.dapp) == [{"id": number, "result": "0x"} for number in range(3)]


def test_the_wallet_may_connect_before_the_dapp(world: World) -> None:
    """A dApp that connects after the offer was published reads it from the history."""
    request = world.dapp.connect(mode="trusted")
    world.wallet.connect(request)
    world.relay.run_until_idle(world.wallet)
    assert world.wallet.is_connected
    world.run_until_idle()
    assert world.dapp.is_connected


def test_the_initial_message_reaches_the_wallet(world: World) -> None:
    request = world.dapp.connect(mode="trusted", initial_message={"id": "first"})
    world.run_until_idle()
    world.wallet.connect(SessionRequest.from_link(request.to_link()))
    world.run_until_idle()
    assert world.received(world.wallet) == [{"id": "first"}]


class TestOtp:
    def test_three_wrong_codes_end_the_pairing(self, world: World) -> None:
        request = world.dapp.connect(mode="untrusted")
        world.run_until_idle()
        world.wallet.connect(request)
        world.run_until_idle()
        wrong = "000000" if world.wallet.otp != "000000" else "000001"
        codes = []
        for _ in range(3):
            with pytest.raises(SessionError) as caught:
                world.dapp.submit_otp(wrong)
            codes.append(caught.value.code)
        assert codes == [ErrorCode.OTP_INCORRECT, ErrorCode.OTP_INCORRECT, ErrorCode.OTP_MAX_ATTEMPTS_REACHED]
        world.run_until_idle()
        assert world.dapp.state is State.DISCONNECTED

    def test_a_wrong_code_may_be_followed_by_the_right_one(self, world: World) -> None:
        request = world.dapp.connect(mode="untrusted")
        world.run_until_idle()
        world.wallet.connect(request)
        world.run_until_idle()
        assert world.wallet.otp is not None
        with pytest.raises(SessionError):
            world.dapp.submit_otp("x")
        world.dapp.submit_otp(world.wallet.otp)
        world.run_until_idle()
        assert world.dapp.is_connected
        assert world.wallet.is_connected

    def test_a_code_that_is_not_entered_in_time_fails_both_sides(self, world: World) -> None:
        request = world.dapp.connect(mode="untrusted")
        world.run_until_idle()
        world.wallet.connect(request)
        world.run_until_idle()
        assert world.dapp.deadline() == world.wallet.deadline() == world.clock.now + OTP_TTL_MS / 1000
        world.tick(OTP_TTL_MS / 1000)
        assert world.failures(world.dapp) == [ErrorCode.OTP_ENTRY_TIMEOUT]
        assert world.failures(world.wallet) == [ErrorCode.REQUEST_EXPIRED]

    def test_a_code_never_starts_with_0(self, world: World) -> None:
        # As in the real wallet, whose codes run from 100000 to 999999.
        request = world.dapp.connect(mode="untrusted")
        world.run_until_idle()
        for _ in range(300):
            world.wallet.disconnect()
            world.wallet.connect(request)
            world.run_until_idle()
            assert world.wallet.otp is not None
            assert 100_000 <= int(world.wallet.otp) <= 999_999

    def test_a_code_entered_too_late_is_refused(self, world: World) -> None:
        request = world.dapp.connect(mode="untrusted")
        world.run_until_idle()
        world.wallet.connect(request)
        world.run_until_idle()
        world.clock.move(OTP_TTL_MS / 1000 + 1)
        with pytest.raises(SessionError) as caught:
            world.dapp.submit_otp("000000")
        assert caught.value.code is ErrorCode.OTP_ENTRY_TIMEOUT

    def test_a_code_without_a_pairing_is_an_invalid_state(self, world: World) -> None:
        with pytest.raises(SessionError) as caught:
            world.dapp.submit_otp("000000")
        assert caught.value.code is ErrorCode.SESSION_INVALID_STATE

    def test_a_code_after_the_pairing_is_an_invalid_state(self, world: World) -> None:
        world.pair("untrusted")
        session = world.dapp.session
        assert session is not None
        for _ in range(OTP_ATTEMPTS + 1):
            with pytest.raises(SessionError) as caught:
                world.dapp.submit_otp("wrong!")
            assert caught.value.code is ErrorCode.SESSION_INVALID_STATE
        assert world.dapp.state is State.CONNECTED
        assert world.dapp.session is session

    def test_a_code_entered_in_time_is_accepted_though_the_relay_is_slow(self, world: World) -> None:
        request = world.dapp.connect(mode="untrusted")
        world.run_until_idle()
        world.wallet.connect(request)
        world.run_until_idle()
        assert world.wallet.otp is not None
        world.clock.move(59.0)
        world.dapp.submit_otp(world.wallet.otp)
        world.clock.move(2.0)
        world.dapp.tick(world.clock.now)
        world.run_until_idle()
        assert world.dapp.state is State.CONNECTED

    def test_the_code_has_six_digits_and_is_in_no_repr(self, world: World) -> None:
        request = world.dapp.connect(mode="untrusted")
        world.run_until_idle()
        world.wallet.connect(request)
        world.run_until_idle()
        (shown,) = world.relay.notices_of(world.wallet, notices.OtpShown)
        assert len(shown.otp) == 6
        assert shown.otp not in repr(shown)


class TestExpiry:
    @pytest.mark.parametrize(("mode", "grace_ms"), [("trusted", OFFER_GRACE_MS), ("untrusted", 0)])
    def test_an_unanswered_request_expires(self, world: World, mode: str, grace_ms: int) -> None:
        world.dapp.connect(mode=mode)  # type: ignore[arg-type]
        world.run_until_idle()
        world.tick((TTL_MS + grace_ms) / 1000 - 1)
        assert world.failures(world.dapp) == []
        world.tick(1)
        assert world.failures(world.dapp) == [ErrorCode.REQUEST_EXPIRED]
        assert world.dapp.state is State.DISCONNECTED

    def test_a_wallet_rejects_an_expired_request(self, world: World) -> None:
        request = world.dapp.connect(mode="trusted")
        world.clock.move(TTL_MS / 1000 + 1)
        with pytest.raises(SessionError) as caught:
            world.wallet.connect(request)
        assert caught.value.code is ErrorCode.REQUEST_EXPIRED

    def test_an_expired_session_refuses_to_send(self, world: World) -> None:
        world.pair()
        world.clock.move(SESSION_TTL + 1)
        with pytest.raises(SessionError) as caught:
            world.dapp.send_message({})
        assert caught.value.code is ErrorCode.SESSION_EXPIRED

    def test_an_expired_session_refuses_to_receive(self, world: World) -> None:
        world.pair()
        world.dapp.send_message({"id": 1})
        (publish,) = [action for action in world.dapp.drain()[0] if isinstance(action, Publish)]
        world.clock.move(SESSION_TTL + 1)
        world.wallet.on_publication(publish.key.channel, publish.data, world.clock.now)
        world.run_until_idle()
        assert world.received(world.wallet) == []
        assert world.failures(world.wallet) == [ErrorCode.SESSION_EXPIRED]


class TestResume:
    def test_a_restarted_wallet_receives_each_missed_message_once_and_in_order(
        self, world: World, tmp_path: Path
    ) -> None:
        path = tmp_path / "wallet.json"
        world.wallet = Wallet(store=FileStore(path), keys=Ecies(), clock=world.clock)
        world.pair()
        assert world.wallet.session is not None
        session = world.wallet.session.id
        world.dapp.send_message({"id": "before"})
        world.run_until_idle()
        world.relay.leave(world.wallet)
        for number in range(5):
            world.dapp.send_message({"id": number})
            world.run_until_idle()
        returned = Wallet(store=FileStore(path), keys=Ecies(), clock=world.clock)
        returned.resume(session)
        world.relay.run_until_idle(returned)
        assert world.received(returned) == [{"id": number} for number in range(5)]
        returned.send_message({"id": "back"})
        world.relay.run_until_idle(returned, world.dapp)
        assert world.received(world.dapp) == [{"id": "back"}]

    @pytest.mark.parametrize("mode", ["trusted", "untrusted"])
    def test_an_abandoned_pairing_is_dropped_when_a_session_is_resumed(self, world: World, mode: str) -> None:
        world.pair()
        assert world.dapp.session is not None
        assert world.wallet.session is not None
        store, session_id = world.wallet._sessions, world.wallet.session.id
        other = Dapp(store=MemoryStore(), keys=Ecies(), clock=world.clock)
        world.relay.leave(world.wallet)
        other_wallet = Wallet(store=MemoryStore(), keys=Ecies(), clock=world.clock)
        other_wallet._sessions = store
        other_wallet.connect(other.connect(mode=mode))  # type: ignore[arg-type]
        other_wallet.disconnect()
        world.relay.run_until_idle(other_wallet)
        other_wallet.resume(session_id)
        world.relay.run_until_idle(other_wallet)
        assert other_wallet.state is State.CONNECTED

    def test_an_unknown_session_cannot_be_resumed(self, world: World) -> None:
        with pytest.raises(SessionError) as caught:
            world.wallet.resume("nobody")
        assert caught.value.code is ErrorCode.SESSION_NOT_FOUND

    def test_a_disconnected_session_cannot_be_resumed(self, world: World) -> None:
        world.pair()
        assert world.dapp.session is not None
        session = world.dapp.session.id
        world.dapp.disconnect()
        world.run_until_idle()
        assert world.dapp not in world.relay.online
        with pytest.raises(SessionError):
            world.dapp.resume(session)


class TestFailures:
    def test_a_message_that_the_relay_rejects_five_times_fails(self, world: World) -> None:
        world.pair()
        world.relay.rejects_publishes = True
        world.dapp.send_message({"id": 1})
        world.run_until_idle()
        while (due := world.dapp.deadline()) is not None:
            world.tick(due - world.clock.now)
        assert world.failures(world.dapp) == [ErrorCode.TRANSPORT_PUBLISH_FAILED]
        assert len([publish for publish in world.relay.published if publish.key.client_id == world.dapp.client_id]) == 5

    def test_an_undecryptable_message_is_reported_and_skipped(self, world: World) -> None:
        world.pair()
        assert world.wallet.session is not None
        channel = world.wallet.session.channel
        world.wallet.on_publication(channel, encode(world.dapp.client_id, 90, "AAAA"), 0.0)
        world.run_until_idle()
        (undecryptable,) = world.relay.notices_of(world.wallet, notices.Undecryptable)
        assert undecryptable.error.code is ErrorCode.DECRYPTION_FAILED
        assert undecryptable.key == (channel, world.dapp.client_id, 90)

    def test_an_invalid_envelope_is_reported_and_skipped(self, world: World) -> None:
        world.pair()
        assert world.wallet.session is not None
        world.wallet.on_publication(world.wallet.session.channel, {"not": "text"}, 0.0)
        world.run_until_idle()
        (failed,) = world.relay.notices_of(world.wallet, notices.ParseFailed)
        assert isinstance(failed.error, TransportError)

    def test_a_request_with_an_invalid_key_is_rejected(self, world: World) -> None:
        request = world.dapp.connect(mode="trusted")
        invalid = SessionRequest.from_json(request.to_json() | {"publicKeyB64": "AAAA"})
        with pytest.raises(CryptoError) as caught:
            world.wallet.connect(invalid)
        assert caught.value.code is ErrorCode.INVALID_KEY

    def test_a_call_in_the_wrong_state_raises(self, world: World) -> None:
        attempts: list[Callable[[], object]] = [
            lambda: world.dapp.send_message({}),
            lambda: world.wallet.send_message({}),
        ]
        world.dapp.connect(mode="trusted")
        attempts += [lambda: world.dapp.connect(mode="trusted"), lambda: world.dapp.resume("x")]
        for attempt in attempts:
            with pytest.raises(WalletProtocolError) as caught:
                attempt()
            assert caught.value.code is ErrorCode.SESSION_INVALID_STATE
