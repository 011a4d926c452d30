"""A relay: where it is, what it keeps, what it allows, and how to get in."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from monitor.config.fields import (
    THAWED,
    Duration,
    EndpointUrl,
    ExistingFile,
    HostPort,
    Kind,
    Name,
    OneOrMore,
    RelayLabels,
    RelayUrl,
    Section,
    Selector,
    Text,
    WebUrl,
    checked,
    frozen,
    no_entries,
    one_or_more,
)
from monitor.config.secrets import Secret, SecretFile, SecretOrFile, reveal

MAX_HEADERS: Final = 50

USUAL_CONFIRMATION: Final = 6
"""Connects of a confirmation: three fresh attempts, each of two ends."""

_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", re.ASCII)
# The upgrade's own: another value breaks it or is overwritten.
_RESERVED: Final = frozenset({"host", "connection", "upgrade", "content-length", "transfer-encoding", "origin"})


class DnsEndpoint(Section):
    """Every address behind one name, as a headless Kubernetes service gives them."""

    dns: HostPort = Field(description="each address behind this name is one node; scheme and path are those of `url`")


class HistoryConfig(Section):
    """What the relay keeps of each `session` channel."""

    size: int = Field(20, ge=1, le=10_000, description="messages kept of a channel")
    ttl: Annotated[float, Duration("1s", "30d")] = Field(300.0, description="how long it keeps them")


class LimitsConfig(Section):
    """What is never exceeded, whatever the probes ask."""

    connects_per_minute: int = Field(60, ge=1, le=100_000, description="connects in any minute")
    messages_per_minute: int = Field(600, ge=1, le=1_000_000, description="messages published in any minute")

    @property
    def reserve(self) -> int:
        """Connects that only a confirmation may take: those of one that needs all its usual attempts, if there is room.

        Without them a relay that fails twice in a minute could not be called down the second time.
        """
        return min(self.connects_per_minute // 4, USUAL_CONFIRMATION)


class TlsConfig(Section):
    """Our side of TLS."""

    ca_file: ExistingFile | None = Field(None, description="certificates to trust in the place of the system's")
    cert_file: ExistingFile | None = Field(None, description="our own certificate, where the relay asks for one")
    key_file: ExistingFile | None = Field(None, description="the private key of `cert_file`")
    server_name: Text | None = Field(None, description="the name the relay's certificate must hold, if not its host's")


def _header_name(name: str) -> None:
    if not _HEADER.fullmatch(name):
        raise ValueError("is not a header name; expected letters, digits and -, up to 100")
    if name.lower() in _RESERVED or name.lower().startswith("sec-websocket-"):
        raise ValueError("is set by the WebSocket upgrade itself; expected another header (origin has its own key)")


Headers = Annotated[
    Mapping[Annotated[str, checked(_header_name)], SecretOrFile],
    Field(max_length=MAX_HEADERS),
    AfterValidator(frozen),
    THAWED,
    Kind("header → secret or {file: PATH}", f"up to {MAX_HEADERS}"),
]


class HeadersConfig(Section):
    """More headers of the upgrade request. Each value is a secret: text, or `{file: PATH}`."""

    dapp: Headers = Field(default_factory=no_entries, description="headers of dApps")
    wallet: Headers = Field(default_factory=no_entries, description="headers of wallets")


def _endpoint_form(value: Any) -> str:
    return "<dns>" if isinstance(value, (dict, DnsEndpoint)) else "<url>"


Endpoint = Annotated[
    Annotated[EndpointUrl, Tag("<url>")] | Annotated[DnsEndpoint, Tag("<dns>")],
    Discriminator(_endpoint_form),
    Kind("URL or {dns: NAME:PORT}"),
]


class RelayConfig(Section):
    """One relay: a Centrifugo server, or a cluster, behind one name."""

    name: Name = Field(description="what it is called in labels, alerts and pages")
    url: RelayUrl = Field(description="its WebSocket address; `embedded` starts the built-in relay")
    endpoints: Annotated[tuple[Endpoint, ...], Field(max_length=100), BeforeValidator(one_or_more), OneOrMore()] = (
        Field((), description="nodes of one cluster: the two ends of a pair go to different ones")
    )
    ip_protocol: Literal["any", "ip4", "ip6"] = Field("any", description="which addresses to use")
    history: HistoryConfig = Field(
        default_factory=HistoryConfig, description="what the relay keeps for `session` channels"
    )
    limits: LimitsConfig = Field(
        default_factory=LimitsConfig, description="what is never exceeded, whatever the probes ask"
    )
    labels: RelayLabels = Field(
        default_factory=no_entries, description="labels of `relay_probe_relay_info`, to join with"
    )
    max_severity: Literal["critical", "warning"] = Field(
        "critical", description="the most severe alert it may raise; `warning` suits a staging relay"
    )
    headers: HeadersConfig = Field(default_factory=HeadersConfig, description="more headers of the upgrade request")
    origin: WebUrl | None = Field(None, description="the `Origin` header, where the relay checks it")
    token: Secret | None = Field(None, description="connection token (JWT)")
    token_file: ExistingFile | None = Field(None, description="file of the token, read again at each connect")
    tls: TlsConfig | None = Field(None, description="our side of TLS, for `wss://`")
    centrifugo_selector: Selector | None = Field(
        None, description='finds the relay\'s own metrics in Prometheus, such as `job="centrifugo"`'
    )

    def read_token(self) -> str | None:
        """The connection token, read from its file now if it has one. Raises `StartupError`."""
        secret = self.token or self.token_file
        return None if secret is None else reveal(secret)

    def read_headers(self, side: str) -> dict[str, str]:
        """The headers of one side, "dapp" or "wallet"; files are read now. Raises `StartupError`."""
        headers = self.headers.dapp if side == "dapp" else self.headers.wallet
        return {name: reveal(secret) for name, secret in headers.items()}


__all__ = ["DnsEndpoint", "HeadersConfig", "HistoryConfig", "LimitsConfig", "RelayConfig", "SecretFile", "TlsConfig"]
