"""The HTTP socket: uvicorn in the monitor's own event loop, under the monitor's own signal handling."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from monitor.errors import StartupError
from monitor.web.acceptor import Door, is_allowed
from monitor.web.auth import Access, read_terms

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from starlette.types import ASGIApp

    from monitor.web.auth import Terms

STOP_WAIT: Final = 1.0
"""Seconds that answers under way have when the server stops."""

BACKLOG: Final = 256
"""Connections that the system keeps until they are taken."""

MAX_CONNECTIONS: Final = 200
REQUEST: Final = 10.0
"""Seconds a client has for a request, from its first byte on, and for the first one to begin: descriptors are what
probes live on."""

RESPONSE: Final = 60.0
"""Seconds a client may take to read its answer."""

KEEP_ALIVE: Final = 75
"""Seconds a connection may rest between requests; longer than any scrape interval in use."""

SWITCH: Final = 0.0005
"""Seconds after which a thread that renders a page lets the measuring loop go on.

Python's own are 5 ms: each message that crosses during a scrape would seem to take as much longer at every step.
"""


class WebServer:
    """Serves an application on `host:port` (port 0: any free one) until stopped; on TLS where `access` says so."""

    def __init__(self, app: ASGIApp, host: str, port: int, access: Access | None = None) -> None:
        self._host, self._port = host, port
        self._access = access or Access(read_terms(None))
        self._door: Door | None = None
        self._server = _Server(
            uvicorn.Config(
                app,
                http=_Connection,
                ws="none",
                lifespan="off",
                loop="none",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_keep_alive=KEEP_ALIVE,
            )
        )
        self._serving: asyncio.Task[None] | None = None
        self._switch = sys.getswitchinterval()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    async def start(self) -> None:
        """Listen and serve. Raises `StartupError` where the address cannot be had."""
        listener = self._listen()
        self._port = listener.getsockname()[1]
        self._serving = asyncio.create_task(self._server.serve(sockets=[]), name="web")
        up = asyncio.create_task(self._server.up.wait())
        await asyncio.wait({self._serving, up}, return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if self._serving.done():
            listener.close()
            raise StartupError(f"cannot serve on {self._host}:{self._port}: {self._serving.exception()}")
        self._door = Door(listener, self._access, self._server.connection)
        sys.setswitchinterval(SWITCH)

    async def stop(self, timeout: float = STOP_WAIT) -> None:
        """Finish what is under way, for `timeout` seconds at the most, and stop."""
        if self._serving is None:
            return
        sys.setswitchinterval(self._switch)
        if self._door is not None:
            self._door.close()
        self._server.config.timeout_graceful_shutdown = timeout  # type: ignore[assignment] # handed on to asyncio
        self._server.should_exit = True
        # Its own loop looks up ten times a second, and so does its shutdown.
        await asyncio.wait({self._serving}, timeout=timeout + 1)
        self._serving.cancel()
        self._serving = None

    def _listen(self) -> socket.socket:
        where = f"{self._host}:{self._port}"
        try:
            family, kind, proto, _, address = socket.getaddrinfo(
                self._host or None, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            listener = socket.socket(family, kind, proto)
        except OSError as error:
            raise StartupError(f"cannot listen on {where}: {error.strerror} (see server.listen)") from error
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE:
                raise StartupError(
                    f"cannot listen on {where}: port in use; stop what holds it, or change server.listen"
                ) from error
            raise StartupError(f"cannot listen on {where}: {error.strerror} (see server.listen)") from error
        return listener


class _Server(uvicorn.Server):
    """uvicorn that tells when it is up, and leaves signals to the daemon."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Called by uvicorn."""
        await super().startup(sockets)
        self.up.set()

    def connection(self, terms: Terms) -> asyncio.Protocol:
        """What speaks HTTP on one connection."""
        made = _Connection(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        made.terms = terms
        return made

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override] # there a generator
        """Called by uvicorn, which would take SIGINT and SIGTERM here."""
        return nullcontext()


class _Connection(H11Protocol):
    """uvicorn's connection, with an end to those that finish no request or take no answer: it waits without limit."""

    terms: Terms
    _is_welcome = False
    _patience: asyncio.TimerHandle | None = None  # with its request
    _delivery: asyncio.TimerHandle | None = None  # of the answer to its latest

    def connection_made(self, transport: Any) -> None:
        """Called by the event loop."""
        super().connection_made(transport)
        self._is_welcome = len(self.connections) <= MAX_CONNECTIONS and is_allowed(self.terms, transport)
        if not self._is_welcome:
            transport.abort()
            return
        self._patience = self.loop.call_later(REQUEST, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop; the first request may come along with the end of the handshake."""
        if not self._is_welcome:
            return
        super().data_received(data)
        if self.conn.their_state not in {h11.IDLE, h11.SEND_BODY}:  # it is whole
            self._calm()
            self._delivery = self.loop.call_later(RESPONSE, self._overdue)
        elif self._patience is None:
            self._patience = self.loop.call_later(REQUEST, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._calm()
        super().connection_lost(exc)

    def _overdue(self) -> None:
        """The answer should have been taken by now; to close in good order would wait until it is."""
        self._delivery = None
        if self.transport.get_write_buffer_size() or not getattr(self.cycle, "response_complete", True):
            self.transport.abort()

    def _calm(self) -> None:
        for timer in (self._patience, self._delivery):
            if timer is not None:
                timer.cancel()
        self._patience = self._delivery = None
