"""The event stream of the on-call page: server-sent events with the fragments that have changed.

A client names the version that it shows. It gets the fragments that changed since, or all of them if it missed a
version. A client that does not read is disconnected by the server, see `server.Connection`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.responses import PlainTextResponse, Response

from monitor.web.connection_limits import origin_of
from monitor.web.relay_list import Query
from monitor.web.rendering import encoded

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from monitor.web.overview import Overview, Snapshot

PATH: Final = "/events"

MAX_STREAMS: Final = 100
"""Largest number of open streams: half of the server's connections."""

MAX_STREAMS_PER_ADDRESS: Final = 80
"""Largest number of open streams of one client address."""

CHECK_INTERVAL: Final = 0.5
"""Seconds between two checks for changes. The view is at most a second old, so that a change is seen in two."""

TICK_INTERVAL: Final = 4.0
"""Seconds without a change after which the monitor sends its time, which shows the client that the stream works."""

RETRY: Final = 1_000
"""Milliseconds after which a client reconnects."""


class EventStreams:
    """The endpoint `/events`."""

    def __init__(self, overview: Overview) -> None:
        self._overview = overview

    async def page(self, request: Request) -> Response:
        """Serve a stream for the query of the page; 503 if too many are open."""
        origin = origin_of(request.client.host if request.client is not None else "")
        if self._overview.streams.is_full(origin, MAX_STREAMS, MAX_STREAMS_PER_ADDRESS):
            return PlainTextResponse("too many event streams\n", 503, headers={"Retry-After": "10"})
        version = request.headers.get("last-event-id") or request.query_params.get("version", "")
        return _Stream(self, Query.from_parameters(request.query_params), version, origin)

    async def run(self, query: Query, version: str, origin: str, receive: Receive, send: Send) -> None:
        """Send events until the client disconnects."""
        disconnected = asyncio.ensure_future(_until_disconnect(receive))
        try:
            with self._overview.streams.counted(origin):
                await self._send_events(query, version, disconnected, send)
        finally:
            disconnected.cancel()

    async def _send_events(self, query: Query, version: str, disconnected: asyncio.Future[None], send: Send) -> None:
        loop = asyncio.get_running_loop()
        await _write(send, f"retry: {RETRY}\n\n")
        next_tick = loop.time()
        while not disconnected.done():
            snapshot = await self._overview.current(query)
            if snapshot.version != version:
                data = await self._event_since(version, snapshot)
                version, next_tick = snapshot.version, loop.time() + TICK_INTERVAL
                await _write(send, f"id: {version}\ndata: {data}\n\n")
            elif loop.time() >= next_tick:
                next_tick = loop.time() + TICK_INTERVAL
                await _write(send, f"event: tick\ndata: {encoded(snapshot.page.now)}\n\n")
            await asyncio.wait([disconnected], timeout=CHECK_INTERVAL)

    async def _event_since(self, version: str, snapshot: Snapshot) -> str:
        if version and version == snapshot.previous:
            return snapshot.delta
        return await self._overview.everything(snapshot)


class _Stream(Response):
    """The response: starts, then sends events without end."""

    def __init__(self, streams: EventStreams, query: Query, version: str, origin: str) -> None:
        super().__init__(media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})  # nginx would buffer it
        del self.headers["content-length"]
        self._streams = streams
        self._query = query
        self._version = version
        self._origin = origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] != "HEAD":
            await self._streams.run(self._query, self._version, self._origin, receive, send)
        await send({"type": "http.response.body", "body": b""})


async def _write(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode("ascii"), "more_body": True})


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
