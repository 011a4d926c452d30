"""The bodies of requests, which are bounded, and who sends them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from starlette.exceptions import HTTPException

from monitor.web.write_guard import USER

if TYPE_CHECKING:
    from starlette.requests import Request

MAX_BODY: Final = 65_536
"""Largest request body, in bytes: the names of a thousand relays fit in."""


async def read_body(request: Request, media_type: str) -> bytes:
    """Return the body. Raises `HTTPException` for one of another type, or one that is too large."""
    # A page of another site cannot send JSON without asking first, and a form only with an `Origin`.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != media_type:
        raise HTTPException(415, f"expected a body of type {media_type}")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise HTTPException(413, f"the body is larger than {MAX_BODY} bytes")
    return body


async def json_body(request: Request) -> dict[str, Any]:
    """Return the JSON object of the body. Raises `HTTPException`."""
    try:
        value = json.loads(await read_body(request, "application/json"))
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is not JSON") from None
    if not isinstance(value, dict):
        raise HTTPException(400, "the body is not a JSON object")
    return value


def author_of(request: Request, by: str) -> str:
    """Return who makes a request: the authenticated user, and the name that was given."""
    user = request.scope.get(USER, "")
    if user and by and by != user:
        return f"{by} ({user})"
    return user or by or "somebody on the monitor's host"
