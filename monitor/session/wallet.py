"""The wallet: reads a session request, sends an offer, and is connected once that is accepted."""

from __future__ import annotations

import secrets
import uuid
from typing import TYPE_CHECKING, Final

from monitor.errors import ErrorCode, SessionError
from monitor.session import messages
from monitor.session.actions import Connect
from monitor.session.notices import MessageKey, MessageReceived, OtpShown
from monitor.session.peer import Peer, State
from monitor.session.store import SESSION_TTL, Session

if TYPE_CHECKING:
    from monitor.session.request import SessionRequest

MIN_OTP: Final = 100_000
MAX_OTP: Final = 999_999
"""Range of the codes, which never start with 0, as those of the protocol's own wallet."""

OTP_TTL_MS: Final = 60_000
"""Milliseconds the user has to enter the code."""


class Wallet(Peer):
    """A wallet. `connect` answers a session request."""

    _request: SessionRequest | None = None
    _otp: str | None = None
    _deadline_ms: int | None = None
    _offer_id: int | None = None
    _offered = False

    @property
    def otp(self) -> str | None:
        """Code to show to the user, once the offer of an untrusted pairing was sent."""
        return self._otp

    def connect(self, request: SessionRequest) -> None:
        """Answer a request. Raises `SessionError` or `CryptoError` for an expired or invalid one."""
        self._require(State.DISCONNECTED, "connect")
        if request.expires_at_ms < self._now_ms():
            raise SessionError(ErrorCode.REQUEST_EXPIRED, "the session request has expired")
        self._keys.validate_peer_key(request.public_key)
        self._request, self._offer_id, self._offered = request, None, False
        self._otp, self._deadline_ms = None, None
        self.session = Session(
            id=request.id,
            channel=f"session:{uuid.uuid4()}",
            keys=self._keys.generate(),
            their_public_key=request.public_key,
            expires_at_ms=self._now_ms() + SESSION_TTL * 1000,
        )
        self.state = State.CONNECTING
        self._actions.append(Connect())
        self._join(request.channel)
        self._join(self.session.channel)

    def resume(self, session_id: str) -> None:
        """Resume a stored session. Raises `SessionError` or `CryptoError`."""
        super().resume(session_id)
        self._request = self._deadline_ms = None  # left over from a failed pairing

    def tick(self, now: float) -> None:
        """Handle deadlines that have passed: an offer with a code expires."""
        super().tick(now)
        if self.state is State.CONNECTING and self._deadline_ms is not None and self._now_ms() >= self._deadline_ms:
            self._fail(SessionError(ErrorCode.REQUEST_EXPIRED, "the dApp did not confirm the code in time"))

    def deadline(self) -> float | None:
        """Time at which `tick` is due, or None."""
        due = super().deadline()
        if self.state is State.CONNECTING and self._deadline_ms is not None:
            expiry = self._clock.monotonic() + (self._deadline_ms - self._now_ms()) / 1000
            due = expiry if due is None else min(due, expiry)
        return due

    def _on_channel(self, channel: str) -> None:
        if self._request is None:
            super()._on_channel(channel)  # resumed
        elif (
            self.session is not None
            and not self._offered
            and {self._request.channel, self.session.channel} <= self._subscribed
        ):
            self._offer(self._request, self.session)

    def _offer(self, request: SessionRequest, session: Session) -> None:
        self._offered = True
        if request.mode == "untrusted":
            self._otp = str(MIN_OTP + secrets.randbelow(MAX_OTP - MIN_OTP + 1))
            self._deadline_ms = self._now_ms() + OTP_TTL_MS
            self._notices.append(OtpShown(self._otp, self._deadline_ms / 1000))
        offer = messages.Offer(
            public_key=session.keys.public_key,
            channel_id=session.channel.partition(":")[2],
            otp=self._otp,
            deadline_ms=self._deadline_ms,
        )
        self._offer_id = self._send(request.channel, offer)

    def _on_accepted(self, message_id: int) -> None:
        if message_id == self._offer_id and self._request is not None and self._request.mode == "trusted":
            self._establish()

    def _on_protocol(self, message: messages.Offer | messages.Ack, now: float) -> None:
        del now
        waiting = self.state is State.CONNECTING and self._request is not None and self._request.mode == "untrusted"
        if isinstance(message, messages.Ack) and waiting:
            self._establish()

    def _establish(self) -> None:
        """Store the session, leave the handshake channel, and deliver the request's initial message."""
        assert self._request is not None
        assert self.session is not None
        request, self._request = self._request, None
        self._sessions.set(self.session, self._now_ms())
        self._drop_channel(request.channel)
        self._deadline_ms = None
        self._set_connected()
        if request.initial_message is not None:
            key = MessageKey(request.channel, "", 0)
            self._notices.append(MessageReceived(request.initial_message, key, reference_dropped=False))
