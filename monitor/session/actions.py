"""What a peer of the wallet protocol wants done with its relay connection: frozen values, to carry out in order."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Connect:
    """Connect to the relay."""


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Subscribe to a channel, positioned and recoverable."""

    channel: str


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Leave a channel."""

    channel: str


@dataclass(frozen=True, slots=True)
class FetchHistory:
    """Read the newest `limit` publications of a channel."""

    channel: str
    limit: int


@dataclass(frozen=True, slots=True)
class Publish:
    """Publish `data`, an envelope as text; `client_id` and `nonce` are what it carries."""

    channel: str
    data: str
    message_id: int
    client_id: str
    nonce: int


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection."""


Action = Connect | Subscribe | Unsubscribe | FetchHistory | Publish | Close
