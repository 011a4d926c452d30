"""The dApp: creates a session request, waits for the wallet's offer, and accepts it."""

from __future__ import annotations

import hmac
import uuid
from typing import TYPE_CHECKING, Any, Final

from monitor.errors import CryptoError, ErrorCode, SessionError
from monitor.session import messages
from monitor.session.actions import Connect
from monitor.session.notices import OtpRequired, SessionRequested
from monitor.session.peer import Peer, State
from monitor.session.request import TTL_MS, Mode, SessionRequest
from monitor.session.store import SESSION_TTL, Session

if TYPE_CHECKING:
    from monitor.session.crypto import KeyPair

OFFER_GRACE_MS: Final = 60_000
"""Milliseconds after the request's expiry in which a trusted dApp still accepts an offer."""

OTP_ATTEMPTS: Final = 3


class Dapp(Peer):
    """A dApp. `connect` starts a pairing; `request` is then the session request for the wallet."""

    request: SessionRequest | None = None
    _pending: KeyPair | None = None
    _offer: messages.Offer | None = None
    _attempts_left = OTP_ATTEMPTS

    def connect(self, *, mode: Mode = "untrusted", initial_message: Any = None) -> SessionRequest:
        """Start a pairing and return its request. Raises `SessionError` unless disconnected."""
        self._require(State.DISCONNECTED, "connect")
        self._pending, self._offer, self._attempts_left = self._keys.generate(), None, OTP_ATTEMPTS
        identifier = str(uuid.uuid4())
        self.request = SessionRequest(
            id=identifier,
            mode=mode,
            channel=f"handshake:{identifier}",
            public_key=self._pending.public_key,
            expires_at_ms=self._now_ms() + TTL_MS,
            initial_message=initial_message,
        )
        self.state = State.CONNECTING
        self._notices.append(SessionRequested(self.request))
        self._actions.append(Connect())
        self._join(self.request.channel)
        return self.request

    def resume(self, session_id: str) -> None:
        """Resume a stored session. Raises `SessionError` or `CryptoError`."""
        super().resume(session_id)
        self.request = self._offer = None  # left over from a failed pairing

    def submit_otp(self, otp: str) -> None:
        """Submit the user's code.

        Raises `SessionError`: `OTP_INCORRECT`, `OTP_MAX_ATTEMPTS_REACHED`, `OTP_ENTRY_TIMEOUT`.
        """
        offer = self._offer
        expected = self.state is State.CONNECTING and self.session is None
        if not expected or offer is None or offer.otp is None or offer.deadline_ms is None:
            raise SessionError(ErrorCode.SESSION_INVALID_STATE, "no code is expected")
        if self._now_ms() > offer.deadline_ms:
            error = SessionError(ErrorCode.OTP_ENTRY_TIMEOUT, "the code has expired")
            self._fail(error)
            raise error
        if not hmac.compare_digest(otp.encode(), offer.otp.encode()):
            self._attempts_left -= 1
            if self._attempts_left <= 0:
                error = SessionError(ErrorCode.OTP_MAX_ATTEMPTS_REACHED, "no attempts left")
                self._fail(error)
                raise error
            raise SessionError(ErrorCode.OTP_INCORRECT, f"wrong code, {self._attempts_left} attempts left")
        self._establish(offer)

    def tick(self, now: float) -> None:
        """Handle deadlines that have passed: requests and codes expire."""
        super().tick(now)
        if self._is_awaiting and self._now_ms() >= self._deadline_ms_of_request():
            if self._offer is None:
                self._fail(SessionError(ErrorCode.REQUEST_EXPIRED, "no offer arrived before the request expired"))
            else:
                self._fail(SessionError(ErrorCode.OTP_ENTRY_TIMEOUT, "the code was not entered in time"))

    def deadline(self) -> float | None:
        """Time at which `tick` is due, or None."""
        due = super().deadline()
        if self._is_awaiting:
            expiry = self._clock.monotonic() + (self._deadline_ms_of_request() - self._now_ms()) / 1000
            due = expiry if due is None else min(due, expiry)
        return due

    @property
    def _is_awaiting(self) -> bool:
        """True while waiting for an offer or a code."""
        return self.state is State.CONNECTING and self.request is not None and self.session is None

    def _deadline_ms_of_request(self) -> int:
        assert self.request is not None
        if self._offer is not None and self._offer.deadline_ms is not None:
            return self._offer.deadline_ms
        extra = OFFER_GRACE_MS if self.request.mode == "trusted" else 0
        return self.request.expires_at_ms + extra

    def _own_keys(self) -> KeyPair | None:
        return self.session.keys if self.session is not None else self._pending

    def _on_protocol(self, message: messages.Offer | messages.Ack, now: float) -> None:
        del now
        if not isinstance(message, messages.Offer) or self.state is not State.CONNECTING or self._offer is not None:
            return
        if self.request is None or self.session is not None:
            return
        self._offer = message
        if self.request.mode == "trusted":
            self._establish(message)
        elif message.otp is None or message.deadline_ms is None:
            self._fail(SessionError(ErrorCode.UNKNOWN, "the offer of an untrusted pairing has no code"))
        elif self._now_ms() > message.deadline_ms:
            self._fail(SessionError(ErrorCode.OTP_ENTRY_TIMEOUT, "the code had expired when the offer arrived"))
        else:
            self._notices.append(OtpRequired(message.deadline_ms / 1000))

    def _establish(self, offer: messages.Offer) -> None:
        """Store the session with the offer's channel and key, and subscribe to its channel."""
        assert self.request is not None
        assert self._pending is not None
        try:
            self._keys.validate_peer_key(offer.public_key)
        except CryptoError as error:
            self._fail(error)
            return
        self.session = Session(
            id=self.request.id,
            channel=f"session:{offer.channel_id}",
            keys=self._pending,
            their_public_key=offer.public_key,
            expires_at_ms=self._now_ms() + SESSION_TTL * 1000,
        )
        self._sessions.set(self.session, self._now_ms())
        self._join(self.session.channel)

    def _on_channel(self, channel: str) -> None:
        if self.session is None or channel != self.session.channel or self.state is not State.CONNECTING:
            return
        if self.request is not None:
            if self.request.mode == "untrusted":
                self._send(channel, messages.Ack())
            self._drop_channel(self.request.channel)
        super()._on_channel(channel)
