"""Relays that misbehave, each by a few lines: a WebSocket server that answers commands as it is told."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    from websockets.http11 import Request, Response

    Command = dict[str, Any]
    Handler = Callable[[ServerConnection, Command], Awaitable[Any]]

HELLO = {"connect": {"client": "somebody", "version": "0", "ping": 25, "pong": True}}
SUBSCRIBED = {"subscribe": {"recoverable": True, "positioned": True, "epoch": "e"}}


class OddRelay:
    """What an odd relay has seen: `connects` upgrades asked for, `commands` by their methods."""

    def __init__(self, scheme: str) -> None:
        self.scheme = scheme
        self.port = 0
        self.connects = 0
        self.commands: list[str] = []
        self.connections: set[ServerConnection] = set()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/connection/websocket"


async def reply(connection: ServerConnection, command: Command, body: Command) -> None:
    await connection.send(json.dumps({"id": command["id"]} | body))


async def refuse(connection: ServerConnection, command: Command, code: int, message: str) -> None:
    await reply(connection, command, {"error": {"code": code, "message": message}})


async def behave(connection: ServerConnection, command: Command) -> None:
    """Answer as a relay does on which nobody else is."""
    if "connect" in command:
        await reply(connection, command, HELLO)
    elif "subscribe" in command:
        await reply(connection, command, SUBSCRIBED)
    elif "history" in command:
        await reply(connection, command, {"history": {"epoch": "e"}})
    elif "publish" in command:
        await reply(connection, command, {"publish": {}})
    elif "unsubscribe" in command:
        await reply(connection, command, {"unsubscribe": {}})


@asynccontextmanager
async def odd_relay(
    handler: Handler = behave, status: int | None = None, tls: ssl.SSLContext | None = None, **headers: str
) -> AsyncIterator[OddRelay]:
    """A relay that handles each command with `handler`, or each upgrade with an HTTP `status`."""
    relay = OddRelay("ws" if tls is None else "wss")

    def admit(connection: ServerConnection, request: Request) -> Response | None:
        relay.connects += 1
        if status is None:
            return None
        response = connection.respond(status, "no\n")
        for name, value in headers.items():
            response.headers[name.replace("_", "-")] = value
        return response

    async def handle(connection: ServerConnection) -> None:
        relay.connections.add(connection)
        try:
            async for frame in connection:
                for line in str(frame).splitlines():
                    command = json.loads(line)
                    relay.commands += [key for key in command if key != "id"]
                    await handler(connection, command)
        except ConnectionClosed:
            pass
        finally:
            relay.connections.discard(connection)

    async with serve(
        handle, "127.0.0.1", 0, ssl=tls, process_request=admit, ping_interval=None, close_timeout=0.5
    ) as server:
        relay.port = next(iter(server.sockets)).getsockname()[1]
        yield relay


async def ignore(connection: ServerConnection, command: Command) -> None:
    """Say nothing."""


async def yield_to_loop(count: int = 5) -> None:
    """Let the loop go round a few times."""
    for _ in range(count):
        await asyncio.sleep(0)
