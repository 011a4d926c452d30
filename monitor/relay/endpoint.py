"""What a client needs to connect to a relay."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from monitor.relay import tls
from monitor.relay.proxy import proxy_of
from monitor.relay.redaction import secrets_of
from monitor.relay.token import TokenLife, token_life

if TYPE_CHECKING:
    import random
    import ssl
    from collections.abc import Awaitable, Callable

    from monitor.clock import Arrivals, Clock
    from monitor.deadlines import Deadlines
    from monitor.errors import ProbeError
    from monitor.relay.proxy import Proxy
    from monitor.relay.target import Target
    from monitor.wire.commands import Connect


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectSettings:
    """The settings of one connect, as read for it. `secrets` are those that the relay or the proxy may quote."""

    target: Target
    hello: Connect
    tls: ssl.SSLContext | None
    proxy: Proxy | None
    token_life: TokenLife = field(default_factory=TokenLife)
    secrets: tuple[str, ...] = field(default=(), repr=False)


class Hastened(Protocol):
    """A client whose back-off can be ended."""

    def hasten(self, at: float) -> None:
        """Reconnect at `at` instead of at the end of the back-off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointProvider:
    """Target, hello and admission of one participant at one relay.

    `target` and `hello` are called for each connect, so that files of headers and token are read again; both may raise
    `ProbeError`. `admit` waits until the relay's limits allow one more connect; its argument is the monotonic time at
    which a reconnecting client dropped or last failed, None for a first connect. `postpone` blocks all connects for
    the given seconds, as the relay asked (Retry-After). `report` is called after each connect with its error, or None
    if the relay replied to the hello. `returning` receives each client, so that its back-off can be ended;
    `count_nodes` a DNS endpoint's name and the number of its addresses.
    """

    target: Callable[[], Awaitable[Target]]
    hello: Callable[[], Awaitable[Connect]]
    admit: Callable[[float | None], Awaitable[None]]
    postpone: Callable[[float], None]
    clock: Clock
    arrivals: Arrivals
    deadlines: Deadlines
    rng: random.Random
    returning: Callable[[Hastened], None] = lambda _: None
    count_nodes: Callable[[str, int], None] = lambda _name, _count: None
    timeout: float  # seconds for each connect, from name resolution to the reply to the hello
    report: Callable[[ProbeError | None], None] = lambda _: None

    async def read(self) -> ConnectSettings:
        """Read the settings of the next connect, whose files may hang for a few seconds. Raises `ProbeError`."""
        target, hello = await self.target(), await self.hello()
        proxy = proxy_of(target)
        return ConnectSettings(
            target=target,
            hello=hello,
            tls=await tls.context(target.tls) if target.secure else None,
            proxy=proxy,
            token_life=token_life(hello.token),
            secrets=secrets_of(target, hello.token, proxy),
        )
