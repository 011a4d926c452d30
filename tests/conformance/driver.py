"""A client that knows JSON frames and nothing else, so that no code of ours stands between a test and a relay."""

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
"""Seconds any one wait may take."""


def channel(namespace: str = "session") -> str:
    """A channel nobody else uses."""
    return f"{namespace}:{uuid.uuid4()}"


class Client:
    """One connection. Objects come out one by one, however the relay put them into frames."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._objects: deque[dict[str, Any]] = deque()
        self._kept: deque[dict[str, Any]] = deque()
        self._ids = count(2)

    async def send(self, *commands: dict[str, Any] | str) -> None:
        """Send one frame of these commands; a string goes as it is."""
        lines = [command if isinstance(command, str) else json.dumps(command) for command in commands]
        await self._socket.send("\n".join(lines))

    async def next(self) -> dict[str, Any]:
        """Take the next object of any sort."""
        async with asyncio.timeout(DEADLINE):
            while not self._objects:
                frame = await self._socket.recv()
                self._objects.extend(json.loads(line) for line in str(frame).split("\n") if line)
        return self._objects.popleft()

    async def hello(self, **connect: object) -> dict[str, Any]:
        """Send the connect command and return what its reply says."""
        await self.send({"id": 1, "connect": connect})
        reply = await self.next()
        assert reply["id"] == 1
        return dict(reply["connect"])

    async def ask(self, method: str, /, **body: object) -> dict[str, Any]:
        """Send a command and return its whole reply; pushes that come before it are kept for `push`."""
        number = next(self._ids)
        await self.send({"id": number, method: body})
        while (reply := await self.next()).get("id") != number:
            assert "push" in reply, f"not asked for: {reply}"
            self._kept.append(reply)
        return reply

    async def do(self, method: str, /, **body: object) -> dict[str, Any]:
        """Send a command that must succeed and return its result."""
        reply = await self.ask(method, **body)
        assert method in reply, reply
        return dict(reply[method])

    async def refused(self, method: str, /, **body: object) -> int:
        """Send a command that must fail and return the error's code."""
        reply = await self.ask(method, **body)
        assert "error" in reply, reply
        assert reply["error"]["message"]
        return int(reply["error"]["code"])

    async def push(self) -> dict[str, Any]:
        """Take the next push."""
        pushed = self._kept.popleft() if self._kept else await self.next()
        assert "push" in pushed, pushed
        return dict(pushed["push"])

    async def publication(self, of: str) -> tuple[int, Any]:
        """Take the next push, which must be a publication in this channel: its offset and data."""
        pushed = await self.push()
        assert pushed["channel"] == of
        return pushed["pub"]["offset"], pushed["pub"]["data"]

    async def history(self, of: str, **how: object) -> list[tuple[int, Any]]:
        """Read a channel's history: offset and data of each publication."""
        return stored(await self.do("history", channel=of, **how))

    async def closed(self) -> tuple[int, str]:
        """Wait until the relay closes, whatever else it says: code and reason."""
        with pytest.raises(ConnectionClosed) as closing:
            await self._to_the_end()
        received = closing.value.rcvd
        assert received is not None, "the relay dropped the connection without a close frame"
        return received.code, received.reason

    async def _to_the_end(self) -> None:
        while True:
            await self.next()

    def drop(self) -> None:
        """Lose the connection without saying goodbye."""
        self._socket.transport.abort()


def stored(result: dict[str, Any]) -> list[tuple[int, Any]]:
    """Offset and data of each publication in a history or subscribe result."""
    return [(publication["offset"], publication["data"]) for publication in result.get("publications", [])]
