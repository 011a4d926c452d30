"""Routes of this machine: an address without one is no node of the relay, and says nothing about it."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any, Final

from monitor.errors import SettingsError
from monitor.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.relay.resolve import AddressInfo
    from monitor.vocabulary import Step

NETWORK: Final = "network"
"""What relays share that cannot be reached because this machine has no network."""

NO_ROUTE: Final = frozenset({errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""Errors of the local kernel for an address to which it has no route: no packet left the machine."""

_NAMES: Final = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}


def has_route(address: AddressInfo) -> bool:
    """Return False if this machine has no route to the address. No packet is sent."""
    family, _, _, _, sockaddr = address
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(sockaddr)  # of a datagram socket: looks up the route and the source address
    except OSError as error:
        return error.errno not in NO_ROUTE
    return True


def no_route_error(step: Step, addresses: Sequence[AddressInfo], ip_protocol: str) -> SettingsError:
    """Return the error for a host with none of whose addresses this machine has a route to."""
    families = sorted({_NAMES.get(socket.AddressFamily(item[0]), "other") for item in addresses})
    where = ", ".join(sorted({address_text(item[0], item[4]) for item in addresses})[:4])
    detail = f"no {' and no '.join(families)} route from here to {where}"
    ipv4 = "IPv4" in families
    if not ipv4:
        advice = "ip4 or any" if ip_protocol == "ip6" else "ip4 once the relay has an IPv4 address"
        detail += f"; set ip_protocol: {advice}, or give this machine an IPv6 route"
    # Many machines have a network and no IPv6.
    return SettingsError(step, Reason.UNREACHABLE, detail, shared=NETWORK if ipv4 else "")


def address_text(family: int, address: tuple[Any, ...]) -> str:
    """Return `ADDRESS:PORT` of a socket address, with brackets for IPv6."""
    return f"[{address[0]}]:{address[1]}" if family == socket.AF_INET6 else f"{address[0]}:{address[1]}"
