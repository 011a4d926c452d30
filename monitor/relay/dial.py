"""Reaching a relay phase by phase: look-up, (proxy,) TCP, TLS, upgrade, each timed and each with its own failures.

Foreign exceptions end here: whatever the network or the relay does becomes an `ProbeError`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any, Final

import aiohappyeyeballs

from monitor.clock import Arrivals, Clock
from monitor.errors import ProbeError
from monitor.relay import errnos, tls
from monitor.relay.proxy import proxy_of, tunnel
from monitor.relay.resolve import look_up
from monitor.relay.transport import CLOSE_WAIT, Transport
from monitor.vocabulary import Phase, Reason, Step

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from monitor.relay.proxy import Proxy
    from monitor.relay.resolve import AddressInfo
    from monitor.relay.target import Closed, Observer, Target

    Resolver = Callable[[str, int, socket.AddressFamily], Awaitable[list[AddressInfo]]]

EYEBALLS_DELAY: Final = 0.25
"""Seconds one address is tried before the next joins in (RFC 8305, section 8)."""

_DAY: Final = 86400.0
_FAMILIES: Final = {"any": socket.AF_UNSPEC, "ip4": socket.AF_INET, "ip6": socket.AF_INET6}


async def dial(
    target: Target,
    *,
    clock: Clock,
    observer: Observer,
    on_text: Callable[[str, float], None],
    on_closed: Callable[[Closed], None],
    resolver: Resolver = look_up,
    arrivals: Arrivals | None = None,
) -> Transport:
    """Open a WebSocket connection.

    Raises `ProbeError` for whatever the network or the relay does. A cancelled call leaves no socket open.

    The caller bounds it with `asyncio.timeout` (a task of its own would return a turn of the loop late): the step
    `observer` last entered is where it was. No callback is called before the caller has the transport.
    """
    # First what needs no network: a fault of the configuration is found before anyone is bothered.
    transport = Transport(target, arrivals or Arrivals(clock), on_text, on_closed)
    context = tls.context(target.tls) if target.secure else None
    proxy = proxy_of(target)
    route = _Route(target, clock, observer)
    if proxy is None:
        sock = await route.direct(resolver)
    else:
        sock = await route.through(proxy, resolver)
    try:
        await route.attach(sock, transport, context)
        observer.attached(transport)
        await route.upgrade(transport)
    except BaseException:
        transport.abort()
        sock.close()
        raise
    # One turn of the loop later: by then the caller, which goes on in this very turn, has the transport.
    asyncio.get_running_loop().call_soon(transport.start)
    return transport


class _Route:
    """One dial's way: does each phase, tells the observer, and turns what goes wrong into obstacles."""

    def __init__(self, target: Target, clock: Clock, observer: Observer) -> None:
        self._target = target
        self._clock = clock
        self._observer = observer

    async def direct(self, resolver: Resolver) -> socket.socket:
        """Look up the relay and connect to one of its addresses."""
        target, clock, observer = self._target, self._clock, self._observer
        observer.entered(Step.RESOLVE)
        started = clock.monotonic()
        found = await self._addresses(*target.place, resolver)
        if target.pick is not None:
            found = [sorted(found, key=lambda item: str(item[4]))[target.pick % len(found)]]
        resolved = clock.monotonic()
        observer.phase(Phase.RESOLVE, started, resolved)
        observer.entered(Step.TCP)
        sock = await self._connect(Step.TCP, found)
        observer.phase(Phase.TCP, resolved, clock.monotonic())
        return sock

    async def through(self, proxy: Proxy, resolver: Resolver) -> socket.socket:
        """Connect to the proxy, whose own name and address are its business, and have it connect to the relay."""
        self._observer.entered(Step.PROXY)
        started = self._clock.monotonic()
        try:
            found = await self._addresses(proxy.host, proxy.port, resolver)
        except ProbeError as error:
            raise ProbeError(Step.PROXY, Reason.UNREACHABLE, f"proxy {error.detail}") from error
        sock = await self._connect(Step.PROXY, found)
        self._observer.proxied()
        try:
            await tunnel(sock, proxy, *self._target.place)
        except BaseException:
            sock.close()
            raise
        self._observer.phase(Phase.PROXY, started, self._clock.monotonic())
        return sock

    async def attach(self, sock: socket.socket, transport: Transport, context: ssl.SSLContext | None) -> None:
        """Give the connected socket to the transport, under TLS where there is a `context`.

        TCP stands already, so all the time this takes is the TLS handshake's.
        """
        loop = asyncio.get_running_loop()
        if context is None:
            try:
                await loop.create_connection(lambda: transport, sock=sock)
            except OSError as cause:
                raise errnos.obstacle_of(Step.TCP, cause) from cause
            return
        self._observer.entered(Step.TLS)
        started = self._clock.monotonic()
        options = self._target.tls
        try:
            raw, _ = await loop.create_connection(
                lambda: transport,
                sock=sock,
                ssl=context,
                server_hostname=(options.server_name if options else None) or self._target.host,
                ssl_handshake_timeout=_DAY,  # the caller's deadline is the only one
                ssl_shutdown_timeout=CLOSE_WAIT,
            )
        except (OSError, EOFError, ValueError) as cause:  # ssl.SSLError is an OSError
            raise tls.obstacle_of(cause) from cause
        self._observer.phase(Phase.TLS, started, self._clock.monotonic())
        expiry = tls.not_after(raw)
        if expiry is not None:
            self._observer.certificate(expiry)
        # A TLS 1.3 server turns down our certificate after our handshake is done, and hangs up. asyncio would learn of
        # that by a failed write, and never read why: so let it read first, which takes the loop two turns.
        for _ in range(2):
            await asyncio.sleep(0)

    async def upgrade(self, transport: Transport) -> None:
        """Ask for the WebSocket."""
        self._observer.entered(Step.UPGRADE)
        started = self._clock.monotonic()
        await transport.upgrade()
        self._observer.phase(Phase.UPGRADE, started, self._clock.monotonic())

    async def _addresses(self, host: str, port: int, resolver: Resolver) -> list[AddressInfo]:
        try:
            found = await resolver(host, port, _FAMILIES[self._target.ip_protocol])
        except socket.gaierror as cause:
            reason = Reason.TIMEOUT if cause.errno == socket.EAI_AGAIN else Reason.DNS
            raise ProbeError(Step.RESOLVE, reason, f"{host}: {cause.strerror}") from cause
        except (OSError, UnicodeError) as cause:
            raise ProbeError(Step.RESOLVE, Reason.DNS, f"{host}: {cause}") from cause
        if not found:
            raise ProbeError(Step.RESOLVE, Reason.DNS, f"{host}: no address")
        return found

    async def _connect(self, step: Step, found: list[AddressInfo]) -> socket.socket:
        watched = _Watched(self._observer)
        try:
            sock = await aiohappyeyeballs.start_connection(
                found,
                happy_eyeballs_delay=EYEBALLS_DELAY,
                interleave=1,
                loop=watched,  # type: ignore[arg-type]  # stands in for the loop
            )
        except (OSError, RuntimeError) as cause:  # uvloop has RuntimeErrors of its own
            raise watched.error(step, cause) from cause
        # It does not matter to whether the relay can be reached, and a connection that is gone refuses it.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock


