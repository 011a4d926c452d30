"""What a peer of the wallet protocol wants done with its relay connection: frozen values, to carry out in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from monitor.session.notices import MessageKey


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


class Publish(NamedTuple):
    """Publish `data`, an envelope as text, to the channel of its `key`; sender and nonce are what it carries."""

    key: MessageKey
    data: str
    message_id: int


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection."""


Action = Connect | Subscribe | Unsubscribe | FetchHistory | Publish | Close
