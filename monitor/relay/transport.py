"""A WebSocket transport: websockets' Sans-I/O `ClientProtocol` (RFC 6455) driven by an `asyncio.Protocol`.

The receive time is taken in `data_received`, before parsing; the send time right before the write to the socket.
Compression is not offered.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from websockets.exceptions import PayloadTooBig
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN

from monitor.errors import ProbeError
from monitor.relay import tls
from monitor.relay.upgrade import UpgradeResponse, handshake
from monitor.vocabulary import Reason, Step
from monitor.wire.codes import CloseCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.clock import Arrivals
    from monitor.relay.target import Target

CLOSE_WAIT: Final = 2.0
"""Seconds to wait for the peer's close frame before the connection is aborted."""

MAX_WRITE_BUFFER_BYTES: Final = 4 << 20
"""Bytes in the write buffer above which the connection to a peer that does not read is aborted."""

READ_SLICE_BYTES: Final = 8 << 10
"""Bytes processed in one iteration of the event loop.

uvloop may deliver up to 8 MiB at once, which would delay all timers and other connections.
"""

READ_AHEAD_BYTES: Final = 1 << 20
"""Size of the backlog above which reading is paused.

Bytes that the event loop has not read when the connection is reset are lost, so reading continues below this size.
"""

MAX_CLOSE_REASON_BYTES: Final = 123
"""Bytes of a close frame's reason (RFC 6455, section 5.5.1)."""

_TEXT, _CONT, _BINARY, _CLOSE = Opcode.TEXT, Opcode.CONT, Opcode.BINARY, Opcode.CLOSE


@dataclass(frozen=True, slots=True)
class Closed:
    """How the relay ended a connection.

    `code` is the code of the close frame, or None without one. `fault` is None for a close frame and for a connection
    closed without one; otherwise RESET, PROTOCOL, TOO_LARGE, or SILENT for a relay that does not read.
    """

    code: int | None
    reason: str
    fault: Reason | None


