"""A client of raw JSON frames, which uses no code of the monitor."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

DEADLINE = 10.0
"""Maximum seconds of one wait."""


def channel(namespace: str = "session") -> str:
    """Return the name of a new channel."""
    return f"{namespace}:{uuid.uuid4()}"


class Client:
    """One connection. Objects are returned one by one, independent of the frames that carry them."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._objects: deque[dict[str, Any]] = deque()
        self._pushes: deque[dict[str, Any]] = deque()
        self._ids = count(2)

    async def send(self, *commands: dict[str, Any] | str) -> None:
        """Send one frame of these commands; a string is sent unchanged."""
        lines = [command if isinstance(command, str) else json.dumps(command) for command in commands]
        await self._socket.send("\n".join(lines))

    async def next(self) -> dict[str, Any]:
        """Return the next object of any kind."""
        async with asyncio.timeout(DEADLINE):
            while not self._objects:
                frame = await self._socket.recv()
                self._objects.extend(json.loads(line) for line in str(frame).split("\n") if line)
        return self._objects.popleft()

    async def hello(self, **connect: object) -> dict[str, Any]:
        """Send the connect command and return its result."""
        await self.send({"id": 1, "connect": connect})
        reply = await self.next()
        assert reply["id"] == 1
        return dict(reply["connect"])

    async def request(self, method: str, /, **body: object) -> dict[str, Any]:
        """Send a command and return its reply; pushes before it are queued for `push`."""
        number = next(self._ids)
        await self.send({"id": number, method: body})
        while (reply := await self.next()).get("id") != number:
            assert "push" in reply, f"unexpected: {reply}"
            self._pushes.append(reply)
        return reply

    async def call(self, method: str, /, **body: object) -> dict[str, Any]:
        """Send a command that must succeed and return its result."""
        reply = await self.request(method, **body)
        assert method in reply, reply
        return dict(reply[method])

    async def error_code(self, method: str, /, **body: object) -> int:
        """Send a command that must fail and return the error's code."""
        reply = await self.request(method, **body)
        assert "error" in reply, reply
        assert reply["error"]["message"]
        return int(reply["error"]["code"])

    async def push(self) -> dict[str, Any]:
        """Return the next push."""
        pushed = self._pushes.popleft() if self._pushes else await self.next()
        assert "push" in pushed, pushed
        return dict(pushed["push"])

    async def publication(self, of: str) -> tuple[int, Any]:
        """Return offset and data of the next push, which must be a publication in this channel."""
        pushed = await self.push()
        assert pushed["channel"] == of
        return pushed["pub"]["offset"], pushed["pub"]["data"]

    async def history(self, of: str, **options: object) -> list[tuple[int, Any]]:
        """Return offset and data of each publication in a channel's history."""
        return stored(await self.call("history", channel=of, **options))

    async def closed(self) -> tuple[int, str]:
        """Wait until the relay closes the connection and return code and reason; skip what it sends before."""
        with pytest.raises(ConnectionClosed) as closing:
            await self._read_until_closed()
        received = closing.value.rcvd
        assert received is not None, "the relay dropped the connection without a close frame"
        return received.code, received.reason

    async def _read_until_closed(self) -> None:
        while True:
            await self.next()

    def drop(self) -> None:
        """Abort the connection without a close frame."""
        self._socket.transport.abort()


def stored(result: dict[str, Any]) -> list[tuple[int, Any]]:
    """Return offset and data of each publication in a history or subscribe result."""
    return [(publication["offset"], publication["data"]) for publication in result.get("publications", [])]
