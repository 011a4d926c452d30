"""The embedded relay: websockets' asyncio server around `session.Session`."""

from __future__ import annotations

import asyncio
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from monitor.clock import SYSTEM_CLOCK
from monitor.embedded.broker import Broker
from monitor.embedded.faults import FaultStep
from monitor.embedded.faulty import CUT, FaultySession
from monitor.embedded.namespaces import PRODUCTION, Namespace
from monitor.embedded.raw_faults import SIDE, UnresponsiveListener, refuse, send_frame_fault
from monitor.embedded.session import ServerSettings, Session
from monitor.errors import StartupError
from monitor.wire.codes import CloseCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from websockets.http11 import Request, Response

    from monitor.clock import Clock
    from monitor.embedded.plan import FaultPlan

PATH: Final = "/connection/websocket"
MAX_FRAME: Final = 64 << 10
MAX_CLIENTS: Final = 20_000
WRITE_TIMEOUT: Final = 1.0
"""Seconds until a write to a client fails; Centrifugo's default."""

OPEN_TIMEOUT: Final = 10.0
"""Seconds a client has for the upgrade."""

CLOSE_TIMEOUT: Final = 2.0
"""Seconds a client has to answer a close frame."""


class EmbeddedRelay:
    """A relay on `host:port` (port 0: any free one).

    With a `plan` it injects faults; the plan may be changed while the relay runs. With the `broker` of another relay it
    is a second node of that relay's cluster.
    """

    def __init__(  # noqa: PLR0913 - keyword settings
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        namespaces: Sequence[Namespace] = PRODUCTION,
        ping_interval: float = 25.0,
        pong_timeout: float = 8.0,
        stale_timeout: float = 10.0,
        token: str | None = None,
        plan: FaultPlan | None = None,
        broker: Broker | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.plan = plan
        self._clock = clock
        self._host, self._port = host, port
        self._settings = ServerSettings(
            ping_interval=ping_interval, pong_timeout=pong_timeout, stale_timeout=stale_timeout, token=token
        )
        self._broker = broker if broker is not None else Broker(namespaces)
        self._sessions: dict[Session, None] = {}
        self._server: Server | None = None
        self._listener: UnresponsiveListener | None = None
        self._broken: WeakSet[ServerConnection] = WeakSet()  # by a fault that does not end by itself

    @property
    def broker(self) -> Broker:
        """The broker, which the nodes of a cluster share."""
        return self._broker

    @property
    def url(self) -> str:
        """URL for clients."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"ws://{host}:{self._port}{PATH}"

    @property
    def connections(self) -> int:
        """Number of connected clients."""
        return len(self._sessions)

    async def start(self) -> None:
        """Start listening. Raises `StartupError` if the address is not available."""
        try:
            if (listener := self._unresponsive_listener()) is not None:
                self._port = await listener.open(self._host, self._port)
                self._listener = listener
                return
            self._server = await serve(
                self._handle,
                self._host,
                self._port,
                compression=None,
                max_size=MAX_FRAME,
                ping_interval=None,  # the protocol has its own pings
                close_timeout=CLOSE_TIMEOUT,
                open_timeout=None if self.plan is not None else OPEN_TIMEOUT,
                process_request=self._admit,
                server_header=None,
            )
        except OSError as error:
            what = error.strerror or str(error)
            raise StartupError(f"the relay cannot listen on {self._host}:{self._port}: {what}") from error
        self._port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        """Close all connections with 3001 (shutdown), and stop."""
        self.disconnect_all(CloseCode.SHUTDOWN)
        if self._listener is not None:
            await self._listener.close()
            self._listener = None
        if self._server is not None:
            self._server.close(close_connections=False)  # the writers close them, with the right code
            for connection in self._broken:
                connection.transport.abort()  # their writers are blocked by the fault
            await self._server.wait_closed()
            self._server = None

    def disconnect_all(self, code: int, reason: str | None = None) -> None:
        """Close every connection with `code`."""
        for session in list(self._sessions):
            session.close(code, reason)

    def _unresponsive_listener(self) -> UnresponsiveListener | None:
        """Return the listener that replaces the server if the initial plan has a silent fault at tcp or tls."""
        steps = {fault.at for fault in self.plan.faults if fault.kind == "silent"} if self.plan is not None else set()
        return next((UnresponsiveListener(step) for step in (FaultStep.TCP, FaultStep.TLS) if step in steps), None)

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        side = request.headers.get(SIDE, "")
        if self.plan is not None and (fault := self.plan.select(FaultStep.UPGRADE, to=side, sender=side)) is not None:
            self._broken.add(connection)
            return await refuse(connection, fault)
        if request.path.partition("?")[0] != PATH:
            return connection.respond(HTTPStatus.NOT_FOUND, "not found\n")
        if len(self._sessions) >= MAX_CLIENTS:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "too many clients\n")
        return None

    async def _handle(self, connection: ServerConnection) -> None:
        wakeup = asyncio.Event()
        session = self._session(connection, wakeup)
        self._sessions[session] = None
        if isinstance(session, FaultySession):
            session.on_frame_fault = partial(self._broken.add, connection)
        writer = asyncio.ensure_future(_write(session, connection, wakeup, self._clock))
        try:
            async for frame in connection:
                # Centrifugo accepts JSON in a binary frame too.
                text = frame if isinstance(frame, str) else frame.decode(errors="replace")
                session.receive(text, self._clock.monotonic())
                if session.closing is not None:
                    break
            if session.closing is not None:
                await writer
        except ConnectionClosed:
            pass
        finally:
            writer.cancel()
            session.disconnected()
            del self._sessions[session]

    def _session(self, connection: ServerConnection, wakeup: asyncio.Event) -> Session:
        now = self._clock.monotonic()
        if self.plan is None:
            return Session(self._broker, self._settings, now, wakeup.set)
        side = connection.request.headers.get(SIDE, "") if connection.request is not None else ""
        return FaultySession(self._broker, self._settings, now, wakeup.set, self.plan, side)


async def _write(session: Session, connection: ServerConnection, wakeup: asyncio.Event, clock: Clock) -> None:
    """Write the session's lines, run its timers, and close the connection at its end."""
    try:
        while session.closing is None:
            due = session.deadline()
            try:
                async with asyncio.timeout(None if due is None else max(0.0, due - clock.monotonic())):
                    await wakeup.wait()
            except TimeoutError:
                # A timer may fire early by the resolution of the loop's clock.
                session.tick(max(due or 0.0, clock.monotonic()))
            wakeup.clear()
            if lines := session.lines():
                if isinstance(session, FaultySession) and session.frame_fault is not None:
                    frame_fault, session.frame_fault = session.frame_fault, None
                    await send_frame_fault(connection, "\n".join(lines), frame_fault)
                    continue
                try:
                    async with asyncio.timeout(WRITE_TIMEOUT):
                        await connection.send("\n".join(lines))
                except TimeoutError:
                    session.close(CloseCode.SLOW)
        if session.closing[0] == CUT:
            connection.transport.abort()
            return
        async with asyncio.timeout(CLOSE_TIMEOUT + WRITE_TIMEOUT):
            await connection.close(*session.closing)
    except ConnectionClosed:
        pass
    except TimeoutError:
        # The close frame is queued behind unread data.
        connection.transport.abort()
