"""Open a tunnel to the relay through a proxy: HTTP CONNECT (RFC 9110, section 9.3.6), SOCKS4(a) or SOCKS5.

python-socks implements SOCKS. HTTP CONNECT is implemented here, since python-socks expects the whole response in one
read and would pass later header bytes on as the relay's.

Whose fault a missing tunnel is: a proxy that says it cannot reach the relay (HTTP 404, 410, 5xx but 511; SOCKS replies
1 and 3 to 6) reports the relay's, unless it reaches nothing else either, which the self-checks ask. A proxy that
refuses the monitor (other statuses, such as 407; a SOCKS ruleset or password) or answers nonsense is at fault itself.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from monitor.errors import ProbeError
from monitor.relay import obstacles
from monitor.vocabulary import Reason, Step

if TYPE_CHECKING:
    import socket

    from monitor.relay.proxy import Proxy

MAX_RESPONSE_BYTES: Final = 16 << 10
"""Largest response of an HTTP proxy, in bytes."""

_PROTOCOL: Final = b"HTTP/1."


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
        failed = obstacles.of_os_error(Step.PROXY, error)
        raise proxy.error(failed.reason, failed.detail) from error


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
            raise proxy.error(Reason.RESET, "it closed the connection")
        response += byte
        if not _PROTOCOL.startswith(response[: len(_PROTOCOL)]):
            raise proxy.error(Reason.PROTOCOL, "it does not speak HTTP")
        if len(response) > MAX_RESPONSE_BYTES:
            raise proxy.error(Reason.PROTOCOL, "its response is too large")
    _, _, status = response.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
    if not status[:3].isdecimal():
        raise proxy.error(Reason.PROTOCOL, "it does not speak HTTP")
    if not status.startswith("2"):
        phrase = "".join(character for character in status if character.isprintable())[:100]
        if _blames_the_relay(int(status[:3])):
            detail = f"the proxy answered {phrase}"
            raise ProbeError(Step.PROXY, Reason.HTTP_STATUS, detail, status=status[:3])
        raise proxy.error(Reason.HTTP_STATUS, f"it answered {phrase}", status=status[:3])


def _blames_the_relay(status: int) -> bool:
    """Return True for a status by which a proxy says that it cannot reach the relay."""
    return status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE} or (
        status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED
    )


async def _connect_by_socks(sock: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    # Imported only for a SOCKS proxy, since the import takes 20 ms.
    from monitor.relay import socks  # noqa: PLC0415

    await socks.connect(sock, proxy, host, port)
