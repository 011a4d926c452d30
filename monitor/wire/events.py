"""What a client learns from a relay: one frozen value per kind of news.

Those that come with every message are tuples: a frozen dataclass takes several times as long to make.
`at` is the time the frame arrived, in the seconds that were given to `Connection.receive`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from monitor.vocabulary import Reason
    from monitor.wire.commands import Command, Json, Position


class Publication(NamedTuple):
    """One publication. `offset` is 0 where the relay gives none."""

    channel: str
    data: Json
    offset: int
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """The relay said hello. `ping` is the seconds between its pings, 0 for none."""

    client: str
    version: str
    ping: float
    pong: bool
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """A channel is subscribed, for the first time or again.

    After a recovery (`was_recovering`), `recovered` says whether `publications` closes the gap entirely.
    """

    channel: str
    position: Position | None
    was_recovering: bool
    recovered: bool
    publications: tuple[Publication, ...]
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribed:
    """The relay took a subscription away; `resubscribing` says whether it is being asked for again."""

    channel: str
    code: int
    reason: str
    resubscribing: bool
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorReply:
    """A relay's "no" to one command."""

    code: int
    message: str
    temporary: bool


class Replied(NamedTuple):
    """A command was answered `took` seconds after it was sent: `result` is the body under its method, or `error`."""

    id: int
    command: Command
    result: Json
    error: ErrorReply | None
    took: float
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """A command will not be answered any more: the connection is gone (`silent` False) or time is up (True)."""

    id: int
    command: Command
    silent: bool
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRead:
    """The publications a history command brought, oldest first unless it asked for the reverse."""

    id: int
    channel: str
    publications: tuple[Publication, ...]
    position: Position | None
    took: float
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """Someone joined or left a channel."""

    channel: str
    client: str
    joined: bool
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagePushed:
    """A message to this connection alone, outside any channel."""

    data: Json
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenExpiring:
    """A token runs out soon: of the connection, or of `channel`. Answer with `Refresh` or `SubRefresh`."""

    channel: str | None
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """The connection is gone.

    `code` is the close code, None where no close frame came; `fault` what was wrong where the drop was this side's
    decision (`silent`: no pings or no reply; `protocol`, `too_large`: what came could not be used).
    `reconnect_at` is when to open the next transport; None: not to come back.
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
