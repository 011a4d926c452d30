"""The WebSocket opening handshake (RFC 6455, section 4.1)."""

from __future__ import annotations

import logging
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidURI
from websockets.protocol import CONNECTING
from websockets.uri import parse_uri

from monitor.errors import ProbeError, RateLimitedError, SettingsError
from monitor.vocabulary import Reason, Step

if TYPE_CHECKING:
    from monitor.relay.target import Target

MAX_RESPONSE_BYTES: Final = 64 << 10
"""Largest status line and headers of the response, in bytes."""

RETRY_AFTER_LIMIT: Final = 3600.0
"""Longest Retry-After that is honoured, in seconds."""

RETRY_AFTER_DATE: Final = 60.0
"""Seconds used for a Retry-After that is a date, which would need the relay's clock."""

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)([ \r][^\r\n]*)")
_PROTOCOL: Final = b"HTTP/1."
_HEAD_END: Final = b"\r\n\r\n"
_FIELD_LINE: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")
_HANDSHAKE_FIELDS: Final = (b"upgrade:", b"connection:", b"sec-websocket-")
_RETRY_AFTER: Final = re.compile(rb"\r\nretry-after:[ \t]*([^\r\n]*)", re.IGNORECASE)
_FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_FIELD_VALUE: Final = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")  # section 5.5

# At DEBUG websockets would log every frame and header, including tokens.
_log = logging.getLogger(__name__)
_log.setLevel(logging.ERROR)


def handshake(target: Target) -> ClientProtocol:
    """Return a protocol with the upgrade request queued. Raises `SettingsError` for an unusable URL or header."""
    try:
        ws = ClientProtocol(
            parse_uri(target.url),
            subprotocols=target.subprotocols or None,  # type: ignore[arg-type]  # a NewType of str
            max_size=target.max_frame,
            logger=_log,
        )
        request = ws.connect()
    except (InvalidURI, ValueError):
        raise SettingsError(Step.RESOLVE, Reason.INTERNAL, "this url cannot be used: expected ws(s)://HOST") from None
    headers = [("User-Agent", target.user_agent), *target.headers]
    if target.origin is not None:
        headers.append(("Origin", target.origin))
    for name, _ in headers:
        if name in request.headers:
            del request.headers[name]  # a configured header replaces the default; Headers would send both
    for name, value in headers:
        if not _FIELD_NAME.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
            # Without the value, which may be a secret.
            raise SettingsError(Step.UPGRADE, Reason.INTERNAL, f"the header {name!r} cannot be sent as HTTP")
        request.headers[name] = value
    ws.send_request(request)
    return ws


class UpgradeResponse:
    """Parser of the response. Only a 101 is passed to websockets, which would wait for the body of any other."""

    def __init__(self, ws: ClientProtocol) -> None:
        self._ws = ws
        self._bytes = bytearray()

    def receive(self, data: bytes) -> bool:
        """Feed bytes; return True once the WebSocket is open. Raises `ProbeError`."""
        self._bytes += data
        status = _STATUS_LINE.match(self._bytes)
        head_end = self._bytes.find(_HEAD_END, 0, MAX_RESPONSE_BYTES)
        if self._bytes.find(b"\n\n", 0, MAX_RESPONSE_BYTES if head_end < 0 else head_end) >= 0:
            raise ProbeError(Step.UPGRADE, Reason.BAD_UPGRADE, "lines of the response to the upgrade end without CR")
        if head_end < 0:
            if len(self._bytes) > MAX_RESPONSE_BYTES:
                raise ProbeError(
                    Step.UPGRADE,
                    Reason.TOO_LARGE,
                    f"the response to the upgrade exceeds {MAX_RESPONSE_BYTES >> 10} KiB",
                )
            if not _PROTOCOL.startswith(self._bytes[: len(_PROTOCOL)]) or (status is None and b"\n" in self._bytes):
                raise ProbeError(Step.UPGRADE, Reason.BAD_UPGRADE, "the response to the upgrade is not HTTP")
            return False
        if status is None:
            raise ProbeError(Step.UPGRADE, Reason.BAD_UPGRADE, "the response to the upgrade is not HTTP")
        head, remainder = bytes(self._bytes[:head_end]), self._bytes[head_end + len(_HEAD_END) :]
        if status[1] != b"101":
            raise _of_status(int(status[1]), status[2], head)
        self._ws.receive_data(_handshake_head(head) + remainder)
        if self._ws.handshake_exc is not None:
            why = self._ws.handshake_exc.__cause__ or self._ws.handshake_exc
            raise ProbeError(Step.UPGRADE, Reason.BAD_UPGRADE, str(why)[:200])
        return self._ws.state is not CONNECTING


def _handshake_head(head: bytes) -> bytes:
    """Return what the opening handshake needs of a 101: a status line, and its own headers. Raises `ProbeError`.

    Browsers and Node.js accept HTTP/1.0, a status line without a reason phrase, header lines over 8 KiB and more than
    128 headers in a 101. websockets would refuse them, so it receives none of these.
    """
    fields = head.split(b"\r\n")[1:]
    if not all(map(_FIELD_LINE.fullmatch, fields)):
        raise ProbeError(Step.UPGRADE, Reason.BAD_UPGRADE, "a header of the response to the upgrade is malformed")
    own = [line for line in fields if line.lower().startswith(_HANDSHAKE_FIELDS)]
    return b"\r\n".join([b"HTTP/1.1 101 Switching Protocols", *own, b"", b""])


def _of_status(code: int, phrase: bytes, head: bytes) -> ProbeError:
    """Return the error for an HTTP response other than 101, with its Retry-After."""
    words = "".join(letter for letter in phrase.decode("latin-1").strip() if letter.isprintable())
    detail = f"HTTP {code} {words}"[:100].rstrip()
    retry_after = _RETRY_AFTER.search(head)
    if code == HTTPStatus.TOO_MANY_REQUESTS or (code == HTTPStatus.SERVICE_UNAVAILABLE and retry_after is not None):
        seconds = 0.0
        if retry_after is not None:
            asked = retry_after[1].strip()
            seconds = min(float(asked), RETRY_AFTER_LIMIT) if asked.isdigit() else RETRY_AFTER_DATE
        # 503 is unavailability, whatever header it carries.
        reason = Reason.RATE_LIMITED if code == HTTPStatus.TOO_MANY_REQUESTS else Reason.HTTP_STATUS
        return RateLimitedError(Step.UPGRADE, reason, detail, seconds, status=code)
    return ProbeError(Step.UPGRADE, Reason.HTTP_STATUS, detail, status=code)
