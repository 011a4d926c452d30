"""Faults below the protocol: unresponsive listeners, refused upgrades, and invalid frames."""

from __future__ import annotations

import asyncio
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from websockets.protocol import State

from monitor.embedded.faults import FaultStep

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Response

    from monitor.embedded.faults import Fault
    from monitor.embedded.faulty import FrameFault

SIDE: Final = "X-Side"
"""Header in which a client names its side, for faults of one side."""

CHUNK_BYTES: Final = 1 << 10
_RETRY_LATER: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_FIN_TEXT: Final = 0x81
_TEXT: Final = 0x01
_CONTINUATION: Final = 0x00
_RESERVED_OPCODE: Final = b"\xf3\x7f\xff"


class UnresponsiveListener:
    """A listener that accepts no connection (step `tcp`) or answers none (step `tls`)."""

    def __init__(self, step: FaultStep) -> None:
        self._step = step
        self._server: asyncio.Server | None = None
        self._sockets: list[socket.socket] = []

    async def open(self, host: str, port: int) -> int:
        """Listen and return the port. Raises `OSError`."""
        if self._step is FaultStep.TLS:
            self._server = await asyncio.start_server(_discard, host, port)
            return int(self._server.sockets[0].getsockname()[1])
        listener = socket.create_server((host, port), backlog=0)
        self._sockets.append(listener)
        address = listener.getsockname()
        # The kernel completes handshakes for a listener until its queue is full.
        for _ in range(2):
            filler = socket.socket(listener.family)
            filler.setblocking(False)  # noqa: FBT003 - the library's own signature
            filler.connect_ex(address)
            self._sockets.append(filler)
        await asyncio.sleep(0.05)
        return int(address[1])

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
        for item in self._sockets:
            item.close()


async def _discard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.read(CHUNK_BYTES):
            pass
    except ConnectionError:
        pass
    finally:
        writer.close()


async def refuse(connection: ServerConnection, fault: Fault) -> Response | None:
    """Answer an upgrade with a status, or not at all."""
    if fault.kind == "silent":
        await connection.wait_closed()
        return None
    response = connection.respond(HTTPStatus(fault.code), "fault\n")
    if fault.code in _RETRY_LATER and fault.by:
        response.headers["Retry-After"] = str(round(fault.by))
    return response


async def send_frame_fault(connection: ServerConnection, text: str, frame_fault: FrameFault) -> None:
    """Send a reply as an invalid or slow frame. Raises `ConnectionClosed`."""
    match frame_fault.kind:
        case "binary":
            await connection.send(text.encode())
        case "oversize":
            await connection.send("x" * frame_fault.bytes)
        case "garbage":
            connection.transport.write(_RESERVED_OPCODE)
        case "endless":
            await _write_slowly(connection, _endless_fragments(), 0.0)
        case "drip":
            body = text.encode()
            await _write_slowly(connection, [bytes((byte,)) for byte in _frame(_FIN_TEXT, body)], frame_fault.by)


async def _write_slowly(connection: ServerConnection, pieces: Iterable[bytes], pause: float) -> None:
    transport = connection.transport
    for piece in pieces:
        if connection.state is not State.OPEN:  # the closing handshake has begun
            return
        transport.write(piece)
        # At the client's pace, so that unread data does not fill the memory.
        while transport.get_write_buffer_size() > CHUNK_BYTES and not transport.is_closing():  # noqa: ASYNC110 - no event signals it
            await asyncio.sleep(0.001)
        await asyncio.sleep(pause)


def _endless_fragments() -> Iterator[bytes]:
    yield _frame(_TEXT, b"{" * CHUNK_BYTES)
    while True:
        yield _frame(_CONTINUATION, b"{" * CHUNK_BYTES)


def _frame(first: int, body: bytes) -> bytes:
    """Return an unmasked frame (RFC 6455, section 5.2)."""
    size = len(body)
    if size < 126:  # noqa: PLR2004 - the lengths of the RFC
        return bytes((first, size)) + body
    return bytes((first, 126)) + size.to_bytes(2, "big") + body
