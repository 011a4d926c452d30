"""A TCP load balancer in front of relays, controlled by the test: health of backends, refusals, an outage."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Self

from tests.sockets import closed_port

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

PATH: Final = "/connection/websocket"
CHUNK: Final = 1 << 16
MAX_HEAD: Final = 1 << 14


def http_response(status: int, **headers: str) -> bytes:
    """Return an HTTP response without a body; `Retry_After="60"` is the header Retry-After."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "Content-Length: 0", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@dataclass(slots=True, eq=False)
class Forwarded:
    """An open connection: its backend, and the first bytes of its client in lower case."""

    backend: str
    request: bytes = b""


class Balancer:
    """Forwards each connection to the next enabled backend (HOST:PORT) that accepts it.

    Without such a backend a client gets 502, as from nginx. With `refusal` set, a new client gets that response, and
    existing connections stay.
    """

    def __init__(self, *backends: str, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.backends = list(backends)
        self.host = host
        self.port = closed_port()
        self.refusal: bytes | None = None
        self.disabled: set[str] = set()
        self._tls = tls
        self._next = 0
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._forwarded: list[Forwarded] = []

    @property
    def url(self) -> str:
        """URL for clients."""
        return f"{'ws' if self._tls is None else 'wss'}://{self.address}{PATH}"

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"{self.host}:{self.port}"

    async def start(self) -> None:
        """Listen, on the same port after each `stop`."""
        self._server = await asyncio.start_server(self._accept, self.host, self.port, ssl=self._tls)

    async def stop(self) -> None:
        """Refuse connections, and close those that exist."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.drop()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def backend_of(self, text: bytes) -> str:
        """Return the backend of the oldest open connection with this text in its request, in lower case."""
        return next(each.backend for each in self._forwarded if text in each.request)

    def drop(self) -> None:
        """Close all connections that exist."""
        for serving in self._serving:
            serving.cancel()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            if self.refusal is not None:
                await _respond(reader, writer, self.refusal)
            elif (connected := await self._connect()) is None:
                await _respond(reader, writer, http_response(502))
            else:
                forwarded = Forwarded(connected[0])
                self._forwarded.append(forwarded)
                try:
                    await _forward(reader, writer, *connected[1], forwarded)
                finally:
                    self._forwarded.remove(forwarded)
            writer.close()
            await writer.wait_closed()  # what was read from the backend is sent, such as a close frame
        writer.transport.abort()

    async def _connect(self) -> tuple[str, tuple[asyncio.StreamReader, asyncio.StreamWriter]] | None:
        """Connect to the next backend that accepts, and return it with its streams; None if none does."""
        for _ in self.backends:
            backend = self.backends[self._next % len(self.backends)]
            self._next += 1
            if backend not in self.disabled:
                host, _, port = backend.rpartition(":")
                with suppress(OSError):
                    return backend, await asyncio.open_connection(host, int(port))
        return None


async def _respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, response: bytes) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(response)
    await writer.drain()
    writer.write_eof() if writer.can_write_eof() else writer.close()
    await reader.read(CHUNK)


async def _forward(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    backend_reader: asyncio.StreamReader,
    backend_writer: asyncio.StreamWriter,
    forwarded: Forwarded,
) -> None:
    """Copy bytes both ways until one side ends."""
    ways = [
        asyncio.ensure_future(_copy(reader, backend_writer, forwarded)),
        asyncio.ensure_future(_copy(backend_reader, writer)),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        backend_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, forwarded: Forwarded | None = None) -> None:
    with suppress(OSError):
        while chunk := await reader.read(CHUNK):
            if forwarded is not None and not forwarded.request:
                forwarded.request = chunk.lower()
            writer.write(chunk)
            await writer.drain()
        await writer.drain()
