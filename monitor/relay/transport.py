"""A WebSocket over an `asyncio.Protocol`: text frames in and out, as close to the socket as it gets.

websockets' Sans-I/O `ClientProtocol` (RFC 6455) does the protocol. The receive time is read when the event loop hands
over the bytes, before anything is parsed; the send time when they are handed to the socket. No compression is offered.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final

from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from monitor.catalogue import Reason, Step
from monitor.errors import Obstacle
from monitor.relay import tls
from monitor.relay.target import Closed, RateLimited

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.clock import Clock
    from monitor.relay.target import Target

CLOSE_WAIT: Final = 2.0
"""Seconds an orderly close waits for the peer's part of it."""

MAX_UNSENT: Final = 4 << 20
"""Bytes that may wait for a peer that does not read before the connection is given up."""

MAX_HANDSHAKE: Final = 64 << 10
"""Bytes of an upgrade's response."""

RETRY_AFTER_LIMIT: Final = 3600.0

_FAULTS: Final = {1002: Reason.PROTOCOL, 1003: Reason.PROTOCOL, 1007: Reason.PROTOCOL, 1009: Reason.TOO_LARGE}


class Transport(asyncio.Protocol):
    """One WebSocket connection. `on_text` and `on_closed` are called in the very call that brought the bytes.

    `on_closed` is called exactly once after the upgrade, unless this side aborted.
    """

    def __init__(
        self,
        target: Target,
        clock: Clock,
        on_text: Callable[[str, float], None],
        on_closed: Callable[[Closed], None],
    ) -> None:
        self.upgraded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._clock = clock
        self._on_text = on_text
        self._on_closed: Callable[[Closed], None] | None = on_closed
        self._max_message = target.max_frame
        self._ws = ClientProtocol(
            parse_uri(target.url),
            origin=target.origin,  # type: ignore[arg-type]  # a NewType of str
            subprotocols=target.subprotocols or None,  # type: ignore[arg-type]  # a NewType of str
            max_size=target.max_frame,
        )
        self._headers = Headers([("User-Agent", target.user_agent), *target.headers])
        self._socket: asyncio.Transport | None = None
        self._fragments: list[bytes] = []
        self._handshake_bytes = 0
        self._lost: Exception | None = None
        self._fault: Reason | None = None
        self._closing: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether text can be sent."""
        return self._socket is not None and self._ws.state is OPEN

    @property
    def bytes_buffered(self) -> int:
        """Bytes the socket has not taken yet."""
        return self._socket.get_write_buffer_size() if self._socket is not None else 0

    def upgrade(self) -> None:
        """Send the upgrade request; `upgraded` tells how it goes, with an `Obstacle` where it fails."""
        request = self._ws.connect()
        request.headers.update(self._headers)
        self._ws.send_request(request)
        self._flush()

    def send(self, text: str) -> float:
        """Send one text frame; returns when its bytes were handed to the socket.

        Nothing is sent any more once the connection is closing.
        """
        if self.is_open and self._socket is not None:
            self._ws.send_text(text.encode())
            for data in self._ws.data_to_send():
                self._socket.write(data)
            if self._socket.get_write_buffer_size() > MAX_UNSENT:
                self._fail(Reason.SILENT, "the relay reads nothing")
        return self._clock.monotonic()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close in good order, waiting `CLOSE_WAIT` seconds at most for the peer."""
        self._on_closed = None
        if self._socket is None:
            return
        if not self.is_open:
            self._socket.close()
            return
        self._ws.send_close(code, reason[:120])
        self._flush()
        self._give_up_later()

    def abort(self) -> None:
        """Drop the TCP connection: no close frame, and nothing is reported any more."""
        self._on_closed = None
        if self._socket is not None:
            self._socket.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket (or TLS over it) is ours."""
        self._socket = transport  # type: ignore[assignment]  # asyncio gives a Transport to a Protocol

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        now = self._clock.monotonic()
        if not self.upgraded.done():
            self._handshake_bytes += len(data)
            if self._handshake_bytes > MAX_HANDSHAKE and self._ws.state is not OPEN:
                self._refuse(Obstacle(Step.UPGRADE, Reason.TOO_LARGE, "the answer to the upgrade has no end"))
                return
        ws = self._ws
        ws.receive_data(data)
        for event in ws.events_received():
            if type(event) is Frame:
                if self._on_closed is not None:
                    self._frame(event, now)
            elif isinstance(event, Response):
                self._answered(event)
        if ws.handshake_exc is not None and not self.upgraded.done():
            self._refuse(Obstacle(Step.UPGRADE, Reason.BAD_UPGRADE, str(ws.handshake_exc)[:200]))
        if ws.parser_exc is not None and self._fault is None:
            self._fault = _FAULTS.get(ws.close_sent.code if ws.close_sent else 0, Reason.PROTOCOL)
        self._flush()
        if self._closing is None and ws.close_expected():
            self._give_up_later()

    def eof_received(self) -> bool:
        """The peer sends nothing more."""
        self._ws.receive_eof()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._socket = None
        if self._closing is not None:
            self._closing.cancel()
        if not self.upgraded.done():
            if isinstance(exc, ssl.SSLError):
                # TLS 1.3 tells of a missing client certificate only after the client thinks the handshake done.
                obstacle = tls.obstacle_of(exc)
            else:
                detail = "closed before the upgrade was answered" if exc is None else _what(exc)
                obstacle = Obstacle(Step.UPGRADE, Reason.RESET, detail)
            self.upgraded.set_exception(obstacle)
            self.upgraded.exception()  # seen, even where the dial was cancelled meanwhile
            return
        on_closed, self._on_closed = self._on_closed, None
        if on_closed is None:
            return
        received = self._ws.close_rcvd
        if self._fault is not None:
            detail = self._ws.close_sent.reason if self._ws.close_sent else ""
            on_closed(Closed(None, detail or self._fault.value, self._fault))
        elif received is not None and received.code != 1005:
            on_closed(Closed(received.code, received.reason, None))
        elif received is not None:
            on_closed(Closed(None, "a close frame without a code", None))
        else:
            fault = Reason.RESET if exc is not None else None
            on_closed(Closed(None, "connection reset" if exc is not None else "connection closed", fault))

    # Inside.

    def _answered(self, response: Response) -> None:
        error = self._ws.handshake_exc
        if error is None:
            if not self.upgraded.done():
                self.upgraded.set_result(None)
        elif isinstance(error, InvalidStatus):
            self._refuse(_of_status(response))
        else:
            self._refuse(Obstacle(Step.UPGRADE, Reason.BAD_UPGRADE, str(error)[:200]))

    def _refuse(self, obstacle: Obstacle) -> None:
        if not self.upgraded.done():
            self.upgraded.set_exception(obstacle)
            self.upgraded.exception()
        self.abort()

    def _frame(self, frame: Frame, now: float) -> None:
        opcode = frame.opcode
        if opcode is Opcode.TEXT and frame.fin:
            self._text(frame.data, now)
        elif opcode is Opcode.TEXT or opcode is Opcode.CONT:
            # websockets bounds the sum of a message's fragments by max_size.
            self._fragments.append(bytes(frame.data))
            if frame.fin:
                data, self._fragments = b"".join(self._fragments), []
                self._text(data, now)
        elif opcode is Opcode.BINARY:
            self._violate(1003, Reason.PROTOCOL, "a binary frame in the JSON protocol")

    def _text(self, data: bytes | bytearray | memoryview, now: float) -> None:
        try:
            text = str(data, "utf-8")
        except UnicodeDecodeError:
            self._violate(1007, Reason.PROTOCOL, "text that is not UTF-8")
            return
        self._on_text(text, now)

    def _violate(self, code: int, fault: Reason, detail: str) -> None:
        if self._fault is None:
            self._fault = fault
            self._ws.fail(code, detail)

    def _fail(self, fault: Reason, detail: str) -> None:
        on_closed, self._on_closed = self._on_closed, None
        if self._socket is not None:
            self._socket.abort()
        if on_closed is not None:
            on_closed(Closed(None, detail, fault))

    def _flush(self) -> None:
        if self._socket is None:
            return
        for data in self._ws.data_to_send():
            if data:
                self._socket.write(data)
            elif self._socket.can_write_eof():
                self._socket.write_eof()
            else:
                self._socket.close()

    def _give_up_later(self) -> None:
        if self._closing is None and self._socket is not None:
            self._closing = asyncio.get_running_loop().call_later(CLOSE_WAIT, self._socket.abort)


def _of_status(response: Response) -> Obstacle:
    """An HTTP answer that is no upgrade, and whether it asks to come back later."""
    detail = f"HTTP {response.status_code} {response.reason_phrase}".strip()
    after = response.headers.get("Retry-After")
    if response.status_code == 429 or (response.status_code == 503 and after is not None):
        try:
            seconds = min(max(float(after or 0), 0.0), RETRY_AFTER_LIMIT)
        except ValueError:
            seconds = 60.0  # a date: polite enough without trusting the relay's clock
        return RateLimited(Step.UPGRADE, Reason.RATE_LIMITED, detail, seconds)
    return Obstacle(Step.UPGRADE, Reason.HTTP_STATUS, detail)


def _what(error: BaseException) -> str:
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error))[:200]
