"""Actions of a peer for the owner of its relay connection, as frozen values, to carry out in order."""

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
    """Unsubscribe from a channel."""

    channel: str


@dataclass(frozen=True, slots=True)
class FetchHistory:
    """Read the newest `limit` publications of a channel."""

    channel: str
    limit: int


class Publish(NamedTuple):
    """Publish `data`, an encoded envelope, to the channel of `key`."""

    key: MessageKey
    data: str
    message_id: int


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection."""


Action = Connect | Subscribe | Unsubscribe | FetchHistory | Publish | Close
