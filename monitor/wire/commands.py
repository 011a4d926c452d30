"""What a client asks of a relay: one frozen value per command of the protocol.

`body` is the JSON object that stands under the command's `method` in the frame; fields at their default are left
out, as the protocol's own clients do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

Json = Any
"""A value as `json.loads` gives it; the only place where types end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """The first command on a connection. `token` and `data` are left out when None."""

    method: ClassVar[str] = "connect"
    name: str
    version: str
    token: str | None = None
    data: Json = None

    def __repr__(self) -> str:
        """Without the token: it is a secret."""
        return f"Connect(name={self.name!r}, version={self.version!r}, token={'set' if self.token else None})"

    def body(self) -> dict[str, Json]:
        """The JSON body."""
        body: dict[str, Json] = {"name": self.name, "version": self.version}
        if self.token is not None:
            body["token"] = self.token
        if self.data is not None:
            body["data"] = self.data
        return body


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in a channel's stream: `epoch` names the stream, `offset` counts its publications."""

    epoch: str
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe:
    """Subscribe to `channel`; with `since`, ask for what was published after it."""

    method: ClassVar[str] = "subscribe"
    channel: str
    positioned: bool = True
    recoverable: bool = True
    since: Position | None = None
    token: str | None = None

    def __repr__(self) -> str:
        """Without the token: it is a secret."""
        return f"Subscribe(channel={self.channel!r}, since={self.since!r})"

    def body(self) -> dict[str, Json]:
        """The JSON body."""
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
    """Leave `channel`."""

    method: ClassVar[str] = "unsubscribe"
    channel: str

    def body(self) -> dict[str, Json]:
        """The JSON body."""
        return {"channel": self.channel}


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Publish `data`, any JSON value, to `channel`."""

    method: ClassVar[str] = "publish"
    channel: str
    data: Json

    def body(self) -> dict[str, Json]:
        """The JSON body."""
        return {"channel": self.channel, "data": self.data}


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Read the stream of `channel`. `limit` 0 gives its position only, −1 everything."""

    method: ClassVar[str] = "history"
    channel: str
    limit: int = 0
    since: Position | None = None
    reverse: bool = False

    def body(self) -> dict[str, Json]:
        """The JSON body."""
        body: dict[str, Json] = {"channel": self.channel}
        if self.limit:
            body["limit"] = self.limit
        if self.since is not None:
            body["since"] = {"epoch": self.since.epoch, "offset": self.since.offset}
        if self.reverse:
            body["reverse"] = True
        return body


@dataclass(frozen=True, slots=True, kw_only=True)
class UptimeMeter:
    """Ask who is in `channel`."""

    method: ClassVar[str] = "presence"
    channel: str

    def body(self) -> dict[str, Json]:
        """The JSON body."""
        return {"channel": self.channel}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    """Hand in a new connection token before the old one expires."""

    method: ClassVar[str] = "refresh"
    token: str

    def __repr__(self) -> str:
        """Without the token: it is a secret."""
        return "Refresh()"

    def body(self) -> dict[str, Json]:
        """The JSON body."""
        return {"token": self.token}


@dataclass(frozen=True, slots=True, kw_only=True)
class SubRefresh:
    """Hand in a new token for one subscription before the old one expires."""

    method: ClassVar[str] = "sub_refresh"
    channel: str
    token: str

    def __repr__(self) -> str:
        """Without the token: it is a secret."""
        return f"SubRefresh(channel={self.channel!r})"

    def body(self) -> dict[str, Json]:
        """The JSON body."""
        return {"channel": self.channel, "token": self.token}


Command = Connect | Subscribe | Unsubscribe | Publish | History | UptimeMeter | Refresh | SubRefresh
