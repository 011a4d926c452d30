"""Names of hosts in requests: which are the monitor's own, and which no site on the Internet can have."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from monitor.config import monitor_url

if TYPE_CHECKING:
    from collections.abc import Collection

    from monitor.config import Config

PRIVATE_SUFFIXES: Final = (".localhost", ".local", ".internal", ".home.arpa", ".test", ".svc")
"""Ends of names that no site on the Internet has (RFC 6761, RFC 6762, RFC 8375), and of Services in Kubernetes."""


def hostname(host: str) -> str:
    """Return the name or address in a `Host` header, in lower case and without port; empty if there is none."""
    try:
        return _normalized(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return ""


def own_names(config: Config, shard: int) -> frozenset[str]:
    """Return the names under which a monitor is reached: those of the configuration, and that of this machine."""
    settings = (config.alerts.external_url, config.drill.webhook_url)
    urls = [monitor_url(url, config.location, shard) for url in settings if url is not None]
    names = {hostname(urlsplit(url).netloc) for url in urls} | {socket.gethostname(), config.server.host}
    return frozenset(map(_normalized, (*names, *config.server.allowed_hosts)))


def is_listed(host: str, names: Collection[str]) -> bool:
    """Return True if `names` have a host, or a domain such as `.example.com` that it is or belongs to."""
    labels = host.split(".")
    domains = ("." + ".".join(labels[start:]) for start in range(len(labels)))
    return host in names or any(domain in names for domain in domains)


def is_private(host: str) -> bool:
    """Return True for what no site on the Internet is called: an address, a name without a dot, one for private use.

    An empty host is private too: only clients of HTTP/1.0 send none, and no browser is one.
    """
    return "." not in host or host.endswith(PRIVATE_SUFFIXES) or _address(host) is not None


def is_loopback(host: str) -> bool:
    """Return True for `localhost` and the addresses of the loopback interface."""
    if host == "localhost":
        return True
    address = _address(host)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address is not None and (mapped or address).is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _normalized(name: str) -> str:
    return name.lower().removesuffix(".")
