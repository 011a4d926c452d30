"""Commands of the protocol, as frozen values.

`body` is the JSON object under the command's `method` in the frame. Fields at their default are left out, as in the
protocol's own clients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

Json = Any
"""A value as returned by `json.loads`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """The first command of a connection."""

    method: ClassVar[str] = "connect"
    name: str
    version: str
    token: str | None = None
    data: Json = None

    def __repr__(self) -> str:
        """Leave out the token, which is a secret."""
        return f"Connect(name={self.name!r}, version={self.version!r}, token={'set' if self.token else None})"

    def body(self) -> dict[str, Json]:
        """Return the JSON body."""
        body: dict[str, Json] = {"name": self.name, "version": self.version}
        if self.token is not None:
            body["token"] = self.token
        if self.data is not None:
            body["data"] = self.data
        return body


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A position in a channel's stream: `epoch` identifies the stream, `offset` counts its publications."""

    epoch: str
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe:
    """Subscribe to `channel`; with `since`, recover the publications after that position."""

    method: ClassVar[str] = "subscribe"
    channel: str
    positioned: bool = True
    recoverable: bool = True
    since: Position | None = None
    token: str | None = None

    def __repr__(self) -> str:
        """Leave out the token, which is a secret."""
        return f"Subscribe(channel={self.channel!r}, since={self.since!r})"

    def body(self) -> dict[str, Json]:
        """Return the JSON body."""
        body: dict[str, Json] = {"channel": self.channel}
        if self.token is not None:
            body["token"] = self.token
        if self.positioned:
            body["positioned"] = True
        if self.recoverable:
            body["recoverable"] = True
        if self.since is not None:
            body |= {"recover": True, "epoch": self.since.epoch, "offset": self.since.offset}
        return body


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribe:
    """Unsubscribe from `channel`."""

    method: ClassVar[str] = "unsubscribe"
    channel: str

    def body(self) -> dict[str, Json]:
        """Return the JSON body."""
        return {"channel": self.channel}


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Publish `data`, any JSON value, to `channel`."""

    method: ClassVar[str] = "publish"
    channel: str
    data: Json

    def body(self) -> dict[str, Json]:
        """Return the JSON body."""
        return {"channel": self.channel, "data": self.data}


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Read the history of `channel`. `limit` 0 returns its position only, -1 all publications."""

    method: ClassVar[str] = "history"
    channel: str
    limit: int = 0
    since: Position | None = None
    reverse: bool = False

    def body(self) -> dict[str, Json]:
        """Return the JSON body."""
        body: dict[str, Json] = {"channel": self.channel}
        if self.limit:
            body["limit"] = self.limit
        if self.since is not None:
            body["since"] = {"epoch": self.since.epoch, "offset": self.since.offset}
        if self.reverse:
            body["reverse"] = True
        return body


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """Read the presence of `channel`."""

    method: ClassVar[str] = "presence"
    channel: str

    def body(self) -> dict[str, Json]:
        """Return the JSON body."""
        return {"channel": self.channel}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    """Replace the connection token before it expires."""

    method: ClassVar[str] = "refresh"
    token: str

    def __repr__(self) -> str:
        """Leave out the token, which is a secret."""
        return "Refresh()"

    def body(self) -> dict[str, Json]:
        """Return the JSON body."""
        return {"token": self.token}


@dataclass(frozen=True, slots=True, kw_only=True)
class SubRefresh:
    """Replace the token of one subscription before it expires."""

    method: ClassVar[str] = "sub_refresh"
    channel: str
    token: str

    def __repr__(self) -> str:
        """Leave out the token, which is a secret."""
        return f"SubRefresh(channel={self.channel!r})"

    def body(self) -> dict[str, Json]:
        """Return the JSON body."""
        return {"channel": self.channel, "token": self.token}


Command = Connect | Subscribe | Unsubscribe | Publish | History | Presence | Refresh | SubRefresh
