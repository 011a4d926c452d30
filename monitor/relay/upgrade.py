"""The opening handshake of a WebSocket (RFC 6455, section 4.1): the request, and what the answer to it means."""

from __future__ import annotations

import logging
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidURI
from websockets.protocol import CONNECTING
from websockets.uri import parse_uri

from monitor.errors import LocalError, ProbeError
from monitor.relay.target import RateLimitedError
from monitor.vocabulary import Reason, Step

if TYPE_CHECKING:
    from monitor.relay.target import Target

MAX_ANSWER: Final = 64 << 10
"""Bytes of the answer's status line and headers."""

RETRY_AFTER_LIMIT: Final = 3600.0
"""Seconds a relay can ask to be left alone."""

RETRY_AFTER_DATE: Final = 60.0
"""Seconds taken for a Retry-After that is a date: polite enough, without trusting the relay's clock."""

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)([ \r][^\r\n]*)")
_PROTOCOL: Final = b"HTTP/1."
_RETRY_AFTER: Final = re.compile(rb"\r\nretry-after:[ \t]*([^\r\n]*)", re.IGNORECASE)
_FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_FIELD_VALUE: Final = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")  # section 5.5

# At DEBUG websockets would log every frame and header, tokens and all, whatever level the program's log has.
_log = logging.getLogger(__name__)
_log.setLevel(logging.ERROR)


def handshake(target: Target) -> ClientProtocol:
    """A protocol with the upgrade request queued. Raises `LocalError` where URL or headers cannot be sent."""
    try:
        ws = ClientProtocol(
            parse_uri(target.url),
            subprotocols=target.subprotocols or None,  # type: ignore[arg-type]  # a NewType of str
            max_size=target.max_frame,
            logger=_log,
        )
        request = ws.connect()
    except (InvalidURI, ValueError):
        raise LocalError(Step.RESOLVE, Reason.INTERNAL, "this url cannot be used: expected ws(s)://HOST") from None
    headers = [("User-Agent", target.user_agent), *target.headers]
    if target.origin is not None:
        headers.append(("Origin", target.origin))
    for name, _ in headers:
        if name in request.headers:
            del request.headers[name]  # ours yields: Headers would send both
    for name, value in headers:
        if not _FIELD_NAME.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
            # Without the value, which may be a secret.
            raise LocalError(Step.UPGRADE, Reason.INTERNAL, f"the header {name!r} cannot be sent as HTTP")
        request.headers[name] = value
    ws.send_request(request)
    return ws


class Answer:
    """The answer as it arrives. websockets sees it only if it is a 101: it would wait for the body of any other."""

    def __init__(self, ws: ClientProtocol) -> None:
        self._ws = ws
        self._bytes = bytearray()

    def receive(self, data: bytes) -> bool:
        """Take more of it; returns whether the WebSocket is open now. Raises `ProbeError`."""
        self._bytes += data
        status = _STATUS_LINE.match(self._bytes)
        end = self._bytes.find(b"\r\n\r\n", 0, MAX_ANSWER)
        if end < 0:
            if len(self._bytes) > MAX_ANSWER:
                raise ProbeError(Step.UPGRADE, Reason.TOO_LARGE, "the answer to the upgrade has no end")
            if not _PROTOCOL.startswith(self._bytes[: len(_PROTOCOL)]) or (status is None and b"\n" in self._bytes):
                raise ProbeError(Step.UPGRADE, Reason.BAD_UPGRADE, "the answer to the upgrade is not HTTP")
            return False
        if status is None:
            raise ProbeError(Step.UPGRADE, Reason.BAD_UPGRADE, "the answer to the upgrade is not HTTP")
        if status[1] != b"101":
            raise _of_status(int(status[1]), status[2], self._bytes[:end])
        self._ws.receive_data(self._bytes)
        if self._ws.handshake_exc is not None:
            why = self._ws.handshake_exc.__cause__ or self._ws.handshake_exc
            raise ProbeError(Step.UPGRADE, Reason.BAD_UPGRADE, str(why)[:200])
        return self._ws.state is not CONNECTING


def _of_status(code: int, phrase: bytes, head: bytes | bytearray) -> ProbeError:
    """What an HTTP answer that is no upgrade means, and whether it asks to come back later."""
    words = "".join(letter for letter in phrase.decode("latin-1").strip() if letter.isprintable())
    detail = f"HTTP {code} {words}"[:100].rstrip()
    retry_after = _RETRY_AFTER.search(head)
    if code == HTTPStatus.TOO_MANY_REQUESTS or (code == HTTPStatus.SERVICE_UNAVAILABLE and retry_after is not None):
        seconds = 0.0
        if retry_after is not None:
            asked = retry_after[1].strip()
            seconds = min(float(asked), RETRY_AFTER_LIMIT) if asked.isdigit() else RETRY_AFTER_DATE
        return RateLimitedError(Step.UPGRADE, Reason.RATE_LIMITED, detail, seconds)
    return ProbeError(Step.UPGRADE, Reason.HTTP_STATUS, detail)
