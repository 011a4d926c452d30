"""A WebSocket over an `asyncio.Protocol`: text frames in and out, as close to the socket as it gets.

websockets' Sans-I/O `ClientProtocol` (RFC 6455) does the protocol. The receive time is read when the event loop hands
over the bytes, before anything is parsed; the send time when they are handed to the socket. No compression is offered.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final

from websockets.exceptions import PayloadTooBig
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN

from monitor.errors import ProbeError
from monitor.relay import tls
from monitor.relay.target import Closed
from monitor.relay.upgrade import Answer, handshake
from monitor.vocabulary import Reason, Step
from monitor.wire.codes import CloseCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.clock import Arrivals
    from monitor.relay.target import Target

CLOSE_WAIT: Final = 2.0
"""Seconds an orderly close waits for the peer's part of it."""

MAX_UNSENT: Final = 4 << 20
"""Bytes that may wait for a peer that does not read before the connection is given up."""

TURN: Final = 8 << 10
"""Bytes that one turn of the event loop takes at most: two thousand frames, should a relay send so small ones.

uvloop would read on for as long as more comes, 8 MiB in one turn, and every timer and connection would wait for it.
"""

MAX_REASON: Final = 123
"""Bytes of a close frame's reason (RFC 6455, section 5.5.1)."""

_TEXT, _CONT, _BINARY, _CLOSE = Opcode.TEXT, Opcode.CONT, Opcode.BINARY, Opcode.CLOSE


