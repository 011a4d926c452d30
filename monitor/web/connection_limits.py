"""Limits of one client: connections, handshakes, event streams and checks of passwords.

Clients count by address; those behind a proxy or a NAT have one address together. A client can have any address of its
IPv6 network, so that such a network counts as one.

Without a limit for one address, a single client could hold all connections, and scrapes would be refused. Where a limit
is reached, an idle connection gives way to a new one: a client that holds connections and asks for nothing keeps
nobody out.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

MAX_CONNECTIONS: Final = 200
"""Largest number of open connections."""

MAX_PER_ADDRESS: Final = 150
"""Largest number of open connections of one address. A reverse proxy has all its clients' connections."""

IPV6_NETWORK: Final = 64
"""Length of the prefix of an IPv6 network, in bits."""


class Connection(Protocol):
    """An open connection."""

    @property
    def origin(self) -> str:
        """The address that it counts for, see `origin_of`."""

    @property
    def is_idle(self) -> bool:
        """True if no request of it is being answered."""

    @property
    def active_at(self) -> float:
        """When it was opened or last answered a request, on the event loop's clock."""


class ClientCounts:
    """Counts what clients have open, by what their addresses count for, see `origin_of`."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """The number of all clients together."""
        return self._counts.total()

    def is_full(self, origin: str, limit: int, limit_per_address: int) -> bool:
        """Return True if all together have reached their limit, or those of `origin` theirs."""
        return self.total >= limit or self._counts[origin] >= limit_per_address

    def add(self, origin: str) -> None:
        """Count one more of `origin`."""
        self._counts[origin] += 1

    def remove(self, origin: str) -> None:
        """Count one less of `origin`."""
        self._counts -= Counter((origin,))  # leaves no zeros

    @contextmanager
    def counted(self, origin: str) -> Iterator[None]:
        """Count one of `origin` for as long as the block lasts."""
        self.add(origin)
        try:
            yield
        finally:
            self.remove(origin)


Opened = TypeVar("Opened", bound=Connection)


def excess(new: Opened, others: Collection[Opened]) -> Opened | None:
    """Return the connection that must be closed for a new one, itself if no other is idle; None if there is room.

    others: the open connections without the new one. Of the idle ones, the oldest of the address with most connections
    gives way.
    """
    counts = Counter(each.origin for each in others)
    if counts[new.origin] >= MAX_PER_ADDRESS:
        candidates = [each for each in others if each.origin == new.origin]
    elif len(others) >= MAX_CONNECTIONS:
        candidates = list(others)
    else:
        return None
    idle = [each for each in candidates if each.is_idle]
    return max(idle, key=lambda each: (counts[each.origin], -each.active_at), default=new)


def origin_of(host: str) -> str:
    """Return what the connections of a client's address count for: the address, or its IPv6 network."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, IPV6_NETWORK), strict=False))
