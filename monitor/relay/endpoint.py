"""What a client needs to connect to a relay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from monitor.clock import Arrivals, Clock
    from monitor.deadlines import Deadlines
    from monitor.relay.target import Target
    from monitor.wire.commands import Connect


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointProvider:
    """Target, hello and admission of one participant at one relay.

    `target` and `hello` are called for each connect, so that files of headers and token are read again; both may raise
    `ProbeError`. `admit` waits until the relay's limits allow one more connect; its argument is the monotonic time at
    which a reconnecting client dropped or last failed, None for a first connect. `postpone` blocks all connects for
    the given seconds, as the relay asked (Retry-After).
    """

    target: Callable[[], Target]
    hello: Callable[[], Connect]
    admit: Callable[[float | None], Awaitable[None]]
    postpone: Callable[[float], None]
    clock: Clock
    arrivals: Arrivals
    deadlines: Deadlines
    rng: random.Random
    timeout: float  # seconds for each connect, from name resolution to the reply to the hello
