"""Reaching a relay phase by phase: look-up, (proxy,) TCP, TLS, upgrade, each timed and each with its own failures.

Foreign exceptions end here: whatever the network or the relay does becomes an `Obstacle`.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import os
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohappyeyeballs

from monitor.catalogue import Phase, Reason, Step
from monitor.errors import Obstacle, OwnFault
from monitor.relay import tls
from monitor.relay.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from monitor.clock import Clock
    from monitor.relay.target import Closed, Observer, Target

    AddressInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]
    Resolver = Callable[[str, int, socket.AddressFamily], Awaitable[list[AddressInfo]]]

EYEBALLS_DELAY: Final = 0.25
"""Seconds one address is tried before the next joins in (RFC 8305, section 8)."""

MAX_PROXY_ANSWER: Final = 16 << 10

_FAMILIES: Final = {"any": socket.AF_UNSPEC, "ip4": socket.AF_INET, "ip6": socket.AF_INET6}
_REASONS: Final = {
    errno.ECONNREFUSED: Reason.REFUSED,
    errno.EHOSTUNREACH: Reason.UNREACHABLE,
    errno.ETIMEDOUT: Reason.TIMEOUT,
    errno.ECONNRESET: Reason.RESET,
    errno.EPIPE: Reason.RESET,
    errno.ECONNABORTED: Reason.RESET,
}


async def resolve(host: str, port: int, family: socket.AddressFamily) -> list[AddressInfo]:
    """Every address of a name, as the system's resolver gives them."""
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)  # type: ignore[return-value]


async def dial(
    target: Target,
    *,
    clock: Clock,
    observer: Observer,
    on_text: Callable[[str, float], None],
    on_closed: Callable[[Closed], None],
    resolver: Resolver = resolve,
) -> Transport:
    """Open a WebSocket. Raises `Obstacle`, and nothing else for what network or relay do; cancelled, it leaves nothing.

    The caller bounds it in time: the step `observer` last entered is where it was.
    """
    route = _Route(target, clock, observer, resolver)
    proxy = _proxy_of(target)
    observer.entered(Step.RESOLVE)
    sock = await route.connect(proxy)
    try:
        if proxy is not None:
            await route.tunnel(sock, proxy)
        # Made here: a context that cannot be made must not leave the socket behind.
        context = tls.context(target.tls) if target.secure else None
        transport = Transport(target, clock, on_text, on_closed)
        raw, _ = await asyncio.get_running_loop().create_connection(lambda: transport, sock=sock)
    except BaseException:
        sock.close()
        raise
    try:
        if context is not None:
            await route.secure(raw, transport, context)
        await route.upgrade(transport)
    except BaseException:
        raw.abort()
        transport.abort()
        raise
    return transport


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy that tunnels (CONNECT)."""

    host: str
    port: int
    authorization: str | None

    def __repr__(self) -> str:
        return f"Proxy({self.host}:{self.port})"


def _proxy_of(target: Target) -> Proxy | None:
    """The proxy for a target: its own, or the environment's."""
    url = target.proxy
    if url is None:
        if proxy_bypass(target.host):
            return None
        proxies = getproxies()
        url = proxies.get("https" if target.secure else "http") or proxies.get("all")
    if not url:
        return None
    parts = urlsplit(url if "//" in url else f"//{url}")
    if parts.scheme not in {"", "http"} or not parts.hostname:
        raise Obstacle(Step.PROXY, Reason.PROTOCOL, f"a proxy is http://HOST:PORT, not {parts.scheme or 'that'}")
    authorization = None
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(credentials.encode()).decode("ascii")
    return Proxy(parts.hostname, parts.port or 80, authorization)


def _place(target: Target) -> tuple[str, int]:
    """The name and port to look up."""
    if target.connect_to is None:
        return target.host, target.port
    host, _, port = target.connect_to.rpartition(":")
    return host.strip("[]"), int(port)


