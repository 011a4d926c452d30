"""Where a relay is and how to reach it, and who is told how that goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from monitor import __version__
from monitor.errors import ProbeError

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.relay.transport import Transport
    from monitor.vocabulary import Phase, Reason, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """What a `wss` relay needs beyond the system's trust: files in PEM, and another name to expect."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One URL of a relay and how to reach it.

    `proxy` overrides the environment's HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY; `max_frame` bounds one incoming
    message in bytes. Headers and proxy may hold secrets and are in no repr.
    """

    url: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    origin: str | None = None
    user_agent: str = f"relay-monitor/{__version__}"
    subprotocols: tuple[str, ...] = ()
    tls: TlsOptions | None = None
    ip_protocol: str = "any"  # any, ip4 or ip6
    connect_to: str | None = None  # NAME:PORT to look up in the URL's place: a node of the cluster
    pick: int | None = None  # of the addresses found, take this one only, counted round
    proxy: str | None = field(default=None, repr=False)
    max_frame: int = 1 << 20

    @property
    def secure(self) -> bool:
        """Whether it is reached over TLS."""
        return urlsplit(self.url).scheme == "wss"

    @property
    def host(self) -> str:
        """The name or address in the URL."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port in the URL, or its scheme's."""
        return urlsplit(self.url).port or (443 if self.secure else 80)

    @property
    def place(self) -> tuple[str, int]:
        """The name (or address) and port to connect to: the URL's, unless `connect_to` says otherwise."""
        if self.connect_to is None:
            return self.host, self.port
        host, _, port = self.connect_to.rpartition(":")
        return host.strip("[]"), int(port)


class Observer(Protocol):
    """Who is told how a dial goes. All times are seconds of the monotonic clock."""

    def entered(self, step: Step) -> None:
        """A step begins: where a deadline passes, it passed there."""

    def proxied(self) -> None:
        """The connection to the proxy stands: from now on it is the proxy that is waited for."""

    def attached(self, transport: Transport) -> None:
        """There is a connection; whether bytes are coming on it can be seen from now on."""

    def phase(self, phase: Phase, started: float, ended: float) -> None:
        """A phase is done."""

    def address_failed(self, family: str) -> None:
        """One address, "ip4" or "ip6", could not be reached, and not for want of a route of our own."""

    def certificate(self, not_after: float) -> None:
        """The relay's certificate expires then, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Closed:
    """A transport's end, as the relay made it.

    `code` is the close frame's, None where none came or it had none. `fault` is None for a close frame and for a
    connection closed without one; otherwise it says what was wrong: RESET, PROTOCOL, TOO_LARGE, or SILENT for a
    relay that does not read.
    """

    code: int | None
    reason: str
    fault: Reason | None


class RateLimitedError(ProbeError):
    """The relay asks to come back later: in `retry_after` seconds."""

    def __init__(self, step: Step, reason: Reason, detail: str, retry_after: float) -> None:
        super().__init__(step, reason, detail)
        self.retry_after = retry_after