class Transport(asyncio.Protocol):
    """One WebSocket connection. `on_text` is called with each message and the time at which its bytes arrived.

    `on_closed` is called once, after the last message that came before the end of the connection. After
    `close` or `abort` no callback is called. The constructor raises `LocalError` for a URL or headers that cannot be
    sent.
    """

    def __init__(
        self,
        target: Target,
        arrivals: Arrivals,
        on_text: Callable[[str, float], None],
        on_closed: Callable[[Closed], None],
    ) -> None:
        self._arrivals = arrivals
        self._on_text = on_text
        self._on_closed: Callable[[Closed], None] | None = on_closed
        self._ws = handshake(target)
        self._upgraded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._response: UpgradeResponse | None = UpgradeResponse(self._ws)  # None once the upgrade is complete
        self._socket: asyncio.Transport | None = None
        self._open = False
        self._partial = bytearray()  # a fragmented message; websockets limits it to max_size
        self._fault: tuple[Reason, str] | None = None
        self._abort_timer: asyncio.TimerHandle | None = None
        # Messages received before `start`.
        self._buffered: list[tuple[str, float]] = []
        self._sink: Callable[[str, float], None] = self._buffer
        self._started = False
        self._incomplete = False  # the last bytes ended within a frame or the upgrade response
        self._closed: Closed | None = None
        self._backlog: deque[tuple[memoryview, float]] = deque()  # received and not yet processed, with arrival times
        self._deferred: list[Callable[[], None]] = []  # callbacks of asyncio that follow the backlog

    @property
    def is_open(self) -> bool:
        """True while text can be sent."""
        return self._open

    @property
    def partially_received(self) -> bool:
        """True if part of a message or of the upgrade response was received."""
        return self._incomplete or bool(self._partial)

    @property
    def bytes_buffered(self) -> int:
        """Size of the write buffer, in bytes."""
        return self._socket.get_write_buffer_size() if self._socket is not None else 0

    async def upgrade(self) -> None:
        """Send the upgrade request and wait for the response. Raises `ProbeError`."""
        self._flush()
        await self._upgraded

    def start(self) -> None:
        """Deliver the messages buffered since the upgrade, and from now on each one as it arrives."""
        self._started = True
        if self._on_closed is None:
            return
        if self._closed is None:
            self._sink = self._on_text
        buffered, self._buffered = self._buffered, []
        for text, at in buffered:
            if self._on_closed is not None:
                self._on_text(text, at)
        if self._closed is not None:
            self._report(self._closed)

    def send(self, text: str) -> None:
        """Send one text frame. Does nothing once the connection is closing."""
        if self._open:
            self._ws.send_text(text.encode())
            self._flush()

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Send a close frame and wait at most `CLOSE_WAIT` seconds for the peer's. No callback is called."""
        self._drop_callbacks()
        if self._open:
            self._open = False
            self._ws.send_close(code, reason.encode()[:MAX_CLOSE_REASON_BYTES].decode(errors="ignore"))
            self._flush()
        self._abort_later()

    def abort(self) -> None:
        """Close the TCP connection without a close frame. No callback is called."""
        self._drop_callbacks()
        self._open = False
        self._backlog.clear()
        if self._socket is not None:
            self._socket.abort()

    # asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket, or TLS over it, is connected."""
        self._socket = transport  # type: ignore[assignment]  # asyncio gives a Transport to a Protocol

    def data_received(self, data: bytes) -> None:
        """Process received bytes, or append them to the backlog."""
        now = self._arrivals.read()
        if self._fault is not None:
            return  # the connection has failed; only its end matters
        if not self._backlog and len(data) <= READ_SLICE_BYTES:  # nearly always
            self._process(data, now)
            return
        idle = not self._backlog
        self._backlog.append((memoryview(data), now))
        if self._socket is not None and sum(len(waiting) for waiting, _ in self._backlog) > READ_AHEAD_BYTES:
            self._socket.pause_reading()
        if idle:
            self._process_slice()

    def _process_slice(self) -> None:
        """Process one slice of the backlog; schedule the next one, or call the deferred callbacks."""
        room = READ_SLICE_BYTES
        while self._backlog and room > 0:
            data, at = self._backlog.popleft()
            if len(data) > room:
                self._backlog.appendleft((data[room:], at))
            self._process(bytes(data[:room]), at)
            room -= len(data)
            if self._fault is not None:
                self._backlog.clear()
        if self._backlog:
            asyncio.get_running_loop().call_soon(self._process_slice)
            return
        deferred, self._deferred = self._deferred, []
        for callback in deferred:
            callback()
        if self._socket is not None and not self._socket.is_closing():
            if deferred:
                self._socket.close()
            else:
                self._socket.resume_reading()

    def _after_backlog(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the bytes received so far are processed."""
        if self._backlog:
            self._deferred.append(callback)
        else:
            callback()

    def _process(self, data: bytes, now: float) -> None:
        ws = self._ws
        if self._response is None:
            ws.receive_data(data)
        elif not self._upgrade_completed(self._response, data):
            self._incomplete = True
            return
        events = ws.events_received()
        self._incomplete = not events or bool(ws.reader.buffer)
        for event in events:
            if type(event) is not Frame or self._fault is not None:
                continue
            if event.opcode is _TEXT and event.fin:  # nearly all frames
                self._text(event.data, now)
            else:
                self._frame(event, now)
        if ws.state is not OPEN:
            self._closing()

    def eof_received(self) -> bool:
        """The peer closed its side. Return True to leave the socket open until the backlog is processed.

        With TLS asyncio closes it at once and ignores the result.
        """
        self._after_backlog(self._eof)
        tls_closes = self._socket is None or self._socket.get_extra_info("ssl_object") is not None
        return bool(self._backlog) and not tls_closes

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._socket = None
        self._open = False
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        self._after_backlog(functools.partial(self._lost, exc))

    def _eof(self) -> None:
        if self._response is None:
            self._open = False
            self._abort_later()
            self._report(Closed(None, "connection closed", None))

    def _lost(self, exc: Exception | None) -> None:
        if self._response is not None:
            if isinstance(exc, ssl.SSLError):
                # With TLS 1.3 a missing client certificate is reported after the client's handshake.
                self._fail_upgrade(tls.of_tls_error(exc, established=True))
            else:
                self._fail_upgrade(
                    ProbeError(Step.UPGRADE, Reason.RESET, "connection lost before the upgrade was answered")
                )
        elif self._fault is not None:
            reason, detail = self._fault
            self._report(Closed(None, detail, reason))
        elif exc is None:
            self._report(Closed(None, "connection closed", None))
        elif isinstance(exc, ssl.SSLError):
            self._report(Closed(None, f"TLS: {exc.reason}", Reason.PROTOCOL))
        else:
            self._report(Closed(None, "connection reset", Reason.RESET))

    def _upgrade_completed(self, response: UpgradeResponse, data: bytes) -> bool:
        """Feed the upgrade response; return True once the upgrade is complete."""
        try:
            complete = response.receive(data)
        except ProbeError as error:
            self._fail_upgrade(error)
            return False
        if complete:
            self._response = None
            if not self._upgraded.done():  # the dial may have been cancelled meanwhile
                self._open = self._socket is not None
                self._upgraded.set_result(None)
        return complete

    def _fail_upgrade(self, error: ProbeError) -> None:
        if not self._upgraded.done():
            self._upgraded.set_exception(error)
            self._upgraded.exception()  # mark it as retrieved: the dial may have been cancelled
        self.abort()

    def _frame(self, frame: Frame, now: float) -> None:
        opcode = frame.opcode
        if opcode is _TEXT or opcode is _CONT:
            self._partial += frame.data
            if frame.fin:
                data, self._partial = self._partial, bytearray()
                self._text(data, now)
        elif opcode is _BINARY:
            self._fail(CloseCode.UNSUPPORTED_DATA, Reason.PROTOCOL, "a binary frame in a text protocol")
        else:
            self._flush()  # websockets has queued the pong

    def _text(self, data: bytes | bytearray | memoryview, now: float) -> None:
        try:
            text = str(data, "utf-8")
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_DATA, Reason.PROTOCOL, "text that is not UTF-8")
            return
        self._sink(text, now)

    def _fail(self, code: int, fault: Reason, detail: str) -> None:
        self._fault = (fault, detail)
        self._ws.fail(code, detail)

    def _closing(self) -> None:
        """Answer a close frame or a protocol error, report the end, and abort if the peer does not close."""
        self._open = False
        ws = self._ws
        if ws.parser_exc is not None and self._fault is None:
            too_large = isinstance(ws.parser_exc, PayloadTooBig)
            self._fault = (Reason.TOO_LARGE if too_large else Reason.PROTOCOL, str(ws.parser_exc)[:200])
        self._flush()
        self._abort_later()
        received = ws.close_rcvd
        if self._fault is not None:
            reason, detail = self._fault
            self._report(Closed(None, detail, reason))
        elif received is not None:
            named = received.code != CloseCode.NO_STATUS
            self._report(Closed(received.code if named else None, received.reason, None))

    def _buffer(self, text: str, at: float) -> None:
        self._buffered.append((text, at))

    def _report(self, closed: Closed) -> None:
        self._sink = _ignore
        if not self._started:
            self._closed = self._closed or closed
            return
        on_closed, self._on_closed = self._on_closed, None
        if on_closed is not None:
            on_closed(closed)

    def _drop_callbacks(self) -> None:
        self._on_closed = None
        self._sink = self._on_text = _ignore  # their owner refers to this: without a cycle it is freed at once

    def _flush(self) -> None:
        socket, pieces = self._socket, self._ws.data_to_send()
        if socket is None or not pieces or socket.is_closing():
            return
        for data in pieces:
            if data:  # an empty one asks for a half-close, which asyncio does after EOF
                socket.write(data)
        if socket.get_write_buffer_size() > MAX_WRITE_BUFFER_BYTES:
            self._fault = (Reason.SILENT, f"the relay does not read: {MAX_WRITE_BUFFER_BYTES >> 20} MiB buffered")
            self._open = False
            socket.abort()  # reported by connection_lost, not within the caller's send

    def _abort_later(self) -> None:
        if self._abort_timer is None and self._socket is not None:
            self._abort_timer = asyncio.get_running_loop().call_later(CLOSE_WAIT, self._socket.abort)


def _ignore(_text: str, _at: float) -> None:
    """Discard a message after the end of the connection."""
