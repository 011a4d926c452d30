"""Which channels a connection holds, and where in each stream it stands.

Positions move by the publications that came: a recovery reply echoes the offset that was asked for, so the
reply's own offset counts only where nothing was recovered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.wire.commands import Json, Position, Subscribe
from monitor.wire.events import Publication, Subscribed

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CHANNELS = 128
"""Channels of one client, as Centrifugo limits them by default."""


@dataclass(slots=True)
class Subscription:
    """One channel: the command that asked for it, and the position reached."""

    request: Subscribe
    epoch: str | None = None
    offset: int = 0
    active: bool = False  # subscribed on the present connection
    asked: int = 0  # the id of the command that asked last: what others come to is no news
    failures: int = 0  # refusals in a row while coming back
    retry_at: float | None = None

    def command(self) -> Subscribe:
        """The command that subscribes now: resuming at the position reached, if any."""
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
        """Take in a subscribe reply. Raises KeyError, TypeError or ValueError for a body that is none."""
        publications = tuple(publications_of(self.request.channel, body, at))
        epoch = str(body.get("epoch") or "")
        epoch.encode()  # it goes back to the relay: a lone surrogate could not
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
    """The publications listed in a subscribe or history reply."""
    for item in body.get("publications") or ():
        yield Publication(channel, item["data"], int(item.get("offset", 0)), at)
