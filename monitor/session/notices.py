"""Notices of a peer to its application, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from monitor.errors import WalletProtocolError
    from monitor.session.request import SessionRequest
    from monitor.session.store import Session


class MessageKey(NamedTuple):
    """Identity of a message: channel, client id of the sender, nonce."""

    channel: str
    client_id: str
    nonce: int


@dataclass(frozen=True, slots=True)
class SessionRequested:
    """Show this to the wallet, as a QR code or a deep link."""

    request: SessionRequest


@dataclass(frozen=True, slots=True)
class OtpShown:
    """Wallet, untrusted mode: show this code to the user."""

    otp: str = field(repr=False)
    deadline: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class OtpRequired:
    """dApp, untrusted mode: ask the user for the code that the wallet shows."""

    deadline: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class Connected:
    """The session is established."""

    session: Session


class MessageReceived(NamedTuple):
    """A message for the application, delivered once.

    `reference_dropped`: the protocol's reference client would have dropped it, since it arrived by the history after a
    newer live message.
    """

    payload: Any
    key: MessageKey
    reference_dropped: bool


@dataclass(frozen=True, slots=True)
class Undecryptable:
    """A message with a valid envelope whose payload does not decrypt or is invalid."""

    key: MessageKey
    error: WalletProtocolError


@dataclass(frozen=True, slots=True)
class ParseFailed:
    """A publication that is not an envelope."""

    channel: str
    error: WalletProtocolError


@dataclass(frozen=True, slots=True)
class Failed:
    """Pairing, sending or resuming failed."""

    error: WalletProtocolError


Notice = SessionRequested | OtpShown | OtpRequired | Connected | MessageReceived | Undecryptable | ParseFailed | Failed
