"""Who may change something: requests with another method than GET, HEAD and OPTIONS.

With `basic_auth_write_users` in the web configuration, one of these users; without them, a client on this host. A
reverse proxy on this host forwards other people's requests, and a browser the requests of other sites' pages, so that
neither counts as this host. Not every proxy adds a header: nginx by default speaks HTTP/1.0 to the monitor and names
nobody, and HAProxy passes on the `Host` of the request.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

from monitor.drill import WEBHOOK
from monitor.web.hosts import hostname, is_loopback
from monitor.web.rendering import Json

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
FOR_READERS: Final = frozenset({WEBHOOK})
"""Paths at which each method is open to who may read."""

USER: Final = "relay_monitor.user"
"""Key of the request's scope with the name of the user who was authenticated, if one was."""

_FORWARDED: Final = re.compile("forwarded|x-forwarded.*|x-real-ip|via")
"""Headers of a proxy."""

_LOCAL_ONLY: Final = (
    "without basic_auth_write_users in the web configuration (server.web_config_file), changes are accepted from this "
    "host only"
)


class WriteGuard:
    """ASGI middleware that rejects changes that other sites or other hosts ask for.

    A request whose user `AuthMiddleware` has found to be one who may write is not asked for its host.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        rejection = _rejection(scope) if scope["type"] == "http" and scope["method"] not in READING else None
        await (rejection or self._app)(scope, receive, send)


def _rejection(scope: Scope) -> Response | None:
    headers = Headers(scope=scope)
    if is_cross_site(headers):
        return _forbidden(scope, "cross-site requests are not allowed")
    if USER not in scope and scope["path"] not in FOR_READERS and not _is_local(scope, headers):
        return _forbidden(scope, _LOCAL_ONLY)
    return None


def _forbidden(scope: Scope, why: str) -> Response:
    if scope["path"].startswith("/api/"):
        return Json({"error": why}, 403)
    return PlainTextResponse(f"Forbidden: {why}\n", 403)


def is_cross_site(headers: Headers) -> bool:
    """Return True if a browser sent a request for a page of another site.

    `Sec-Fetch-Site` is decisive. Browsers send it over TLS and to this host only; `Origin` they send with each change.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"none", "same-origin"}
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2] != headers.get("host")


def _is_local(scope: Scope, headers: Headers) -> bool:
    client = scope.get("client")
    if client is None or not is_loopback(client[0]) or scope["http_version"] == "1.0":
        return False
    if any(_FORWARDED.fullmatch(name) for name in headers):
        return False
    # Its client, or the page that a browser shows, may have another name, although that resolves to this host.
    hosts = [headers.get("host", ""), *(origin.partition("://")[2] for origin in headers.getlist("origin"))]
    return all(is_loopback(hostname(host)) for host in hosts)
