"""The address of a relay and how to reach it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from monitor import __version__

if TYPE_CHECKING:
    from monitor.relay.tls import TlsOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One URL of a relay, with the settings of a connection to it.

    `proxy` overrides the environment's HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY. `max_frame` is the largest
    incoming message in bytes. Headers and proxy may contain secrets, so the repr leaves them out.
    """

    url: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    origin: str | None = None
    user_agent: str = f"relay-monitor/{__version__}"
    subprotocols: tuple[str, ...] = ()
    tls: TlsOptions | None = None
    ip_protocol: str = "any"  # any, ip4 or ip6
    connect_to: str | None = None  # NAME:PORT to resolve instead of the URL's host: a node of the cluster
    pick: int | None = None  # index, modulo their number, of the one address to use
    endpoint: str = ""  # its name, if the relay has several; an address that is picked becomes the name
    proxy: str | None = field(default=None, repr=False)
    max_frame: int = 1 << 20

    @property
    def secure(self) -> bool:
        """True for a `wss` URL."""
        return urlsplit(self.url).scheme == "wss"

    @property
    def host(self) -> str:
        """Host name or address in the URL."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """Port in the URL, or the default port of its scheme."""
        return urlsplit(self.url).port or (443 if self.secure else 80)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to connect to: `connect_to` if given, else those of the URL."""
        if self.connect_to is None:
            return self.host, self.port
        host, _, port = self.connect_to.rpartition(":")
        return host.strip("[]"), int(port)
