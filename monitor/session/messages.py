"""The protocol's own messages, inside the encryption: offer, ack, and the application's."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from monitor.errors import ErrorCode, SessionError
from monitor.jsontext import reader, writer

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_parse: Final = reader()
_write: Final = writer()
_OTP: Final = re.compile(r"[0-9]{6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The wallet's answer to a session request. `otp` and `deadline_ms` come in untrusted mode only."""

    public_key: bytes
    channel_id: str
    otp: str | None = field(default=None, repr=False)
    deadline_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Ack:
    """The dApp's answer to an offer, in untrusted mode."""


class AppMessage(NamedTuple):
    """A message of the application; any JSON value."""

    payload: Any


Message = Offer | Ack | AppMessage


def encode(message: Message) -> str:
    """Return a message as text, before encryption."""
    match message:
        case AppMessage(payload=payload):
            return _write({"type": "message", "payload": payload})
        case Ack():
            return '{"type":"handshake-ack"}'
        case Offer():
            body: dict[str, Any] = {
                "publicKeyB64": base64.b64encode(message.public_key).decode("ascii"),
                "channelId": message.channel_id,
            }
            if message.otp is not None:
                body |= {"otp": message.otp, "deadline": message.deadline_ms}
            return _write({"type": "handshake-offer", "payload": body})


def decode(text: str) -> Message:
    """Parse a message from decrypted text. Raises `SessionError` `UNKNOWN` for an invalid one."""
    try:
        body = _parse(text)
        kind = body["type"]
        if kind == "message":
            return AppMessage(body["payload"])
        if kind == "handshake-ack":
            return Ack()
        if kind == "handshake-offer":
            return _offer(body["payload"])
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise SessionError(ErrorCode.UNKNOWN, f"not a message: {type(error).__name__} {str(error)[:60]}") from None
    raise SessionError(ErrorCode.UNKNOWN, f"not a message: type {str(kind)[:40]!r}")


def _offer(body: dict[str, Any]) -> Offer:
    otp, deadline = body.get("otp"), body.get("deadline")
    if not _UUID.fullmatch(body["channelId"]):
        raise ValueError("channelId is not a UUID")
    if otp is not None and not _OTP.fullmatch(otp):
        raise ValueError("otp is not six digits")
    if deadline is not None and not isinstance(deadline, int | float):
        raise ValueError("deadline is not a number")
    return Offer(
        public_key=base64.b64decode(body["publicKeyB64"], validate=True),
        channel_id=body["channelId"],
        otp=otp,
        deadline_ms=None if deadline is None else int(deadline),
    )
