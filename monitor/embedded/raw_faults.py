"""Faults below the protocol: doors that stay shut, refused upgrades, and frames that are none."""

from __future__ import annotations

import asyncio
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from websockets.protocol import State

from monitor.embedded.faults import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Response

    from monitor.embedded.faults import Fault
    from monitor.embedded.faulty import FrameFault

SIDE: Final = "X-Side"
"""The header in which a client says which side it is, for faults that strike one side only."""

PIECE: Final = 1 << 10
_ASKED_TO_WAIT: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_FIN_TEXT: Final = 0x81
_TEXT: Final = 0x01
_CONTINUATION: Final = 0x00
_RESERVED_OPCODE: Final = b"\xf3\x7f\xff"


class RawFaultTransport:
    """Listens, and never gets further than `stage`: at `tcp` nobody is accepted, at `tls` nobody is answered."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._server: asyncio.Server | None = None
        self._sockets: list[socket.socket] = []

    async def open(self, host: str, port: int) -> int:
        """Listen; returns the port. Raises `OSError`."""
        if self._stage is Stage.TLS:
            self._server = await asyncio.start_server(_swallow, host, port)
            return int(self._server.sockets[0].getsockname()[1])
        listener = socket.create_server((host, port), backlog=0)
        self._sockets.append(listener)
        address = listener.getsockname()
        # The kernel completes handshakes for a listener that accepts nobody, until its queue is full.
        for _ in range(2):
            filler = socket.socket(listener.family)
            filler.setblocking(False)  # noqa: FBT003 - the library's own signature
            filler.connect_ex(address)
            self._sockets.append(filler)
        await asyncio.sleep(0.05)
        return int(address[1])

    async def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
        for item in self._sockets:
            item.close()


async def _swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.read(PIECE):
            pass
    except ConnectionError:
        pass
    finally:
        writer.close()


async def refuse(connection: ServerConnection, fault: Fault) -> Response | None:
    """Answer an upgrade with a status, or never."""
    if fault.kind == "silent":
        await connection.wait_closed()
        return None
    response = connection.respond(HTTPStatus(fault.code), "fault\n")
    if fault.code in _ASKED_TO_WAIT:
        response.headers["Retry-After"] = str(round(fault.by))
    return response


async def misbehave(connection: ServerConnection, text: str, manner: FrameFault) -> None:
    """Send a reply as no server should. Raises `ConnectionClosed`."""
    match manner.kind:
        case "binary":
            await connection.send(text.encode())
        case "oversize":
            await connection.send("x" * manner.bytes)
        case "garbage":
            connection.transport.write(_RESERVED_OPCODE)
        case "endless":
            await _flow(connection, _endless_pieces(), 0.0)
        case "drip":
            body = text.encode()
            await _flow(connection, [bytes((byte,)) for byte in _frame(_FIN_TEXT, body)], manner.by)


async def _flow(connection: ServerConnection, pieces: Iterable[bytes], pause: float) -> None:
    transport = connection.transport
    for piece in pieces:
        if connection.state is not State.OPEN:  # closing handshake under way: the transport takes no more
            return
        transport.write(piece)
        # As fast as the client reads, no faster: what it does not take must not fill our own memory.
        while transport.get_write_buffer_size() > PIECE and not transport.is_closing():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.001)
        await asyncio.sleep(pause)


def _endless_pieces() -> Iterator[bytes]:
    yield _frame(_TEXT, b"{" * PIECE)
    while True:
        yield _frame(_CONTINUATION, b"{" * PIECE)


def _frame(first: int, body: bytes) -> bytes:
    """A server's frame (RFC 6455, section 5.2): unmasked."""
    size = len(body)
    if size < 126:  # noqa: PLR2004 - the lengths of the RFC
        return bytes((first, size)) + body
    return bytes((first, 126)) + size.to_bytes(2, "big") + body
