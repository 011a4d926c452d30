"""The connection of one node to Redis, of which the subscriptions alone can be cut."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import Final

from tests.sockets import closed_port

CHUNK: Final = 1 << 16
SUBSCRIBES: Final = re.compile(rb"\bS?SUBSCRIBE\b", re.IGNORECASE)
"""The command that makes a connection of a Redis client one for subscriptions."""


class RedisLink:
    """Forwards connections to Redis; with `cut` set, those with subscriptions stay open, and nothing crosses them.

    So the node still publishes and reads the history, but gets no publication: a silent node.
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = closed_port()
        self._target = (host, port)
        self._open = asyncio.Event()
        self._open.set()
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._subscribed: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """Let nothing cross the connections with subscriptions."""
        self._open.clear()

    def restore(self) -> None:
        """Close the connections with subscriptions, so that the node makes new ones."""
        self._open.set()
        for serving in self._subscribed:
            serving.cancel()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        task.add_done_callback(self._subscribed.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):
            redis_reader, redis_writer = await asyncio.open_connection(*self._target)
            serving = asyncio.current_task()
            assert serving is not None
            ways = [
                asyncio.ensure_future(self._copy(reader, redis_writer, serving, looks=True)),
                asyncio.ensure_future(self._copy(redis_reader, writer, serving)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                redis_writer.transport.abort()
        writer.transport.abort()

    async def _copy(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        serving: asyncio.Task[None],
        *,
        looks: bool = False,
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK):
                if looks and SUBSCRIBES.search(chunk):
                    self._subscribed.add(serving)
                if serving in self._subscribed:
                    await self._open.wait()
                writer.write(chunk)
                await writer.drain()
