"""Reference hosts, independent of any relay: if none that did answer does so now, the fault is in our own network.

They are asked the way the probes go: through the relays' proxy if they use one. A reference that has never answered
that way proves nothing, and neither does one that no longer answers while a relay does.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from monitor.config.fields import split_host_port
from monitor.errors import ProbeError
from monitor.relay.dial import reach
from monitor.relay.resolve import look_up
from monitor.relay.target import Target

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection, Sequence

    from monitor.clock import Clock
    from monitor.relay.proxy import Proxy
    from monitor.relay.resolve import AddressInfo

_log = structlog.get_logger(__name__)

TIMEOUT: Final = 2.0
"""Seconds until a reference must accept a connection."""

DIRECT: Final[tuple[None]] = (None,)
"""The one way of relays that are reached without a proxy."""


class References:
    """Checks `addresses` (host:port) by parallel TCP connects, over which nothing is sent.

    `up` tells whether one answered the latest check; None before the first.
    """

    def __init__(self, addresses: Sequence[str], clock: Clock) -> None:
        self.addresses = tuple(addresses)
        self.up: bool | None = None
        self._clock = clock
        # A name is resolved in a thread, which cannot be cancelled: at most one for each address.
        self._lookups: dict[tuple[str, int], asyncio.Future[list[AddressInfo]]] = {}
        self._answered: set[tuple[str, Proxy | None]] = set()  # by address and way: it answered, so its silence counts

    async def unreachable(self, ways: Collection[Proxy | None] = DIRECT) -> str | None:
        """Return why no reference is reachable; None if one is, or if none has answered before. Never raises.

        `ways` are the proxies through which the relays are reached; None is the direct way.
        """
        asked = [(address, way) for address in self.addresses for way in ways]
        failures = dict(zip(asked, await asyncio.gather(*(self._check(*item) for item in asked)), strict=True))
        if not asked:
            return None
        self.up = None in failures.values()
        self._answered |= {item for item, failure in failures.items() if failure is None}
        if self.up or self._answered.isdisjoint(asked):
            return None
        return f"no reference reachable: {', '.join(sorted(str(failure) for failure in failures.values()))}"

    async def unproven(self, ways: Collection[Proxy | None] = DIRECT) -> list[str]:
        """Ask all references, and return why those do not answer that have never done so. Never raises."""
        await self.unreachable(ways)
        asked = [(address, way) for address in self.addresses for way in ways]
        silent = [item for item in asked if item not in self._answered]
        return [text for text in await asyncio.gather(*(self._check(*item) for item in silent)) if text is not None]

    def disregard(self) -> None:
        """Note that a relay was reached while no reference answered: their silence proves nothing until they answer."""
        if self._answered:
            _log.warning("references prove nothing: they do not answer while a relay does", references=self.addresses)
        self._answered.clear()

    async def _check(self, address: str, way: Proxy | None) -> str | None:
        """Return why a reference does not answer, or None if it does."""
        host, port = split_host_port(address)
        target = Target(url=f"ws://[{host}]:{port}" if ":" in host else f"ws://{host}:{port}")
        try:
            await reach(target, clock=self._clock, proxy=way, timeout=TIMEOUT, resolver=self._look_up)
        except ProbeError as error:
            through = f" through {way.name}" if way is not None else ""
            detail = error.detail.removeprefix(f"{address}: ").removeprefix(f"{host}: ")
            return f"{address}{through}: {detail}"
        except UnicodeError:
            return f"{address}: not a host name"
        return None

    async def _look_up(self, host: str, port: int, family: socket.AddressFamily) -> list[AddressInfo]:
        running = self._lookups.get((host, port))
        if running is None or running.done():
            running = self._lookups[host, port] = asyncio.ensure_future(look_up(host, port, family))
            running.add_done_callback(_retrieve_error)
        return await asyncio.shield(running)


def _retrieve_error(ended: asyncio.Future[list[AddressInfo]]) -> None:
    """Mark the error of an abandoned look-up as retrieved."""
    if not ended.cancelled():
        ended.exception()
