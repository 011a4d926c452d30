"""A tunnel to the relay through an HTTP proxy (CONNECT, RFC 9110 section 9.3.6), where one is configured."""

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

MAX_ANSWER: Final = 16 << 10
"""Bytes of a proxy's answer."""

_PROTOCOL: Final = b"HTTP/1."


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy; `authorization` is the value of its header, and in no repr."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)


def proxy_of(target: Target) -> Proxy | None:
    """The proxy for a target: its own, or the environment's. Raises `LocalError` for one that cannot be used."""
    url = target.proxy
    if url is None:
        # With the port, because NO_PROXY may name one.
        if proxy_bypass(f"{target.host}:{target.port}"):
            return None
        proxies = getproxies()
        url = proxies.get("https" if target.secure else "http") or proxies.get("all")
    if not url:
        return None
    # The URL itself may hold a password, so it is not shown.
    unusable = LocalError(
        Step.PROXY, Reason.INTERNAL, "this proxy cannot be used: expected http://[USER:PASSWORD@]HOST:PORT"
    )
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = 80 if parts.port is None else parts.port
    except ValueError:
        raise unusable from None
    if parts.scheme != "http" or not parts.hostname or not port:
        raise unusable
    authorization = None
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(credentials.encode()).decode("ascii")
    return Proxy(parts.hostname, port, authorization)


async def tunnel(sock: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    """Ask the proxy at the other end of `sock` for a tunnel to `host`. Raises `ProbeError`."""
    if not host.isascii():
        host = host.encode("idna").decode("ascii")
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    request = "".join(f"{line}\r\n" for line in [*lines, ""])
    loop = asyncio.get_running_loop()
    answer = bytearray()
    try:
        await loop.sock_sendall(sock, request.encode("ascii"))
        while not answer.endswith(b"\r\n\r\n"):
            # Byte by byte: what follows the headers is the relay's, and nobody could give it back.
            byte = await loop.sock_recv(sock, 1)
            if not byte:
                raise ProbeError(Step.PROXY, Reason.RESET, "the proxy closed the connection")
            answer += byte
            if not _PROTOCOL.startswith(answer[: len(_PROTOCOL)]):
                raise ProbeError(Step.PROXY, Reason.PROTOCOL, "the proxy does not speak HTTP")
            if len(answer) > MAX_ANSWER:
                raise ProbeError(Step.PROXY, Reason.PROTOCOL, "the proxy's answer has no end")
    except OSError as error:
        raise obstacles.of_os_error(Step.PROXY, error) from error
    _, _, status = answer.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
    if not status[:3].isdecimal():
        raise ProbeError(Step.PROXY, Reason.PROTOCOL, "the proxy does not speak HTTP")
    if not status.startswith("2"):
        phrase = "".join(character for character in status if character.isprintable())[:100]
        raise ProbeError(Step.PROXY, Reason.HTTP_STATUS, f"the proxy answered {phrase}")
