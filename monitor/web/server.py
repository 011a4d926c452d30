"""The HTTP server: uvicorn in the monitor's event loop, without its signal handling."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, Final

import anyio.to_thread
import h11
import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from monitor.errors import StartupError
from monitor.supervision import Supervision
from monitor.threads import run_in_thread
from monitor.web import events
from monitor.web.acceptor import Acceptor, is_allowed
from monitor.web.auth import WebAuth, read_security
from monitor.web.connection_limits import MAX_CONNECTIONS, excess, origin_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from starlette.types import ASGIApp

    from monitor.web.auth import ServerSecurity

_log = structlog.get_logger(__name__)

START_TIMEOUT: Final = 10.0
"""Seconds within which the server must start; it takes some milliseconds."""

STOP_TIMEOUT: Final = 1.0
"""Seconds that running requests have when the server stops."""

BACKLOG: Final = 256
"""Backlog of the listening socket."""

MAX_REQUESTS: Final = 2 * MAX_CONNECTIONS
"""Largest number of concurrent requests, with those whose client has disconnected, which run on."""

REQUEST_TIMEOUT: Final = 10.0
"""Seconds a client has to send a request. Idle clients would use up descriptors that probes need."""

RESPONSE_TIMEOUT: Final = 60.0
"""Seconds a client has to read a response."""

KEEP_ALIVE_TIMEOUT: Final = 75
"""Seconds a connection may be idle between requests; longer than usual scrape intervals."""

RENDERING_THREADS: Final = 4
"""Largest number of threads in which responses are rendered, by any number of clients.

Each competes with the event loop for the interpreter. With 40, the default, 100 clients that list runs block it for
up to 600 ms, and for 200 ms with this value.
"""

SWITCH_INTERVAL: Final = 0.0005
"""Switch interval of the interpreter, in seconds.

