"""The HTTP socket: uvicorn in the monitor's own event loop, under the monitor's own signal handling."""

from __future__ import annotations

import asyncio
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import uvicorn

from monitor.errors import StartupError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.applications import Starlette

STOP_WAIT: Final = 1.0
"""Seconds that answers under way have when the server stops."""


class WebServer:
    """Serves an application on `host:port` (port 0: any free one) until stopped."""

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._server = _Server(
            uvicorn.Config(
                app,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                loop="none",
                ws="none",
                limit_concurrency=200,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=int(STOP_WAIT),
            )
        )
        self._serving: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    async def start(self) -> None:
        """Listen and serve. Raises `StartupError` where the address cannot be had."""
        listener = self._listen()
        self._port = listener.getsockname()[1]
        self._serving = asyncio.ensure_future(self._server.serve(sockets=[listener]))
        while not self._server.started and not self._serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Finish what is under way, and stop."""
        if self._serving is None:
            return
        self._server.should_exit = True
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_WAIT + 1):
                await self._serving
        self._serving = None

    def _listen(self) -> socket.socket:
        try:
            family, kind, proto, _, address = socket.getaddrinfo(
                self._host or None, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            listener = socket.socket(family, kind, proto)
        except OSError as error:
            raise StartupError(f"cannot listen on {self._host}:{self._port}: {error.strerror}") from error
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError as error:
            listener.close()
            raise StartupError(
                f"cannot listen on {self._host}:{self._port}: {error.strerror} (server.listen in the configuration)"
            ) from error
        return listener


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the daemon has its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield
