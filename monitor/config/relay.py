"""A relay: its address, history, limits and credentials."""

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
    LabelText,
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
from monitor.config.secrets import Secret, SecretFile, SecretOrFile

MAX_HEADERS: Final = 50

CONFIRMATION_CONNECTS: Final = 6
"""Connects of a confirmation by default: three attempts with two participants each."""

CONFIRMATION_SPACING: Final = 2.0
"""Seconds between the starts of the attempts that confirm one failure."""

REDUCED_INTERVAL: Final = 20.0
"""Seconds between two attempts where the relay asks for fewer connects."""

MAX_ATTEMPT_TIME: Final = 6.0
"""Seconds that one attempt may take, even if the probe's timeout is longer."""

_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", re.ASCII)
# Set by the WebSocket upgrade: another value breaks it or is overwritten.
_RESERVED: Final = frozenset({"host", "connection", "upgrade", "content-length", "transfer-encoding", "origin"})


class DnsEndpoint(Section):
    """All addresses of one DNS name, such as that of a headless Kubernetes service."""

    dns: HostPort = Field(description="each address of this name is one node; scheme and path are those of `url`")


class HistoryConfig(Section):
    """What the relay keeps of each `session` channel."""

    size: int = Field(20, ge=1, le=10_000, description="messages kept per channel")
    ttl: Annotated[float, Duration("1s", "30d")] = Field(300.0, description="how long it keeps them")


class LimitsConfig(Section):
    """Limits that the monitor never exceeds."""

    connects_per_minute: int = Field(60, ge=1, le=100_000, description="connects in any minute")
    messages_per_minute: int = Field(600, ge=1, le=1_000_000, description="messages published in any minute")

    @property
    def reserve(self) -> int:
        """Connects per minute that are reserved for confirmations.

        Without them the second failure within a minute could not be confirmed.
        """
        return min(self.connects_per_minute // 4, CONFIRMATION_CONNECTS)


class ConfirmConfig(Section):
    """The fresh attempts that the verdict on the relay rests on: each is a new pairing and one message, in no SLI."""

    attempts: int = Field(3, ge=1, le=10, description="attempts that follow a failure, at least one for each endpoint")
    within: Annotated[float, Duration("1s", "1m")] = Field(10.0, description="time limit for all of them")
    every: Annotated[float, Duration("5s", "10m")] = Field(
        30.0, description="time between two attempts while nothing fails; longer where `limits` leaves no room"
    )


class TlsConfig(Section):
    """TLS, as the client."""

    ca_file: ExistingFile | None = Field(None, description="certificates to trust instead of the system's")
    cert_file: ExistingFile | None = Field(None, description="client certificate, if the relay requests one")
    key_file: ExistingFile | None = Field(None, description="the private key of `cert_file`")
    server_name: Text | None = Field(None, description="name in the relay's certificate, if not its host's")


def _header_name(name: str) -> None:
    if not _HEADER.fullmatch(name):
        raise ValueError("is not a header name; expected letters, digits and -, up to 100")
    if name.lower() in _RESERVED or name.lower().startswith("sec-websocket-"):
        raise ValueError("is set by the WebSocket upgrade; expected another header (origin has its own key)")


Headers = Annotated[
    Mapping[Annotated[str, checked(_header_name)], SecretOrFile],
    Field(max_length=MAX_HEADERS),
    AfterValidator(frozen),
    THAWED,
    Kind("header → secret or {file: PATH}", f"up to {MAX_HEADERS}"),
]


class HeadersConfig(Section):
    """Additional headers of the upgrade request. Each value is a secret: text, or `{file: PATH}`."""

    dapp: Headers = Field(default_factory=no_entries, description="headers of dApps")
    wallet: Headers = Field(default_factory=no_entries, description="headers of wallets")


def _endpoint_tag(value: Any) -> str:
    return "<dns>" if isinstance(value, (dict, DnsEndpoint)) else "<url>"


Endpoint = Annotated[
    Annotated[EndpointUrl, Tag("<url>")] | Annotated[DnsEndpoint, Tag("<dns>")],
    Discriminator(_endpoint_tag),
    Kind("URL or {dns: NAME:PORT}"),
]


class RelayConfig(Section):
    """One relay: a Centrifugo server or cluster."""

    name: Name = Field(description="name in labels, alerts and pages")
    url: RelayUrl = Field(description="WebSocket URL; `embedded` starts the built-in relay")
    endpoints: Annotated[tuple[Endpoint, ...], Field(max_length=100), BeforeValidator(one_or_more), OneOrMore()] = (
        Field((), description="nodes of one cluster: the two participants of a pair connect to different ones")
    )
    ip_protocol: Literal["any", "ip4", "ip6"] = Field("any", description="IP version of the addresses to use")
    history: HistoryConfig = Field(
        default_factory=HistoryConfig, description="what the relay keeps for `session` channels"
    )
    limits: LimitsConfig = Field(default_factory=LimitsConfig, description="limits that the monitor never exceeds")
    labels: RelayLabels = Field(
        default_factory=no_entries, description="additional labels of `relay_probe_relay_info`, for joins"
    )
    max_severity: Literal["critical", "warning"] = Field(
        "critical", description="highest severity of its alerts; `warning` suits a staging relay"
    )
    confirm: ConfirmConfig = Field(default_factory=ConfirmConfig, description="how its verdict is confirmed")
    page_after: Annotated[float, Duration("0s", "1h")] = Field(
        30.0, description="how long it is down before its alert fires; verdict and pages show it at once"
    )
    scope: Literal["global", "regional"] = Field(
        "global",
        description="`global`: a majority of the locations pages; `regional`: the verdict of one location pages",
    )
    owner: LabelText | None = Field(None, description="label `owner` of its alerts, for routing")
    group: LabelText | None = Field(
        None, description="label `group` of its alerts; relays of a group that fall together are one page"
    )
    headers: HeadersConfig = Field(
        default_factory=HeadersConfig, description="additional headers of the upgrade request"
    )
    origin: WebUrl | None = Field(None, description="`Origin` header, if the relay checks it")
    token: Secret | None = Field(None, description="connection token (JWT)")
    token_file: ExistingFile | None = Field(None, description="file with the token, read at each connect")
    tls: TlsConfig | None = Field(None, description="TLS, for `wss://`")
    centrifugo_selector: Selector | None = Field(
        None, description='selects the relay\'s own metrics in Prometheus, such as `job="centrifugo"`'
    )


__all__ = [
    "ConfirmConfig",
    "DnsEndpoint",
    "HeadersConfig",
    "HistoryConfig",
    "LimitsConfig",
    "RelayConfig",
    "SecretFile",
    "TlsConfig",
]