class _Route:
    """One dial: knows whom to tell, and turns what goes wrong into obstacles."""

    def __init__(self, target: Target, clock: Clock, observer: Observer, resolver: Resolver) -> None:
        self._target = target
        self._clock = clock
        self._observer = observer
        self._resolver = resolver

    async def connect(self, proxy: Proxy | None) -> socket.socket:
        """Look up the relay (or the proxy) and connect to one of its addresses."""
        target, clock = self._target, self._clock
        host, port = (proxy.host, proxy.port) if proxy else _place(target)
        started = clock.monotonic()
        try:
            found = await self._resolver(host, port, _FAMILIES[target.ip_protocol])
        except socket.gaierror as error:
            reason = Reason.TIMEOUT if error.errno == socket.EAI_AGAIN else Reason.DNS
            raise Obstacle(Step.RESOLVE, reason, f"{host}: {error.strerror}") from error
        except (OSError, UnicodeError) as error:
            raise Obstacle(Step.RESOLVE, Reason.DNS, f"{host}: {error}") from error
        if not found:
            raise Obstacle(Step.RESOLVE, Reason.DNS, f"{host}: no address")
        if target.pick is not None:
            found = [sorted(found, key=lambda item: str(item[4]))[target.pick % len(found)]]
        resolved = clock.monotonic()
        self._observer.phase(Phase.RESOLVE, started, resolved)
        step = Step.PROXY if proxy else Step.TCP
        self._observer.entered(step)
        watched = _Watched(self._observer)
        try:
            sock = await aiohappyeyeballs.start_connection(
                found,
                happy_eyeballs_delay=EYEBALLS_DELAY,
                interleave=1,
                loop=watched,  # type: ignore[arg-type]  # stands in for the loop
            )
        except OSError as error:
            raise _of_oserror(step, watched.first or error) from error
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not proxy:
            self._observer.phase(Phase.TCP, resolved, clock.monotonic())
        return sock

    async def tunnel(self, sock: socket.socket, proxy: Proxy) -> None:
        """Ask a proxy for a tunnel to the relay."""
        started = self._clock.monotonic()
        target = self._target
        host = f"[{target.host}]" if ":" in target.host else target.host
        lines = [f"CONNECT {host}:{target.port} HTTP/1.1", f"Host: {host}:{target.port}"]
        if proxy.authorization:
            lines.append(f"Proxy-Authorization: {proxy.authorization}")
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_sendall(sock, ("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
            answer = b""
            while b"\r\n\r\n" not in answer:
                # One byte past the headers would be the relay's: nothing may be read ahead of the WebSocket.
                chunk = await loop.sock_recv(sock, 1)
                if not chunk:
                    raise Obstacle(Step.PROXY, Reason.RESET, "the proxy closed the connection")
                answer += chunk
                if len(answer) > MAX_PROXY_ANSWER:
                    raise Obstacle(Step.PROXY, Reason.PROTOCOL, "the proxy's answer has no end")
        except OSError as error:
            raise _of_oserror(Step.PROXY, error) from error
        status = answer.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        if len(status) < 2 or not status[0].startswith("HTTP/1."):
            raise Obstacle(Step.PROXY, Reason.PROTOCOL, "the proxy speaks no HTTP")
        if status[1] != "200":
            raise Obstacle(Step.PROXY, Reason.HTTP_STATUS, f"the proxy answered {' '.join(status[1:])[:100]}")
        self._observer.phase(Phase.PROXY, started, self._clock.monotonic())

    async def secure(self, raw: asyncio.Transport, transport: Transport, context: ssl.SSLContext) -> None:
        """Put TLS over the connection."""
        self._observer.entered(Step.TLS)
        started = self._clock.monotonic()
        options = self._target.tls
        name = (options.server_name if options else None) or self._target.host
        try:
            over = await asyncio.get_running_loop().start_tls(raw, transport, context, server_hostname=name)
        except (ssl.SSLError, OSError, EOFError) as error:
            raise tls.obstacle_of(error) from error
        if over is None:
            raise Obstacle(Step.TLS, Reason.RESET, "connection lost in the TLS handshake")
        transport.connection_made(over)
        self._observer.phase(Phase.TLS, started, self._clock.monotonic())
        expiry = tls.not_after(over)
        if expiry is not None:
            self._observer.certificate(expiry)

    async def upgrade(self, transport: Transport) -> None:
        """Ask for the WebSocket."""
        self._observer.entered(Step.UPGRADE)
        started = self._clock.monotonic()
        transport.upgrade()
        await transport.upgraded
        self._observer.phase(Phase.UPGRADE, started, self._clock.monotonic())


class _Watched:
    """The running loop, with an eye on each address's connect: aiohappyeyeballs tells only how all of them went."""

    def __init__(self, observer: Observer) -> None:
        self.first: OSError | None = None
        self._loop = asyncio.get_running_loop()
        self._observer = observer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    async def sock_connect(self, sock: socket.socket, address: tuple[Any, ...]) -> None:
        """Connect, noting a failure."""
        try:
            await self._loop.sock_connect(sock, address)
        except OSError as error:
            self.first = self.first or error
            self._observer.address_failed("ip6" if sock.family == socket.AF_INET6 else "ip4")
            raise


def _of_oserror(step: Step, error: OSError) -> Obstacle:
    what = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in {errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL}:
        return OwnFault(step, Reason.UNREACHABLE, f"no route of our own: {what}")
    if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
        return OwnFault(step, Reason.INTERNAL, f"this machine is out of resources: {what}")
    return Obstacle(step, _REASONS.get(error.errno or 0, Reason.UNREACHABLE), what)
