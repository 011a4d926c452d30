"""Events of a connection, as frozen values.

The frequent ones are named tuples, which are several times faster to create than frozen dataclasses. `at` is the
arrival time of the frame, as passed to `Connection.receive`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from monitor.vocabulary import Reason
    from monitor.wire.commands import Command, Json, Position


class Publication(NamedTuple):
    """One publication. `offset` is 0 if the relay sent none."""

    channel: str
    data: Json
    offset: int
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """The relay accepted the connect command. `ping` is its ping interval in seconds, 0 for no pings."""

    client: str
    version: str
    ping: float
    pong: bool
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """A channel is subscribed, for the first time or again.

    After a recovery (`was_recovering`), `recovered` tells whether `publications` holds everything that was missed.
    """

    channel: str
    position: Position | None
    was_recovering: bool
    recovered: bool
    publications: tuple[Publication, ...]
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribed:
    """The relay ended a subscription; `resubscribing` tells whether the client subscribes again."""

    channel: str
    code: int
    reason: str
    resubscribing: bool
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorReply:
    """An error reply to one command."""

    code: int
    message: str
    temporary: bool


class Replied(NamedTuple):
    """The reply to a command, `took` seconds after it was sent: a `result`, or an `error`."""

    id: int
    command: Command
    result: Json
    error: ErrorReply | None
    took: float
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """No reply to a command: its deadline passed (`silent`), or the connection dropped."""

    id: int
    command: Command
    silent: bool
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRead:
    """The reply to a history command; publications are oldest first unless `reverse` was set."""

    id: int
    channel: str
    publications: tuple[Publication, ...]
    position: Position | None
    took: float
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """A client joined or left a channel."""

    channel: str
    client: str
    joined: bool
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagePushed:
    """A message to this connection, outside any channel."""

    data: Json
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenExpiring:
    """The token of the connection, or of `channel`, expires soon. Send `Refresh` or `SubRefresh`."""

    channel: str | None
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """The connection dropped.

    `code` is the close code, None without a close frame. `fault` is set if this side closed it: `silent` (no ping or no
    reply), `protocol` or `too_large`. `reconnect_at` is the time of the next connect, None for no reconnect.
    """

    code: int | None
    reason: str
    fault: Reason | None
    reconnect_at: float | None
    at: float


Event = (
    Publication
    | Connected
    | Subscribed
    | Unsubscribed
    | Replied
    | Unanswered
    | HistoryRead
    | Presented
    | MessagePushed
    | TokenExpiring
    | Dropped
)
