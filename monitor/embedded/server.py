"""The embedded relay's socket: websockets' asyncio server around `session.Session`."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from monitor.embedded.broker import Broker
from monitor.embedded.namespaces import PRODUCTION, Namespace
from monitor.embedded.session import Session, Terms
from monitor.errors import StartupError
from monitor.wire.codes import CloseCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from websockets.http11 import Request, Response

PATH: Final = "/connection/websocket"
MAX_FRAME: Final = 64 << 10
MAX_CLIENTS: Final = 20_000
WRITE_TIMEOUT: Final = 1.0
"""Seconds a client's full socket may keep a frame waiting, as Centrifugo has it."""

CLOSE_TIMEOUT: Final = 2.0
"""Seconds a client has to answer a close frame."""


class EmbeddedRelay:
    """A relay on `host:port` (port 0: any free one), for as long as it is started."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        namespaces: Sequence[Namespace] = PRODUCTION,
        ping_interval: float = 25.0,
        pong_timeout: float = 8.0,
        stale_timeout: float = 10.0,
        token: str | None = None,
    ) -> None:
        self._host, self._port = host, port
        self._terms = Terms(
            ping_interval=ping_interval, pong_timeout=pong_timeout, stale_timeout=stale_timeout, token=token
        )
        self._broker = Broker(namespaces)
        self._sessions: dict[Session, None] = {}
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"ws://{host}:{self._port}{PATH}"

    @property
    def connections(self) -> int:
        """Clients connected now."""
        return len(self._sessions)

    async def start(self) -> None:
        """Listen. Raises `StartupError` where the address cannot be had."""
        try:
            self._server = await serve(
                self._handle,
                self._host,
                self._port,
                compression=None,
                max_size=MAX_FRAME,
                ping_interval=None,  # the protocol has pings of its own
                close_timeout=CLOSE_TIMEOUT,
                process_request=self._admit,
                server_header=None,
            )
        except OSError as error:
            what = error.strerror or str(error)
            raise StartupError(f"the relay cannot listen on {self._host}:{self._port}: {what}") from error
        self._port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        """Tell every client to come back later (3001), and stop."""
        self.disconnect_all(CloseCode.SHUTDOWN)
        if self._server is not None:
            self._server.close(close_connections=False)  # their own writers do that, with the right code
            await self._server.wait_closed()
            self._server = None

    def disconnect_all(self, code: int, reason: str | None = None) -> None:
        """Close every connection with `code`."""
        for session in list(self._sessions):
            session.close(code, reason)

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.path.partition("?")[0] != PATH:
            return connection.respond(HTTPStatus.NOT_FOUND, "not found\n")
        if len(self._sessions) >= MAX_CLIENTS:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "too many clients\n")
        return None

    async def _handle(self, connection: ServerConnection) -> None:
        waiting = asyncio.Event()
        session = Session(self._broker, self._terms, time.monotonic(), waiting.set)
        self._sessions[session] = None
        writer = asyncio.ensure_future(_write(session, connection, waiting))
        try:
            async for frame in connection:
                # Centrifugo takes JSON in a binary frame too.
                session.receive(frame if isinstance(frame, str) else frame.decode(errors="replace"), time.monotonic())
                if session.closing is not None:
                    break
            if session.closing is not None:
                await writer
        except ConnectionClosed:
            pass
        finally:
            writer.cancel()
            session.gone()
            del self._sessions[session]


async def _write(session: Session, connection: ServerConnection, waiting: asyncio.Event) -> None:
    """Send what the session has to say, see to its timers, and close when it is over."""
    try:
        while session.closing is None:
            due = session.deadline()
            try:
                async with asyncio.timeout(None if due is None else max(0.0, due - time.monotonic())):
                    await waiting.wait()
            except TimeoutError:
                session.tick(time.monotonic())
            waiting.clear()
            if lines := session.lines():
                try:
                    async with asyncio.timeout(WRITE_TIMEOUT):
                        await connection.send("\n".join(lines))
                except TimeoutError:
                    session.close(CloseCode.SLOW)
        async with asyncio.timeout(CLOSE_TIMEOUT + WRITE_TIMEOUT):
            await connection.close(*session.closing)
    except ConnectionClosed:
        pass
    except TimeoutError:
        # The close frame waits behind what the client does not read.
        connection.transport.abort()


async def serve_forever(host: str, port: int) -> None:
    """Run a relay until cancelled."""
    relay = EmbeddedRelay(host, port)
    await relay.start()
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await relay.stop()
