"""Open a WebSocket connection in timed phases: resolve, proxy, TCP, TLS, upgrade.

All network exceptions are translated here into `ProbeError`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any, Final, Protocol

import aiohappyeyeballs

from monitor.clock import Arrivals, Clock
from monitor.errors import ProbeError, SettingsError
from monitor.relay import obstacles, tls
from monitor.relay.proxy import proxy_of
from monitor.relay.resolve import look_up
from monitor.relay.routes import address_text, has_route, no_route_error
from monitor.relay.transport import CLOSE_WAIT, Transport
from monitor.relay.tunnel import tunnel
from monitor.vocabulary import Phase, Reason, Step

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from monitor.relay.proxy import Proxy
    from monitor.relay.resolve import AddressInfo
    from monitor.relay.target import Target
    from monitor.relay.transport import Closed

    Resolver = Callable[[str, int, socket.AddressFamily], Awaitable[list[AddressInfo]]]

EYEBALLS_DELAY: Final = 0.25
"""Seconds before a connect to the next address starts in parallel (RFC 8305, section 8)."""

_DAY: Final = 86400.0
_FAMILIES: Final = {"any": socket.AF_UNSPEC, "ip4": socket.AF_INET, "ip6": socket.AF_INET6}


class DialObserver(Protocol):
    """Callbacks of a dial. Times are seconds of the monotonic clock."""

    def entered(self, step: Step) -> None:
        """A step has begun. A deadline that passes now passes in this step."""

    def proxied(self) -> None:
        """The connection to the proxy is established."""

    def attached(self, transport: Transport) -> None:
        """The transport is connected; it tells whether an answer was received in part."""

    def phase(self, phase: Phase, started: float, ended: float) -> None:
        """A phase took from `started` to `ended`."""

    def address_failed(self, family: str) -> None:
        """An address of `family` ("ip4" or "ip6") could not be reached, by no local fault."""

    def picked(self, endpoint: str, addresses: int) -> None:
        """One of so many addresses is used, `ADDRESS:PORT`."""

    def certificate(self, not_after: float) -> None:
        """The relay's certificate expires at `not_after`, in seconds since the epoch."""


async def dial(
    target: Target,
    *,
    clock: Clock,
    observer: DialObserver,
    on_text: Callable[[str, float], None],
    on_closed: Callable[[Closed], None],
    resolver: Resolver = look_up,
    arrivals: Arrivals | None = None,
    context: ssl.SSLContext | None = None,
) -> Transport:
    """Open a WebSocket connection, over TLS with `context` if given, else with that of the target.

    Raises `ProbeError` for whatever the network or the relay does. A cancelled call leaves no socket open.

    The caller sets the deadline with `asyncio.timeout`; the last step passed to `observer.entered` tells where it
    passed. `on_text` and `on_closed` are not called before the caller has the transport.
    """
    # Configuration errors are found before the first packet.
    transport = Transport(target, arrivals or Arrivals(clock), on_text, on_closed)
    if context is None and target.secure:
        context = await tls.context(target.tls)
    route = _Route(target, clock, observer)
    sock = await route.connect(resolver)
    try:
        await route.attach(sock, transport, context)
        observer.attached(transport)
        await route.upgrade(transport)
    except BaseException:
        transport.abort()
        sock.close()
        raise
    # In the next iteration of the loop: the caller continues in this one and has the transport by then.
    asyncio.get_running_loop().call_soon(transport.start)
    return transport


async def reach(
    target: Target, *, clock: Clock, proxy: Proxy | None = None, timeout: float, resolver: Resolver = look_up
) -> None:
    """Connect to a target by TCP, through `proxy` if given, and close: nothing is sent to it.

    Raises `ProbeError` if it accepts no connection within `timeout` seconds.
    """
    observer = _Steps()
    route = _Route(target, clock, observer)
    try:
        async with asyncio.timeout(timeout):
            sock = await (route.direct(resolver) if proxy is None else route.through(proxy, resolver))
    except TimeoutError as error:
        if observer.step is Step.PROXY and proxy is not None and not observer.has_proxy:
            raise proxy.error(Reason.TIMEOUT, f"no answer within {timeout:g} s") from error
        raise ProbeError(observer.step, Reason.TIMEOUT, f"no answer within {timeout:g} s") from error
    sock.close()


class _Steps:
    """Keeps the last step of a dial whose other observations nobody needs."""

    def __init__(self) -> None:
        self.step = Step.RESOLVE
        self.has_proxy = False

    def entered(self, step: Step) -> None:
        self.step = step

    def proxied(self) -> None:
        self.has_proxy = True

    def attached(self, transport: Transport) -> None: ...

    def phase(self, phase: Phase, started: float, ended: float) -> None: ...

    def address_failed(self, family: str) -> None: ...

    def picked(self, endpoint: str, addresses: int) -> None: ...

    def certificate(self, not_after: float) -> None: ...


