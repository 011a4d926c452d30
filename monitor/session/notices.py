"""What happened to a peer of the wallet protocol: frozen values for its application."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from monitor.errors import WalletProtocolError
    from monitor.session.request import SessionRequest
    from monitor.session.store import Session


class MessageKey(NamedTuple):
    """What names a message: its channel, its sender's client id, its nonce there."""

    channel: str
    client_id: str
    nonce: int


@dataclass(frozen=True, slots=True)
class SessionRequested:
    """Show this to the wallet, as a QR code or a deep link."""

    request: SessionRequest


@dataclass(frozen=True, slots=True)
class OtpShown:
    """The wallet's side of untrusted mode: show this code to the user."""

    otp: str = field(repr=False)
    deadline: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class OtpRequired:
    """The dApp's side of untrusted mode: ask the user for the code the wallet shows."""

    deadline: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class Connected:
    """The session stands."""

    session: Session


class MessageReceived(NamedTuple):
    """A message for the application, once.

    `reference_dropped`: the protocol's own client would have discarded it, because an older message that comes by
    history after a newer one came live looks to it like a repetition.
    """

    payload: Any
    key: MessageKey
    reference_dropped: bool


@dataclass(frozen=True, slots=True)
class Undecryptable:
    """A message whose envelope is in order and whose payload does not decrypt, or is no message."""

    key: MessageKey
    error: WalletProtocolError


@dataclass(frozen=True, slots=True)
class ParseFailed:
    """A publication that is no envelope."""

    channel: str
    error: WalletProtocolError


@dataclass(frozen=True, slots=True)
class Failed:
    """Something the peer wanted cannot be had: pairing, sending, resuming."""

    error: WalletProtocolError


Notice = SessionRequested | OtpShown | OtpRequired | Connected | MessageReceived | Undecryptable | ParseFailed | Failed