class Transport(asyncio.Protocol):
    """One WebSocket connection. `on_text` and `on_closed` are called in the very call that brought the bytes.

    `on_closed` is called exactly once, as soon as the end is known, unless this side closed or aborted: then nothing
    is called any more. Raises `LocalError` for a URL or headers that cannot be sent.
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
        self._answer: Answer | None = Answer(self._ws)  # until the upgrade is through
        self._socket: asyncio.Transport | None = None
        self._open = False
        self._partial = bytearray()  # a fragmented message so far; websockets bounds it by max_size
        self._fault: tuple[Reason, str] | None = None
        self._giving_up: asyncio.TimerHandle | None = None
        # Until `start`, what comes is held back; a loop's turn or two, so little can.
        self._held: list[tuple[str, float]] = []
        self._sink: Callable[[str, float], None] = self._hold
        self._started = False
        self._incomplete = False  # the latest bytes left a frame, or the upgrade's answer, without its end
        self._end: Closed | None = None

    @property
    def is_open(self) -> bool:
        """Whether text can be sent."""
        return self._open

    @property
    def flowing(self) -> bool:
        """Whether part of a message, or of the answer to the upgrade, has come."""
        return self._incomplete or bool(self._partial)

    @property
    def bytes_buffered(self) -> int:
        """Bytes the socket has not taken yet."""
        return self._socket.get_write_buffer_size() if self._socket is not None else 0

    async def upgrade(self) -> None:
        """Ask for the WebSocket and wait for the answer. Raises `ProbeError`."""
        self._flush()
        await self._upgraded

    def start(self) -> None:
        """Hand over what was held back since the upgrade, and from now on everything as it comes."""
        self._started = True
        if self._on_closed is None:
            return
        if self._end is None:
            self._sink = self._on_text
        held, self._held = self._held, []
        for text, at in held:
            if self._on_closed is not None:
                self._on_text(text, at)
        if self._end is not None:
            self._report(self._end)

    def send(self, text: str) -> None:
        """Send one text frame; nothing is sent any more once the connection is closing."""
        if self._open:
            self._ws.send_text(text.encode())
            self._flush()

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Close in good order, waiting `CLOSE_WAIT` seconds at most for the peer. Nothing is called any more."""
        self._fall_silent()
        if self._open:
            self._open = False
            self._ws.send_close(code, reason.encode()[:MAX_REASON].decode(errors="ignore"))
            self._flush()
        self._give_up_later()

    def abort(self) -> None:
        """Drop the TCP connection: no close frame, and nothing is called any more."""
        self._fall_silent()
        self._open = False
        if self._socket is not None:
            self._socket.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket (or TLS over it) is ours."""
        self._socket = transport  # type: ignore[assignment]  # asyncio gives a Transport to a Protocol

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        now = self._arrivals.read()
        if self._fault is not None:
            return  # nothing is heard any more but the end
        if len(data) <= TURN:
            self._take(data, now)
        elif self._socket is not None:
            self._socket.pause_reading()
            self._take_in_turns(memoryview(data), now)

    def _take_in_turns(self, data: memoryview, now: float) -> None:
        """Take what one turn may, and leave the rest to the next ones; until then nothing more is read."""
        self._take(bytes(data[:TURN]), now)
        if self._socket is None or self._socket.is_closing():
            return
        rest = data[TURN:]
        if rest and self._fault is None:
            asyncio.get_running_loop().call_soon(self._take_in_turns, rest, now)
        else:
            self._socket.resume_reading()

    def _take(self, data: bytes, now: float) -> None:
        ws = self._ws
        if self._answer is None:
            ws.receive_data(data)
        elif not self._answered(self._answer, data):
            self._incomplete = True
            return
        events = ws.events_received()
        self._incomplete = not events or bool(ws.reader.buffer)
        for event in events:
            if type(event) is not Frame or self._fault is not None:
                continue
            if event.opcode is _TEXT and event.fin:  # nearly all are
                self._text(event.data, now)
            else:
                self._frame(event, now)
        if ws.state is not OPEN:
            self._closing()

    def eof_received(self) -> None:
        """The peer sends nothing more; asyncio closes the connection."""
        if self._answer is None:
            self._open = False
            self._give_up_later()
            self._report(Closed(None, "connection closed", None))

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._socket = None
        self._open = False
        if self._giving_up is not None:
            self._giving_up.cancel()
        if self._answer is not None:
            if isinstance(exc, ssl.SSLError):
                # TLS 1.3 tells of a missing client certificate only after the client thinks the handshake done.
                self._refuse(tls.obstacle_of(exc))
            else:
                self._refuse(ProbeError(Step.UPGRADE, Reason.RESET, "connection lost before the upgrade was answered"))
        elif self._fault is not None:
            reason, detail = self._fault
            self._report(Closed(None, detail, reason))
        elif exc is None:
            self._report(Closed(None, "connection closed", None))
        elif isinstance(exc, ssl.SSLError):
            self._report(Closed(None, f"TLS: {exc.reason}", Reason.PROTOCOL))
        else:
            self._report(Closed(None, "connection reset", Reason.RESET))

    # Inside.

    def _answered(self, answer: Answer, data: bytes) -> bool:
        """Whether the upgrade is through with these bytes."""
        try:
            complete = answer.receive(data)
        except ProbeError as error:
            self._refuse(error)
            return False
        if complete:
            self._answer = None
            if not self._upgraded.done():  # the dial may have been cancelled in this turn
                self._open = True
                self._upgraded.set_result(None)
        return complete

    def _refuse(self, error: ProbeError) -> None:
        if not self._upgraded.done():
            self._upgraded.set_exception(error)
            self._upgraded.exception()  # seen, even where nobody waits for it
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
            self._flush()  # websockets has the answer to a ping ready

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
        """A close frame came, or something that is against the protocol: answer, say so, and wait for the end."""
        self._open = False
        ws = self._ws
        if ws.parser_exc is not None and self._fault is None:
            too_large = isinstance(ws.parser_exc, PayloadTooBig)
            self._fault = (Reason.TOO_LARGE if too_large else Reason.PROTOCOL, str(ws.parser_exc)[:200])
        self._flush()
        self._give_up_later()
        received = ws.close_rcvd
        if self._fault is not None:
            reason, detail = self._fault
            self._report(Closed(None, detail, reason))
        elif received is not None:
            named = received.code != CloseCode.NO_STATUS
            self._report(Closed(received.code if named else None, received.reason, None))

    def _hold(self, text: str, at: float) -> None:
        self._held.append((text, at))

    def _report(self, closed: Closed) -> None:
        self._sink = _ignore
        if not self._started:
            self._end = self._end or closed
            return
        on_closed, self._on_closed = self._on_closed, None
        if on_closed is not None:
            on_closed(closed)

    def _fall_silent(self) -> None:
        self._on_closed = None
        self._sink = _ignore

    def _flush(self) -> None:
        socket, pieces = self._socket, self._ws.data_to_send()
        if socket is None or not pieces:
            return
        for data in pieces:
            if data:  # an empty one asks to half-close, which asyncio does better after an EOF
                socket.write(data)
        if socket.get_write_buffer_size() > MAX_UNSENT:
            self._fault = (Reason.SILENT, f"the relay does not read: {MAX_UNSENT >> 20} MiB wait for it")
            self._open = False
            socket.abort()  # reported when it is lost, not in the middle of a caller's send

    def _give_up_later(self) -> None:
        if self._giving_up is None and self._socket is not None:
            self._giving_up = asyncio.get_running_loop().call_later(CLOSE_WAIT, self._socket.abort)


def _ignore(_text: str, _at: float) -> None:
    """Nothing is handed over after the end."""