class _Watched:
    """The running loop, with an eye on each address's connect: aiohappyeyeballs tells only how all of them went."""

    def __init__(self, observer: Observer) -> None:
        self._loop = asyncio.get_running_loop()
        self._observer = observer
        self._failed: list[tuple[OSError, str]] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._loop, name)

    async def sock_connect(self, sock: socket.socket, address: tuple[Any, ...]) -> None:
        """Connect, noting a failure."""
        try:
            await self._loop.sock_connect(sock, address)
        except OSError as cause:
            host = f"[{address[0]}]" if sock.family == socket.AF_INET6 else address[0]
            self._failed.append((cause, f"{host}:{address[1]}"))
            if not errnos.is_ours(cause):
                self._observer.address_failed("ip6" if sock.family == socket.AF_INET6 else "ip4")
            raise

    def error(self, step: Step, cause: Exception) -> ProbeError:
        """What `error`, all addresses having failed, means: the first failure, but the relay's own before ours.

        A machine without IPv6 has no route to half of a relay's addresses; that says nothing of the relay.
        """
        for failure, where in sorted(self._failed, key=lambda failed: errnos.is_ours(failed[0])):
            return errnos.obstacle_of(step, failure, where)
        if isinstance(cause, OSError):
            return errnos.obstacle_of(step, cause)
        return ProbeError(step, Reason.UNREACHABLE, str(cause)[:200])
