"""Files of the pages: style sheets, the script, icons. They are read once; each address names a hash of its file."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

_MEDIA_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}

_CACHE: Final = "public, max-age=31536000, immutable"
"""For an address with a hash: another file has another address."""


@cache
def contents() -> Mapping[str, bytes]:
    """Return the content of each file in the folder `static`."""
    return {
        file.name: file.read_bytes()
        for file in files("monitor.web").joinpath("static").iterdir()
        if file.name.rpartition(".")[2] in _MEDIA_TYPES
    }


@cache
def address(name: str) -> str:
    """Return the address of a file, for the templates."""
    return f"/static/{name}?{hashlib.sha256(contents()[name]).hexdigest()[:12]}"


@cache
def fingerprint() -> str:
    """Return a hash of all files: a page of an earlier release loads itself again when it differs."""
    return hashlib.sha256(b"".join(content for _, content in sorted(contents().items()))).hexdigest()[:12]


async def serve(request: Request) -> Response:
    """Serve `/static/NAME`."""
    name = request.path_params["name"]
    content = contents().get(name)
    if content is None:
        raise HTTPException(404, "no such file")
    headers = {"Cache-Control": _CACHE} if request.url.query else {}
    return Response(content, media_type=_MEDIA_TYPES[name.rpartition(".")[2]], headers=headers)
