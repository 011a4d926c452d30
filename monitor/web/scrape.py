"""The endpoint `/metrics`, rendered and compressed in a thread so that the event loop is not blocked."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING, Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from monitor.web.state import DrillControl

MAX_QUEUED: Final = 10
"""Largest number of queued scrapes. One is rendered at a time."""

GZIP_LEVEL: Final = 1  # compresses metrics to a twentieth


SCRAPE_HEADER: Final = "x-prometheus-scrape-timeout-seconds"
"""What Prometheus, and agents that scrape as it does, send with a scrape; a person's request has none."""


class Scrape:
    """The endpoint. `render` returns body and content type for an `Accept` header; it is called in a thread.

    drills: learns of scrapes during a drill.
    """

    def __init__(self, render: Callable[[str], tuple[bytes, str]], drills: DrillControl | None = None) -> None:
        self._render = render
        self._drills = drills
        self._lock = asyncio.Lock()
        self._pending = 0

    async def page(self, request: Request) -> Response:
        """Serve the metrics in the negotiated format and encoding; 503 for too many concurrent scrapes."""
        if self._pending > MAX_QUEUED:
            return PlainTextResponse("too many scrapes at once\n", 503, headers={"Retry-After": "1"})
        accept = request.headers.get("accept", "")
        compressed = accepts_gzip(request.headers.get("accept-encoding", ""))
        # Before the page is rendered: what begins meanwhile may not be on it.
        drill = self._drills.newest if self._drills is not None and SCRAPE_HEADER in request.headers else None
        self._pending += 1
        try:
            async with self._lock:
                body, content_type = await run_in_threadpool(self._page, accept, compressed)
        finally:
            self._pending -= 1
        if drill is not None and self._drills is not None:
            self._drills.see_scrape(drill.id, request.headers.get("user-agent", ""))
        headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
        return Response(body, headers=headers | ({"Content-Encoding": "gzip"} if compressed else {}))

    def _page(self, accept: str, compressed: bool) -> tuple[bytes, str]:  # noqa: FBT001 - called by position
        body, content_type = self._render(accept)
        return (gzip.compress(body, GZIP_LEVEL, mtime=0) if compressed else body), content_type


def accepts_gzip(accept_encoding: str) -> bool:
    """Return True if an `Accept-Encoding` accepts gzip (RFC 9110, section 12.5.3; `*` alone does not count)."""
    for item in accept_encoding.split(","):
        coding, _, parameters = item.partition(";")
        if coding.strip().lower() in {"gzip", "x-gzip"}:
            name, _, weight = parameters.partition("=")
            return name.strip().lower() != "q" or weight.strip().strip("0.") != ""
    return False
