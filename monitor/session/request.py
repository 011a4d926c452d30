"""The session request, which the dApp passes to the wallet outside the relay as a QR code or deep link."""

from __future__ import annotations

import base64
import json
import math
import re
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import parse_qs, quote, urlsplit

from monitor.errors import ErrorCode, SessionError

Mode = Literal["trusted", "untrusted"]

TTL_MS: Final = 60_000
"""Lifetime of a request, in milliseconds."""

MAX_LINK: Final = 16_384
"""Longest deep link that is parsed, in characters; a QR code holds at most 4,296."""

_LINK: Final = "metamask://connect/mwp?p="
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRequest:
    """A session request. `expires_at_ms` is milliseconds since the epoch; `initial_message` is not encrypted."""

    id: str
    mode: Mode
    channel: str
    public_key: bytes
    expires_at_ms: int
    initial_message: Any = None

    def to_json(self) -> dict[str, Any]:
        """Return the request as the protocol's clients write it."""
        body = {
            "id": self.id,
            "mode": self.mode,
            "channel": self.channel,
            "publicKeyB64": base64.b64encode(self.public_key).decode("ascii"),
            "expiresAt": self.expires_at_ms,
        }
        if self.initial_message is not None:
            body["initialMessage"] = {"type": "message", "payload": self.initial_message}
        return body

    @classmethod
    def from_json(cls, body: Any) -> SessionRequest:
        """Read a request from parsed JSON. Raises `SessionError` `SESSION_INVALID_STATE` naming the invalid field."""
        if not isinstance(body, dict):
            raise _invalid("not an object")
        identifier, mode, channel = body.get("id"), body.get("mode"), body.get("channel")
        if not isinstance(identifier, str) or not _UUID.fullmatch(identifier):
            raise _invalid("id is not a UUID")
        if mode != "trusted" and mode != "untrusted":  # noqa: PLR1714 - of any JSON: a list cannot be hashed
            raise _invalid("mode is neither trusted nor untrusted")
        if channel != f"handshake:{identifier}":
            raise _invalid("channel is not handshake:<id>")
        expires = body.get("expiresAt")
        if isinstance(expires, bool) or not isinstance(expires, int | float) or not math.isfinite(expires):
            raise _invalid("expiresAt is not a number")
        try:
            key = base64.b64decode(body["publicKeyB64"], validate=True)
        except (KeyError, TypeError, ValueError):
            raise _invalid("publicKeyB64 is not base64") from None
        initial = body.get("initialMessage")
        if initial is not None and not (isinstance(initial, dict) and initial.get("type") == "message"):
            raise _invalid("initialMessage is not a message")
        return cls(
            id=identifier,
            mode=mode,
            channel=channel,
            public_key=key,
            expires_at_ms=int(expires),
            initial_message=None if initial is None else initial.get("payload"),
        )

    def to_link(self) -> str:
        """Return the text of a QR code or deep link: the JSON, URL-encoded, as parameter `p`."""
        return _LINK + quote(json.dumps(self.to_json(), separators=(",", ":")), safe="")

    @classmethod
    def from_link(cls, link: str) -> SessionRequest:
        """Read a request from a deep link. Raises `SessionError` `SESSION_INVALID_STATE`."""
        if len(link) > MAX_LINK or not link.startswith(_LINK):
            raise _invalid(f"a link begins with {_LINK} and has at most {MAX_LINK} characters")
        try:
            (text,) = parse_qs(urlsplit(link).query, strict_parsing=True, max_num_fields=4)["p"]
            body = json.loads(text)
        except (ValueError, KeyError, RecursionError):
            raise _invalid("its parameter p is not JSON") from None
        return cls.from_json(body)


def _invalid(what: str) -> SessionError:
    return SessionError(ErrorCode.SESSION_INVALID_STATE, f"not a session request: {what}")
