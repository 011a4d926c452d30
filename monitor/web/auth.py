"""Who gets in, and how: what the web configuration says, read again when one of its files changes.

A change that cannot be used is logged once, and what was in force stays so.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

from monitor.errors import MonitorError, StartupError
from monitor.threads import run_in_thread
from monitor.web.config import WebConfig, load_web
from monitor.web.passwords import Passwords, TooManyError
from monitor.web.tls import server_context

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = structlog.get_logger(__name__)

LOOK: Final = 1.0
"""Seconds between two looks at the files, at least; nobody looks while nobody asks."""

_Version = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Terms:
    """A web configuration in force: `context` is None for plain HTTP. `versions` tell its files from changed ones."""

    path: Path | None
    config: WebConfig
    context: ssl.SSLContext | None
    versions: tuple[_Version, ...]


def read_terms(path: Path | None) -> Terms:
    """The terms in a file; for None those of no file: plain HTTP for everyone.

    Raises `ConfigError` with every fault in it, and `StartupError` where it cannot be read.
    """
    if path is None:
        return Terms(None, WebConfig(), None, ())
    # Versions before contents: what changes while it is read is read once more.
    own = _version(path)
    config = load_web(path)
    tls = config.tls_server_config
    versions = (own, *map(_version, tls.files))
    try:
        return Terms(path, config, server_context(tls) if tls.is_enabled else None, versions)
    except StartupError as error:  # a file that changed just now
        raise StartupError(f"{path}: tls_server_config {error}") from None


class Access:
    """The terms in force."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self._looked_at = time.monotonic()
        self._looking = asyncio.Lock()
        self._refused: tuple[_Version, ...] | None = None
        self._tokens = float(terms.config.rate_limit.burst)
        self._filled_at = time.monotonic()

    def take_up(self, terms: Terms) -> None:
        """Put other terms in force, from the next connection and request on."""
        self.terms = terms
        self._refused = None

    async def current(self) -> Terms:
        """The terms in force, after a look at the files if the last one is a while ago."""
        now = time.monotonic()
        if self.terms.path is not None and now - self._looked_at >= LOOK and not self._looking.locked():
            async with self._looking:
                self._looked_at = now
                await self._look(self.terms, self.terms.path)
        return self.terms

    async def _look(self, before: Terms, path: Path) -> None:
        versions = await run_in_thread("look at the web configuration", partial(_versions, path, before.config))
        if versions in {before.versions, self._refused}:
            return
        try:
            terms = await run_in_thread("read of the web configuration", partial(read_terms, path))
        except Exception as error:  # noqa: BLE001 - whatever it is, the connection that made us look is none the worse
            self._refused = versions
            ours = not isinstance(error, MonitorError)
            _log.error("web configuration stays as it was", why=str(error), exc_info=ours)
            return
        if self.terms is before:  # else a reload came first
            self.take_up(terms)
            _log.info("web configuration read again", file=str(path))

    def admits(self) -> bool:
        """Whether the rate limit, if there is one, lets one more request in."""
        limit = self.terms.config.rate_limit
        if not limit.interval:
            return True
        now = time.monotonic()
        self._tokens = min(float(limit.burst), self._tokens + (now - self._filled_at) / limit.interval)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def _versions(path: Path, config: WebConfig) -> tuple[_Version, ...]:
    return tuple(_version(file) for file in (path, *config.tls_server_config.files))


def _version(path: Path) -> _Version:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class Guarded:
    """ASGI middleware: `app` for those who may, with the headers that the web configuration sets."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access
        self._passwords = Passwords()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Called by the server."""
        terms = await self._access.current()
        added = {name: value for name, value in terms.config.http_server_config.headers.items() if value}

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(added)
            await send(message)

        refusal = await self._refusal(terms, Headers(scope=scope).get("authorization", ""))
        await (refusal or self._app)(scope, receive, dressed)

    async def _refusal(self, terms: Terms, authorization: str) -> PlainTextResponse | None:
        if not self._access.admits():
            return PlainTextResponse("Too Many Requests\n", 429)
        users = terms.config.basic_auth_users
        if not users:
            return None
        try:
            user, password = _credentials(authorization)
            if await self._passwords.fit(users, user, password):
                return None
        except TooManyError:
            return PlainTextResponse("too many passwords at once\n", 503, headers={"Retry-After": "1"})
        except ValueError:
            pass
        return PlainTextResponse("Unauthorized\n", 401, headers={"WWW-Authenticate": "Basic"})


def _credentials(authorization: str) -> tuple[str, bytes]:
    """User and password of RFC 7617. Raises `ValueError` where there are none."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise ValueError("no basic auth")
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except binascii.Error:
        raise ValueError("not base64") from None
    if not colon:
        raise ValueError("no password")
    return user.decode(), password
