"""Protection against DNS rebinding: data is served only under the monitor's own names.

A web page can let its own name resolve to the monitor's address. The browser then counts the monitor as that page's
site, and lets the page read what it serves. The `Host` header has the page's name, which no page can change.

Names are not checked where there are users, since a browser keeps passwords by name, nor where there is TLS, since the
certificate has another name. Changes are protected by `write_guard`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

from monitor.errors import printable
from monitor.web.hosts import hostname, is_listed, is_private
from monitor.web.rendering import Json
from monitor.web.write_guard import READING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from monitor.web.auth import WebAuth

MISDIRECTED: Final = 421
"""Misdirected Request (RFC 9110, section 15.5.20): the server does not answer for the name in the request."""

FOR_EVERYBODY: Final = frozenset({"/-/healthy", "/-/ready"})
FOR_PROGRAMS: Final = frozenset({"/metrics"})
"""Paths that programs may read under any name: Prometheus and Kubernetes address a pod as they like."""

MAX_SHOWN: Final = 100
"""Characters of a name in a response."""


class HostGuard:
    """ASGI middleware that rejects requests for data under a foreign name.

    names: returns the monitor's own names. auth: says whether there are users or TLS.
    """

    def __init__(self, app: ASGIApp, names: Callable[[], Collection[str]], auth: WebAuth | None) -> None:
        self._app = app
        self._names = names
        self._auth = auth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        rejection = self._rejection(scope) if scope["type"] == "http" else None
        await (rejection or self._app)(scope, receive, send)

    def _rejection(self, scope: Scope) -> Response | None:
        path, headers = scope["path"], Headers(scope=scope)
        if scope["method"] not in READING or path in FOR_EVERYBODY or self._is_protected:
            return None
        if path in FOR_PROGRAMS and not _is_from_browser(headers):
            return None
        host = hostname(headers.get("host", ""))
        if is_private(host) or is_listed(host, self._names()):
            return None
        why = (
            f"this monitor is not known as {printable(host[:MAX_SHOWN])}; add the name to server.allowed_hosts in its "
            "configuration, or open the page at alerts.external_url"
        )
        if path.startswith("/api/"):
            return Json({"error": why}, MISDIRECTED)
        return PlainTextResponse(f"Misdirected Request: {why}\n", MISDIRECTED)

    @property
    def _is_protected(self) -> bool:
        security = self._auth.security if self._auth is not None else None
        return security is not None and (security.context is not None or bool(security.config.basic_auth_users))


def _is_from_browser(headers: Headers) -> bool:
    """Return True if a browser sent the request.

    A page can change this header, and cannot leave it out: a browser adds it where it is absent (Fetch standard,
    HTTP-network-or-cache fetch). Scrapers do not send it.
    """
    return "accept-language" in headers