class _Route:
    """The phases of one dial."""

    def __init__(self, target: Target, clock: Clock, observer: DialObserver) -> None:
        self._target = target
        self._clock = clock
        self._observer = observer

    async def connect(self, resolver: Resolver) -> socket.socket:
        """Return a socket that is connected to the relay, through the proxy if there is one."""
        proxy = proxy_of(self._target)
        return await (self.direct(resolver) if proxy is None else self.through(proxy, resolver))

    async def direct(self, resolver: Resolver) -> socket.socket:
        """Resolve the relay and connect to one of its addresses."""
        found = await self._look_up(resolver, Step.TCP)
        self._observer.entered(Step.TCP)
        started = self._clock.monotonic()
        sock = await self._connect(Step.TCP, found)
        self._observer.phase(Phase.TCP, started, self._clock.monotonic())
        return sock

    async def through(self, proxy: Proxy, resolver: Resolver) -> socket.socket:
        """Connect to the proxy and open a tunnel to the relay. Errors of the proxy's name belong to step `proxy`.

        A proxy that cannot be reached, refuses the monitor or answers nonsense is a fault of this side.
        """
        host, port = self._target.address
        if not proxy.resolves:
            addresses = await self._look_up(resolver)
            if proxy.scheme == "socks4":  # it has room for an IPv4 address only
                addresses = [item for item in addresses if item[0] == socket.AF_INET]
                if not addresses:
                    detail = "a socks4 proxy reaches IPv4 addresses only; use socks4a or socks5"
                    raise SettingsError(Step.PROXY, Reason.INTERNAL, detail, shared=proxy.name)
            host = addresses[0][4][0]
        self._observer.entered(Step.PROXY)
        started = self._clock.monotonic()
        try:
            found = self._routed(await self._addresses(proxy.host, proxy.port, resolver), Step.PROXY)
            sock = await self._connect(Step.PROXY, found)
        except ProbeError as error:
            reason = Reason.UNREACHABLE if error.step is Step.RESOLVE else error.reason
            raise proxy.error(reason, error.detail) from error
        self._observer.proxied()
        try:
            await tunnel(sock, proxy, host, port)
        except BaseException:
            sock.close()
            raise
        self._observer.phase(Phase.PROXY, started, self._clock.monotonic())
        return sock

    async def attach(self, sock: socket.socket, transport: Transport, context: ssl.SSLContext | None) -> None:
        """Attach the connected socket to the transport, with a TLS handshake if `context` is given."""
        loop = asyncio.get_running_loop()
        if context is None:
            try:
                await loop.create_connection(lambda: transport, sock=sock)
            except OSError as cause:
                raise obstacles.of_os_error(Step.TCP, cause) from cause
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
            raise tls.of_tls_error(cause) from cause
        self._observer.phase(Phase.TLS, started, self._clock.monotonic())
        expiry = tls.not_after(raw)
        if expiry is not None:
            self._observer.certificate(expiry)
        # A TLS 1.3 server rejects the client's certificate after the handshake and closes. Two iterations of the loop
        # let asyncio read its alert before a write fails without a reason.
        for _ in range(2):
            await asyncio.sleep(0)

    async def upgrade(self, transport: Transport) -> None:
        """Send the upgrade request and wait for the response."""
        self._observer.entered(Step.UPGRADE)
        started = self._clock.monotonic()
        await transport.upgrade()
        self._observer.phase(Phase.UPGRADE, started, self._clock.monotonic())

    async def _look_up(self, resolver: Resolver, step: Step | None = None) -> list[AddressInfo]:
        """Look up the relay. If this machine connects to it itself, at `step`, only addresses with a route count."""
        target = self._target
        self._observer.entered(Step.RESOLVE)
        started = self._clock.monotonic()
        found = await self._addresses(*target.address, resolver)
        if step is not None:
            found = self._routed(found, step)
        if target.pick is not None:
            addresses = len(found)
            found = [sorted(found, key=lambda item: str(item[4]))[target.pick % len(found)]]
            self._observer.picked(address_text(*found[0][::4]), addresses)
        self._observer.phase(Phase.RESOLVE, started, self._clock.monotonic())
        return found

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

    def _routed(self, found: list[AddressInfo], step: Step) -> list[AddressInfo]:
        """Return the addresses to which this machine has a route; an error at `step` if there are none."""
        routed = [item for item in found if has_route(item)]
        if not routed:
            raise no_route_error(step, found, self._target.ip_protocol)
        return routed

    async def _connect(self, step: Step, found: list[AddressInfo]) -> socket.socket:
        observed = _ObservedLoop(self._observer)
        try:
            sock = await aiohappyeyeballs.start_connection(
                found,
                happy_eyeballs_delay=EYEBALLS_DELAY,
                interleave=1,
                loop=observed,  # type: ignore[arg-type]  # stands in for the loop
            )
        except (OSError, RuntimeError) as cause:  # uvloop has RuntimeErrors of its own
            raise observed.error(step, cause) from cause
        # Optional, and refused by a connection that is closed already.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock


class _ObservedLoop:
    """A proxy of the running loop that records each failed connect; aiohappyeyeballs reports only their sum."""

    def __init__(self, observer: DialObserver) -> None:
        self._loop = asyncio.get_running_loop()
        self._observer = observer
        self._failed: list[tuple[OSError, str]] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._loop, name)

    async def sock_connect(self, sock: socket.socket, address: tuple[Any, ...]) -> None:
        """Connect, and record a failure."""
        try:
            await self._loop.sock_connect(sock, address)
        except OSError as cause:
            self._failed.append((cause, address_text(sock.family, address)))
            if not obstacles.is_local_fault(cause):
                self._observer.address_failed("ip6" if sock.family == socket.AF_INET6 else "ip4")
            raise

    def error(self, step: Step, cause: Exception) -> ProbeError:
        """Return the error after all addresses failed: the first remote failure, else the first local one.

        A machine without IPv6 has no route to some of a relay's addresses; that says nothing about the relay.
        """
        for failure, where in sorted(self._failed, key=lambda failed: obstacles.is_local_fault(failed[0])):
            return obstacles.of_os_error(step, failure, where)
        if isinstance(cause, OSError):
            return obstacles.of_os_error(step, cause)
        return ProbeError(step, Reason.UNREACHABLE, str(cause)[:200])
