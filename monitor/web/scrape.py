"""What Prometheus gets: the metrics, rendered and packed in a thread, so that measuring goes on meanwhile."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING, Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

MAX_WAITING: Final = 10
"""Scrapes that wait for their turn at the most. One is rendered at a time: two would take twice as long each."""

GZIP_LEVEL: Final = 1  # a page of series shrinks to a twentieth even so


class Scrape:
    """The endpoint `/metrics`. `render` gives the page and its content type for an `Accept` header, in any thread."""

    def __init__(self, render: Callable[[str], tuple[bytes, str]]) -> None:
        self._render = render
        self._turn = asyncio.Lock()
        self._present = 0

    async def page(self, request: Request) -> Response:
        """Everything, in the form and packing that are asked for; 503 where too many ask at once."""
        if self._present > MAX_WAITING:
            return PlainTextResponse("too many scrapes at once\n", 503, headers={"Retry-After": "1"})
        accept = request.headers.get("accept", "")
        packed = accepts_gzip(request.headers.get("accept-encoding", ""))
        self._present += 1
        try:
            async with self._turn:
                body, content_type = await run_in_threadpool(self._page, accept, packed)
        finally:
            self._present -= 1
        headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
        return Response(body, headers=headers | ({"Content-Encoding": "gzip"} if packed else {}))

    def _page(self, accept: str, packed: bool) -> tuple[bytes, str]:  # noqa: FBT001 - called by position
        body, content_type = self._render(accept)
        return (gzip.compress(body, GZIP_LEVEL, mtime=0) if packed else body), content_type


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether a client takes gzip, by its `Accept-Encoding` (RFC 9110, section 12.5.3; `*` alone does not count)."""
    for item in accept_encoding.split(","):
        coding, _, parameters = item.partition(";")
        if coding.strip().lower() in {"gzip", "x-gzip"}:
            name, _, weight = parameters.partition("=")
            return name.strip().lower() != "q" or weight.strip().strip("0.") != ""
    return False
