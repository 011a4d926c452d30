"""How a client gets in, said by whoever knows the relay, its limits and its endpoints."""

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
class Access:
    """How one side reaches one relay, whatever it does there.

    `target` and `hello` are made anew for each connect, so that the files of headers and token are read again; either
    may raise `ProbeError`. `admit` waits until the relay's limits allow one more connect, of a client that comes back
    with the time at which it dropped, or last failed; `postpone` lets none in for so many seconds, as the relay asked.
    """

    target: Callable[[], Target]
    hello: Callable[[], Connect]
    admit: Callable[[float | None], Awaitable[None]]
    postpone: Callable[[float], None]
    clock: Clock
    arrivals: Arrivals
    deadlines: Deadlines
    rng: random.Random
    timeout: float  # seconds for each connect, from the first look-up to the hello
