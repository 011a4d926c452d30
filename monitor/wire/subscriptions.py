"""Subscriptions of a connection and their stream positions.

A recovery reply echoes the requested offset, so the position advances by the recovered publications; the offset of the
reply counts only if there are none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.wire.commands import Json, Position, Subscribe
from monitor.wire.events import Publication, Subscribed

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CHANNELS = 128
"""Channels of one client; Centrifugo's default limit."""


@dataclass(slots=True)
class Subscription:
    """One channel: its subscribe command and the position reached."""

    request: Subscribe
    epoch: str | None = None
    offset: int = 0
    active: bool = False  # subscribed on the present connection
    asked: int = 0  # id of the latest subscribe command; replies to earlier ones are stale
    failures: int = 0  # consecutive errors while resubscribing
    retry_at: float | None = None

    def command(self) -> Subscribe:
        """Return the subscribe command, with the position to recover from if there is one."""
        request = self.request
        since = Position(epoch=self.epoch, offset=self.offset) if self.epoch is not None else request.since
        if since is request.since:
            return request
        return Subscribe(
            channel=request.channel,
            positioned=request.positioned,
            recoverable=request.recoverable,
            since=since,
            token=request.token,
        )

    def subscribed(self, body: dict[str, Json], at: float) -> Subscribed:
        """Process a subscribe reply. Raises KeyError, TypeError or ValueError for an invalid body."""
        publications = tuple(publications_of(self.request.channel, body, at))
        epoch = str(body.get("epoch") or "")
        epoch.encode()  # it is sent back to the relay, which a lone surrogate cannot be
        offset = publications[-1].offset if publications else int(body.get("offset", 0))
        recoverable = bool(body.get("recoverable")) or bool(body.get("positioned"))
        self.active, self.failures, self.retry_at = True, 0, None
        self.epoch, self.offset = (epoch, offset) if recoverable else (None, 0)
        return Subscribed(
            channel=self.request.channel,
            position=Position(epoch=self.epoch, offset=offset) if self.epoch is not None else None,
            was_recovering=bool(body.get("was_recovering", body.get("recovered", False))),
            recovered=bool(body.get("recovered")),
            publications=publications,
            at=at,
        )


def publications_of(channel: str, body: dict[str, Json], at: float) -> Iterator[Publication]:
    """Yield the publications of a subscribe or history reply."""
    for item in body.get("publications") or ():
        yield Publication(channel, item["data"], int(item.get("offset", 0)), at)
