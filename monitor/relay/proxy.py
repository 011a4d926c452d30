"""A tunnel to the relay through a proxy: HTTP CONNECT (RFC 9110, section 9.3.6), SOCKS4(a) or SOCKS5.

python-socks implements SOCKS. HTTP CONNECT is implemented here, since python-socks expects the whole response in one
read and would pass later header bytes on as the relay's.
"""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from monitor.errors import LocalError, ProbeError
from monitor.relay import obstacles
from monitor.vocabulary import Reason, Step

if TYPE_CHECKING:
    import socket

    from monitor.relay.target import Target

MAX_RESPONSE_BYTES: Final = 16 << 10
"""Largest response of an HTTP proxy, in bytes."""

_PROTOCOL: Final = b"HTTP/1."
_PORTS: Final = {"http": 80, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}
_MAX_CREDENTIAL: Final = 255  # bytes (RFC 1929)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy and its credentials, which the repr leaves out."""

    host: str
    port: int
    username: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)
    scheme: str = "http"

    @property
    def authorization(self) -> str | None:
        """Value of the Proxy-Authorization header, or None."""
        if self.username is None:
            return None
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")

    @property
    def resolves(self) -> bool:
        """True if the proxy resolves the relay's name. For `socks4` and `socks5` the client does, as in curl."""
        return self.scheme not in {"socks4", "socks5"}


def proxy_of(target: Target) -> Proxy | None:
    """Return the proxy of a target, its own or the environment's. Raises `LocalError` for an invalid one."""
    url = target.proxy
    if url is None:
        # With the port, because NO_PROXY may name one.
        if proxy_bypass(f"{target.host}:{target.port}"):
            return None
        proxies = getproxies()
        url = proxies.get("https" if target.secure else "http") or proxies.get("all")
    if not url:
        return None
    # Without the URL, which may contain a password.
    unusable = LocalError(
        Step.PROXY,
        Reason.INTERNAL,
        "this proxy cannot be used: expected SCHEME://[USER:PASSWORD@]HOST:PORT, SCHEME one of " + ", ".join(_PORTS),
    )
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = _PORTS.get(parts.scheme) if parts.port is None else parts.port
    except ValueError:
        raise unusable from None
    if parts.scheme not in _PORTS or not parts.hostname or not port:
        raise unusable
    username = None if parts.username is None else unquote(parts.username)
    password = unquote(parts.password or "")
    if parts.scheme != "http" and not all(map(_fits_socks, (username or "", password))):
        raise unusable
    return Proxy(parts.hostname, port, username, password, parts.scheme)


def _fits_socks(credential: str) -> bool:
    return credential.isascii() and "\0" not in credential and len(credential) <= _MAX_CREDENTIAL


async def tunnel(sock: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    """Open a tunnel to `host` through the proxy connected to `sock`. Raises `ProbeError`."""
    if not host.isascii():
        host = host.encode("idna").decode("ascii")
    try:
        if proxy.scheme == "http":
            await _connect_by_http(sock, proxy, host, port)
        else:
            await _connect_by_socks(sock, proxy, host, port)
    except OSError as error:
        raise obstacles.of_os_error(Step.PROXY, error) from error


async def _connect_by_http(sock: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    request = "".join(f"{line}\r\n" for line in [*lines, ""])
    loop = asyncio.get_running_loop()
    response = bytearray()
    await loop.sock_sendall(sock, request.encode("ascii"))
    while not response.endswith(b"\r\n\r\n"):
        # Byte by byte: bytes after the headers belong to the relay and cannot be put back.
        byte = await loop.sock_recv(sock, 1)
        if not byte:
            raise ProbeError(Step.PROXY, Reason.RESET, "the proxy closed the connection")
        response += byte
        if not _PROTOCOL.startswith(response[: len(_PROTOCOL)]):
            raise ProbeError(Step.PROXY, Reason.PROTOCOL, "the proxy does not speak HTTP")
        if len(response) > MAX_RESPONSE_BYTES:
            raise ProbeError(Step.PROXY, Reason.PROTOCOL, "the proxy's response is too large")
    _, _, status = response.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
    if not status[:3].isdecimal():
        raise ProbeError(Step.PROXY, Reason.PROTOCOL, "the proxy does not speak HTTP")
    if not status.startswith("2"):
        phrase = "".join(character for character in status if character.isprintable())[:100]
        raise ProbeError(Step.PROXY, Reason.HTTP_STATUS, f"the proxy responseed {phrase}")


async def _connect_by_socks(sock: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    # Imported only for a SOCKS proxy, since the import takes 20 ms.
    from monitor.relay import socks  # noqa: PLC0415

    await socks.connect(sock, proxy, host, port)
