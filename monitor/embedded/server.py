"""The embedded relay's socket: websockets' asyncio server around `session.Session`."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from monitor.embedded.broker import Broker
from monitor.embedded.faults import Stage
from monitor.embedded.faulty import CUT, FaultySession
from monitor.embedded.namespaces import PRODUCTION, Namespace
from monitor.embedded.raw_faults import SIDE, RawFaultTransport, misbehave, refuse
from monitor.embedded.session import Session, Terms
from monitor.errors import StartupError
from monitor.wire.codes import CloseCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from websockets.http11 import Request, Response

    from monitor.embedded.plan import FaultPlan

PATH: Final = "/connection/websocket"
MAX_FRAME: Final = 64 << 10
MAX_CLIENTS: Final = 20_000
WRITE_TIMEOUT: Final = 1.0
"""Seconds a client's full socket may keep a frame waiting, as Centrifugo has it."""

OPEN_TIMEOUT: Final = 10.0
"""Seconds a client has for its upgrade."""

CLOSE_TIMEOUT: Final = 2.0
"""Seconds a client has to answer a close frame."""


class EmbeddedRelay:
    """A relay on `host:port` (port 0: any free one), for as long as it is started.

    With a `plan` it makes faults; the plan may be changed while it runs. With another relay's `broker` it is a second
    node of that one's cluster.
    """

    def __init__(  # noqa: PLR0913 - what a relay may be told, each by its name
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
    ) -> None:
        self.plan = plan
        self._host, self._port = host, port
        self._terms = Terms(
            ping_interval=ping_interval, pong_timeout=pong_timeout, stale_timeout=stale_timeout, token=token
        )
        self._broker = broker if broker is not None else Broker(namespaces)
        self._sessions: dict[Session, None] = {}
        self._server: Server | None = None
        self._closed_door: RawFaultTransport | None = None
        self._mistreated: WeakSet[ServerConnection] = WeakSet()  # by a fault that never ends by itself

    @property
    def broker(self) -> Broker:
        """What nodes of one cluster share: hand it to another relay, and the two are one."""
        return self._broker

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
            if (door := self._door()) is not None:
                self._port = await door.open(self._host, self._port)
                self._closed_door = door
                return
            self._server = await serve(
                self._handle,
                self._host,
                self._port,
                compression=None,
                max_size=MAX_FRAME,
                ping_interval=None,  # the protocol has pings of its own
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
        """Tell every client to come back later (3001), and stop."""
        self.disconnect_all(CloseCode.SHUTDOWN)
        if self._closed_door is not None:
            await self._closed_door.close()
            self._closed_door = None
        if self._server is not None:
            self._server.close(close_connections=False)  # their own writers do that, with the right code
            for connection in self._mistreated:
                connection.transport.abort()  # nobody is there who could close them in good order
            await self._server.wait_closed()
            self._server = None

    def disconnect_all(self, code: int, reason: str | None = None) -> None:
        """Close every connection with `code`."""
        for session in list(self._sessions):
            session.close(code, reason)

    def _door(self) -> RawFaultTransport | None:
        """What stands in the server's place where the plan, as it is at the start, lets nobody through to it."""
        stages = {fault.at for fault in self.plan.faults if fault.kind == "silent"} if self.plan is not None else set()
        return next((RawFaultTransport(stage) for stage in (Stage.TCP, Stage.TLS) if stage in stages), None)

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        side = request.headers.get(SIDE, "")
        if self.plan is not None and (fault := self.plan.strikes(Stage.UPGRADE, to=side, sender=side)) is not None:
            self._mistreated.add(connection)
            return await refuse(connection, fault)
        if request.path.partition("?")[0] != PATH:
            return connection.respond(HTTPStatus.NOT_FOUND, "not found\n")
        if len(self._sessions) >= MAX_CLIENTS:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "too many clients\n")
        return None

    async def _handle(self, connection: ServerConnection) -> None:
        waiting = asyncio.Event()
        session = self._session(connection, waiting)
        self._sessions[session] = None
        if isinstance(session, FaultySession):
            session.on_mistreatment = partial(self._mistreated.add, connection)
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

    def _session(self, connection: ServerConnection, waiting: asyncio.Event) -> Session:
        now = time.monotonic()
        if self.plan is None:
            return Session(self._broker, self._terms, now, waiting.set)
        side = connection.request.headers.get(SIDE, "") if connection.request is not None else ""
        return FaultySession(self._broker, self._terms, now, waiting.set, self.plan, side)


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
                if isinstance(session, FaultySession) and session.manner is not None:
                    manner, session.manner = session.manner, None
                    await misbehave(connection, "\n".join(lines), manner)
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
        # The close frame waits behind what the client does not read.
        connection.transport.abort()