With Python's default of 5 ms, a thread that renders a page would delay each message by as much: the P90 of a byte
over loopback during a scrape is 5.2 ms, and 0.1 ms with this value (`bench.measures`).
"""


class WebServer:
    """Serves an application on `host:port` (port 0: any free one), with TLS if `auth` configures it."""

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        auth: WebAuth | None = None,
        supervision: Supervision | None = None,
    ) -> None:
        self._host, self._port = host, port
        self._supervision = supervision or Supervision()
        self._auth = auth or WebAuth(read_security(None))
        self._acceptor: Acceptor | None = None
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
                limit_concurrency=MAX_REQUESTS,
                timeout_keep_alive=KEEP_ALIVE_TIMEOUT,
            )
        )
        self._serving: asyncio.Task[None] | None = None
        self._previous_switch_interval = sys.getswitchinterval()

    @property
    def port(self) -> int:
        """Port of the listening socket."""
        return self._port

    async def start(self) -> None:
        """Start serving. Raises `StartupError` if the address is not available."""
        listener = await run_in_thread("look-up of the listening address", self._listen)
        self._port = listener.getsockname()[1]
        self._serving = self._supervision.watch("web", self._serve)
        try:
            async with asyncio.timeout(START_TIMEOUT):
                await self._server.started_event.wait()
        except TimeoutError as error:
            listener.close()
            raise StartupError(f"cannot serve on {self._host}:{self._port}; see the log") from error
        self._acceptor = Acceptor(listener, self._auth, self._server.connection, self._supervision)
        sys.setswitchinterval(SWITCH_INTERVAL)
        anyio.to_thread.current_default_thread_limiter().total_tokens = RENDERING_THREADS

    async def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Stop serving. Running requests have `timeout` seconds to finish."""
        if self._serving is None:
            return
        sys.setswitchinterval(self._previous_switch_interval)
        if self._acceptor is not None:
            self._acceptor.close()
        self._server.config.timeout_graceful_shutdown = timeout  # type: ignore[assignment] # passed to asyncio
        self._server.should_exit = True
        # uvicorn polls ten times a second, and so does its shutdown.
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout + 1):
                await self._server.ended_event.wait()
        self._serving.cancel()
        self._serving = None

    async def _serve(self) -> None:
        """Run uvicorn's server until its exit is requested, then wait for the cancellation."""
        await self._server.serve(sockets=[])
        if self._server.should_exit:
            self._server.ended_event.set()
            await asyncio.Event().wait()

    def _listen(self) -> socket.socket:
        address_text = f"{self._host}:{self._port}"
        try:
            family, kind, proto, _, address = socket.getaddrinfo(
                self._host or None, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            listener = socket.socket(family, kind, proto)
        except OSError as error:
            raise StartupError(f"cannot listen on {address_text}: {error.strerror} (see server.listen)") from error
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE:
                raise StartupError(
                    f"cannot listen on {address_text}: port in use; stop the other process, or change server.listen"
                ) from error
            raise StartupError(f"cannot listen on {address_text}: {error.strerror} (see server.listen)") from error
        return listener


class _Server(uvicorn.Server):
    """uvicorn's server, with events for its start and end, and without signal handlers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.started_event, self.ended_event = asyncio.Event(), asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See `uvicorn.Server`."""
        await super().startup(sockets)
        self.started_event.set()

    def connection(self, security: ServerSecurity) -> asyncio.Protocol:
        """Return the protocol of one connection."""
        connection = _Connection(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        connection.security = security
        return connection

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override] # a generator there
        """Leave SIGINT and SIGTERM to the daemon."""
        return nullcontext()


class _Connection(H11Protocol):
    """uvicorn's connection, with limits, and timeouts for requests and responses."""

    security: ServerSecurity
    origin = ""
    active_at = 0.0  # when it was opened or last answered a request, on the event loop's clock
    _accepted = False
    _request_timer: asyncio.TimerHandle | None = None  # of the request
    _response_timer: asyncio.TimerHandle | None = None  # of the response

    def connection_made(self, transport: Any) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self.origin, self.active_at = origin_of(self.client[0] if self.client else ""), self.loop.time()
        if not is_allowed(self.security, transport):
            transport.abort()
            return
        excessive = excess(self, self._others())
        if excessive is not None:
            _log.warning("client disconnected: too many connections", client=excessive.origin, repeats=True)
            excessive.transport.abort()
        self._accepted = excessive is not self
        if not self._accepted:
            return
        self._request_timer = self.loop.call_later(REQUEST_TIMEOUT, transport.abort)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`. The first request may arrive with the end of the handshake."""
        if not self._accepted:
            return
        super().data_received(data)
        if self.conn.their_state not in {h11.IDLE, h11.SEND_BODY}:  # the request is complete
            self._cancel_timers()
            self._response_timer = self.loop.call_later(RESPONSE_TIMEOUT, self._response_overdue)
        elif self._request_timer is None:
            self._request_timer = self.loop.call_later(REQUEST_TIMEOUT, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._cancel_timers()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """See `H11Protocol`."""
        self.active_at = self.loop.time()
        super().on_response_complete()

    @property
    def is_idle(self) -> bool:
        """True if no request is being answered; one that the client has not sent completely is not."""
        cycle: Any = self.cycle  # None before the first request
        return (cycle is None or cycle.response_complete) and not self.transport.get_write_buffer_size()

    def _others(self) -> list[_Connection]:
        """Return the other open connections."""
        connections: Any = self.connections
        return [each for each in connections if each is not self and not each.transport.is_closing()]

    def shutdown(self) -> None:
        """See `H11Protocol`. An event stream has no end that could be waited for."""
        super().shutdown()
        if self._is_event_stream:
            self.transport.close()

    @property
    def _is_event_stream(self) -> bool:
        cycle: Any = self.cycle  # None before the first request
        return cycle is not None and cycle.scope["path"] == events.PATH

    def _response_overdue(self) -> None:
        """Abort a connection whose response was not read in time; a close would wait for it.

        An event stream is never complete. It is aborted if it waits for a client that does not read.
        """
        self._response_timer = None
        if self._is_event_stream and not self.flow.write_paused:
            self._response_timer = self.loop.call_later(RESPONSE_TIMEOUT, self._response_overdue)
            return
        if self.transport.get_write_buffer_size() or not getattr(self.cycle, "response_complete", True):
            self.transport.abort()

    def _cancel_timers(self) -> None:
        for timer in (self._request_timer, self._response_timer):
            if timer is not None:
                timer.cancel()
        self._request_timer = self._response_timer = None
