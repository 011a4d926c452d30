"""TLS and basic auth by the web configuration, which is read again when one of its files changes.

An invalid change is logged once, and the configuration in force stays.
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

from monitor.config.audit import audit, texts_of
from monitor.errors import MonitorError, StartupError
from monitor.threads import run_in_thread
from monitor.web.config import WebConfig, load_web
from monitor.web.passwords import Passwords, TooManyError
from monitor.web.tls import server_context
from monitor.web.write_guard import FOR_READERS, READING, USER

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = structlog.get_logger(__name__)

CHECK_INTERVAL: Final = 1.0
"""Minimum seconds between checks of the files. They are checked when a client connects."""

_Version = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class ServerSecurity:
    """A web configuration with its TLS context, None for plain HTTP. `versions` identify its files' contents."""

    path: Path | None
    config: WebConfig
    context: ssl.SSLContext | None
    versions: tuple[_Version, ...]


def read_security(path: Path | None) -> ServerSecurity:
    """Read a web configuration; None means plain HTTP without auth.

    Raises `ConfigError` with all its errors, and `StartupError` if it cannot be read.
    """
    if path is None:
        return ServerSecurity(None, WebConfig(), None, ())
    # Versions before contents: a change during the read is read again.
    own = _version(path)
    config = load_web(path)
    tls = config.tls_server_config
    versions = (own, *map(_version, tls.files))
    try:
        return ServerSecurity(path, config, server_context(tls) if tls.is_enabled else None, versions)
    except StartupError as error:  # a file changed meanwhile
        raise StartupError(f"{path}: tls_server_config {error}") from None


class WebAuth:
    """The security settings in force, and the rate limit."""

    def __init__(self, security: ServerSecurity) -> None:
        self.security = security
        self._checked_at = time.monotonic()
        self._check_lock = asyncio.Lock()
        self._rejected: tuple[_Version, ...] | None = None
        self._tokens = float(security.config.rate_limit.burst)
        self._filled_at = time.monotonic()

    def apply(self, security: ServerSecurity) -> None:
        """Apply other settings, from the next connection and request on."""
        self.security = security
        self._rejected = None

    async def current(self) -> ServerSecurity:
        """Return the settings in force, after a check of the files if one is due."""
        now = time.monotonic()
        if (
            self.security.path is not None
            and now - self._checked_at >= CHECK_INTERVAL
            and not self._check_lock.locked()
        ):
            async with self._check_lock:
                self._checked_at = now
                await self._reload_if_changed(self.security, self.security.path)
        return self.security

    async def _reload_if_changed(self, before: ServerSecurity, path: Path) -> None:
        versions = await run_in_thread("check of the web configuration", partial(_versions, path, before.config))
        if versions in {before.versions, self._rejected}:
            return
        try:
            security = await run_in_thread("read of the web configuration", partial(read_security, path))
        except Exception as error:  # noqa: BLE001 - the connection is served with the settings in force
            self._rejected = versions
            unexpected = not isinstance(error, MonitorError)
            _log.error("web configuration reload failed", why=str(error), exc_info=unexpected)
            return
        if self.security is before:  # otherwise a reload came first
            changes = texts_of(audit(before.config, security.config))
            self.apply(security)
            _log.info("web configuration reloaded", file=str(path), changes=changes)

    def allows_request(self) -> bool:
        """Return True if the rate limit, if any, allows one more request."""
        limit = self.security.config.rate_limit
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


class AuthMiddleware:
    """ASGI middleware: basic auth and rate limit before `app`, and the configured response headers.

    Users who may write may also read. For a change the users who only read are not accepted if there are others.
    has_own_credential: returns True for a path whose endpoint asks for a credential of its own, and for no user.
    """

    def __init__(
        self, app: ASGIApp, auth: WebAuth, has_own_credential: Callable[[str], bool] = lambda _: False
    ) -> None:
        self._app = app
        self._auth = auth
        self._has_own_credential = has_own_credential
        self._passwords = Passwords()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        security = await self._auth.current()
        added = {name: value for name, value in security.config.http_server_config.headers.items() if value}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(added)
            await send(message)

        rejection = await self._rejection(security, scope)
        await (rejection or self._app)(scope, receive, send_with_headers)

    async def _rejection(self, security: ServerSecurity, scope: Scope) -> PlainTextResponse | None:
        if not self._auth.allows_request():
            return PlainTextResponse("Too Many Requests\n", 429)
        readers, writers = security.config.basic_auth_users, security.config.basic_auth_write_users
        writes = scope["method"] not in READING and scope["path"] not in FOR_READERS
        users = writers if writes and writers else {**readers, **writers} if readers else {}
        if not users or self._has_own_credential(scope["path"]):
            return None
        try:
            user, password = _credentials(Headers(scope=scope).get("authorization", ""))
            client = scope.get("client")
            if await self._passwords.check(users, user, password, client[0] if client is not None else ""):
                if user in writers:
                    scope[USER] = user
                return None
        except TooManyError:
            return PlainTextResponse("too many login attempts\n", 503, headers={"Retry-After": "1"})
        except ValueError:
            pass
        return PlainTextResponse("Unauthorized\n", 401, headers={"WWW-Authenticate": "Basic"})


def _credentials(authorization: str) -> tuple[str, bytes]:
    """Return user and password (RFC 7617). Raises `ValueError` for an invalid header."""
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
