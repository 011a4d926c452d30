"""Server side of the Centrifuge protocol for one connection, without I/O.

Error replies and close codes follow Centrifugo 6.9. The server sends `lines()` and closes the connection when `closing`
is set.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from monitor.embedded.namespaces import PRIVATE, split
from monitor.jsontext import raw_integer, raw_members, raw_string
from monitor.wire.codes import CloseCode, ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from monitor.embedded.broker import Broker, Item

VERSION: Final = "6.9.1"
"""Version of the Centrifugo whose behaviour is implemented."""

MAX_CHANNELS: Final = 128
MAX_CHANNEL_NAME: Final = 255
MAX_BUFFERED: Final = 1 << 20
"""Characters buffered for a client that does not read; above it the client is closed as slow."""

MAX_LINES: Final = 1000
"""Largest number of commands in one frame."""

REJECT_UNRECOVERED: Final = 2
"""Subscribe flag: reply with an error instead of a gap."""

_METHODS: Final = (
    "connect", "subscribe", "unsubscribe", "publish", "presence", "presence_stats", "history", "rpc", "send",
    "refresh", "sub_refresh",
)  # fmt: skip
"""Methods in order of precedence, for a command with several."""

_FIRST_CHARACTERS: Final = {
    **dict.fromkeys(("channel", "token", "epoch", "method", "name", "version", "delta"), '"'),
    **dict.fromkeys(("recover", "reverse", "positioned", "recoverable", "join_leave"), "tf"),
    **dict.fromkeys(("since", "subs", "headers"), "{"),
}
"""First characters of the JSON text that a member of a command may have."""

_RANGES: Final = {"offset": (0, 2**64 - 1), "flag": (-(2**63), 2**63 - 1), "limit": (-(2**31), 2**31 - 1)}
"""Whole numbers that a member of a command may be."""

_ENCODE = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

_MESSAGES: Final = {
    ErrorCode.UNKNOWN_CHANNEL: "unknown channel",
    ErrorCode.PERMISSION_DENIED: "permission denied",
    ErrorCode.ALREADY_SUBSCRIBED: "already subscribed",
    ErrorCode.LIMIT_EXCEEDED: "limit exceeded",
    ErrorCode.BAD_REQUEST: "bad request",
    ErrorCode.NOT_AVAILABLE: "not available",
    ErrorCode.UNRECOVERABLE_POSITION: "unrecoverable position",
}
_REASONS: Final = {
    CloseCode.BAD_REQUEST: "bad request",
    CloseCode.STALE: "stale",
    CloseCode.NO_PONG: "no pong",
    CloseCode.INVALID_TOKEN: "invalid token",
    CloseCode.SLOW: "slow",
    CloseCode.SHUTDOWN: "shutdown",
    CloseCode.NOT_AVAILABLE: "not available",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Settings of the server; times in seconds. `token` is the only accepted token; none is accepted too."""

    ping_interval: float = 25.0
    pong_timeout: float = 8.0
    stale_timeout: float = 10.0
    token: str | None = field(default=None, repr=False)


class Refusal(Exception):  # noqa: N818 - an error reply
    """Reply to a command with an error. Raised and handled in this module."""

    def __init__(self, code: ErrorCode) -> None:
        self.code = code
        super().__init__(code.name)


class Session:
    """One connection. `wake` is called when lines are ready."""

    def __init__(self, broker: Broker, settings: ServerSettings, now: float, wake: Callable[[], None]) -> None:
        self.closing: tuple[int, str] | None = None
        self.client = str(uuid.uuid4())
        self.channels: set[str] = set()
        self._broker = broker
        self._settings = settings
        self._wake = wake
        self._connected = False
        self._lines: list[str] = []
        self._buffered = 0
        self._stale_at: float | None = now + settings.stale_timeout
        self._ping_at: float | None = None
        self._pong_by: float | None = None
        self._commands: dict[str, Callable[[dict[str, str], float], str]] = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "publish": self._publish,
            "history": self._history,
            "presence": self._presence,
            "presence_stats": self._presence,
            "rpc": self._not_available,
            "refresh": self._refresh,
            "sub_refresh": self._sub_refresh,
        }

    # Calls of the server.

    def receive(self, text: str, now: float) -> None:
        """Process one frame."""
        for line in text.removesuffix("\n").split("\n", MAX_LINES):
            if self.closing is not None:
                return
            self._line(line, now)

    def lines(self) -> list[str]:
        """Return the lines to send, in order. Several may share a frame."""
        lines, self._lines = self._lines, []
        self._buffered = 0
        return lines

    def tick(self, now: float) -> None:
        """Handle deadlines that have passed: stale clients, pings, missing pongs."""
        if self._stale_at is not None and now >= self._stale_at:
            self.close(CloseCode.STALE)
        elif self._pong_by is not None and now >= self._pong_by:
            self.close(CloseCode.NO_PONG)
        elif self._ping_at is not None and now >= self._ping_at:
            self._ping_at = now + self._settings.ping_interval
            self._pong_by = now + self._settings.pong_timeout
            self.emit("{}")

    def deadline(self) -> float | None:
        """Time at which `tick` is due, or None."""
        return min((at for at in (self._stale_at, self._ping_at, self._pong_by) if at is not None), default=None)

    def push(self, channel: str, item: Item, epoch: str) -> None:
        """Push a publication."""
        self.emit(f'{{"push":{{"channel":{_ENCODE(channel)},"pub":{_publication(item, epoch)}}}}}')

    def close(self, code: int, reason: str | None = None) -> None:
        """Close the connection."""
        if self.closing is None:
            known = next((text for number, text in _REASONS.items() if number == code), "")
            self.closing = (int(code), known if reason is None else reason)
            self.disconnected()
            self._wake()

    def disconnected(self) -> None:
        """Handle the end of the connection: unsubscribe from all channels."""
        for channel in self.channels:
            self._broker.unsubscribe(channel, self)
        self.channels.clear()
        self._stale_at = self._ping_at = self._pong_by = None

    def emit(self, line: str) -> None:
        """Send a line to the client."""
        self._lines.append(line)
        self._buffered += len(line)
        if self._buffered > MAX_BUFFERED:
            self.close(CloseCode.SLOW)
        else:
            self._wake()

    # Commands.

    def _line(self, line: str, now: float) -> None:
        try:
            members = raw_members(line)
        except ValueError:
            self.close(CloseCode.BAD_REQUEST)
            return
        if not members:
            self._pong()
        else:
            self._command(members, now)

    def _pong(self) -> None:
        if self._pong_by is None:
            self.close(CloseCode.BAD_REQUEST)
        self._pong_by = None

    def _command(self, members: dict[str, str], now: float) -> None:
        method = next((name for name in _METHODS if name in members), "")
        identifier = members.get("id", "")
        try:
            body = raw_members(members[method]) if method else {}
            _check_types(body)
        except ValueError:
            method = ""
        numbered = identifier.isdigit() and 0 < int(identifier) < 1 << 32
        if method == "send" and self._connected:
            self.close(CloseCode.NOT_AVAILABLE)
        elif not method or not numbered or (method != "connect" and not self._connected):
            self.close(CloseCode.BAD_REQUEST)
        else:
            try:
                if method == "connect":
                    self._connect(identifier, body, now)
                    return
                reply = self._commands[method](body, now)
                if self.closing is not None:
                    return
            except Refusal as refusal:
                message = _ENCODE({"code": int(refusal.code), "message": _MESSAGES[refusal.code]})
                self.emit(f'{{"id":{identifier},"error":{message}}}')
            except ValueError:
                self.close(CloseCode.BAD_REQUEST)
            else:
                self.emit(f'{{"id":{identifier},"{method}":{reply}}}')

    def _connect(self, identifier: str, body: dict[str, str], now: float) -> None:
        settings = self._settings
        if self._connected:
            self.close(CloseCode.BAD_REQUEST)
            return
        token = raw_string(body.get("token"))
        if token and token != settings.token:
            self.close(CloseCode.INVALID_TOKEN)
            return
        self._connected, self._stale_at = True, None
        reply: dict[str, Any] = {"client": self.client, "version": VERSION}
        if settings.ping_interval:
            self._ping_at = now + settings.ping_interval
            # Whole seconds on the wire, as in Centrifugo.
            reply |= {"ping": max(1, int(settings.ping_interval)), "pong": True}
        self.emit(f'{{"id":{identifier},"connect":{_ENCODE(reply)}}}')

    def _named(self, body: dict[str, str]) -> str:
        """Return the channel of a command. Raises ValueError without one."""
        channel = raw_string(body.get("channel"))
        if not channel:
            raise ValueError("no channel")
        return channel

    def _allowed(self, channel: str, without_namespace: ErrorCode = ErrorCode.PERMISSION_DENIED) -> str:
        """Return the channel if it is allowed. The error for a missing or empty namespace depends on the command."""
        name, suffix = split(channel)
        if not name:
            # Without a pattern, Centrifugo admits ASCII.
            raise Refusal(without_namespace if channel.isascii() else ErrorCode.BAD_REQUEST)
        namespace = self._broker.namespace(channel)
        if namespace is None:
            raise Refusal(ErrorCode.UNKNOWN_CHANNEL)
        if not namespace.admits(suffix):
            raise Refusal(ErrorCode.BAD_REQUEST)
        return channel

    def _subscribe(self, body: dict[str, str], now: float) -> str:
        channel = self._named(body)
        if len(channel) > MAX_CHANNEL_NAME:
            raise Refusal(ErrorCode.BAD_REQUEST)
        if channel in self.channels:
            raise Refusal(ErrorCode.ALREADY_SUBSCRIBED)
        if len(self.channels) >= MAX_CHANNELS:
            raise Refusal(ErrorCode.LIMIT_EXCEEDED)
        stream = self._broker.stream(self._allowed(channel), now)
        if channel.startswith(PRIVATE) or raw_string(body.get("token")):
            raise Refusal(ErrorCode.PERMISSION_DENIED)  # no subscription token is valid here
        reply = f'"recoverable":true,"epoch":"{stream.epoch}","positioned":true'
        offset = stream.offset
        if body.get("recover") == "true":
            asked = raw_integer(body.get("offset"))
            missed = self._broker.since(channel, raw_string(body.get("epoch")), asked, now)
            reply += ',"was_recovering":true'
            if missed is not None:
                offset = asked  # Centrifugo echoes the requested offset; the client advances by the publications
                reply += ',"recovered":true'
                reply += f',"publications":[{_publications(missed, stream.epoch)}]' if missed else ""
            elif raw_integer(body.get("flag")) & REJECT_UNRECOVERED:
                raise Refusal(ErrorCode.UNRECOVERABLE_POSITION)
        if offset:
            reply += f',"offset":{offset}'
        self._broker.subscribe(channel, self, now)
        self.channels.add(channel)
        return f"{{{reply}}}"

    def _unsubscribe(self, body: dict[str, str], now: float) -> str:
        del now
        channel = self._named(body)
        self.channels.discard(channel)
        self._broker.unsubscribe(channel, self)
        return "{}"

    def _publish(self, body: dict[str, str], now: float) -> str:
        channel = self._allowed(self._named(body))
        if "data" not in body:
            raise Refusal(ErrorCode.BAD_REQUEST)
        self._broker.publish(channel, body["data"], f'{{"user":"","client":"{self.client}"}}', now)
        return "{}"

    def _history(self, body: dict[str, str], now: float) -> str:
        stream = self._broker.stream(self._allowed(self._named(body), ErrorCode.NOT_AVAILABLE), now)
        limit, reverse = raw_integer(body.get("limit")), body.get("reverse") == "true"
        items = list(stream.items)
        if body.get("since", "null") != "null":
            since = raw_members(body["since"])
            epoch, offset = raw_string(since.get("epoch")), raw_integer(since.get("offset"))
            if reverse and not offset:
                raise Refusal(ErrorCode.BAD_REQUEST)
            if epoch not in {"", stream.epoch}:
                raise Refusal(ErrorCode.UNRECOVERABLE_POSITION)
            if reverse and not any(item.offset == offset - 1 for item in items):
                items = []  # a reverse read starts at the neighbour or is empty; a forward read starts at the oldest
            items = [item for item in items if (item.offset < offset if reverse else item.offset > offset)]
        if reverse:
            items.reverse()
        if limit >= 0:
            items = items[:limit]
        found = _publications(items, stream.epoch)
        return f'{{"publications":[{found}],"epoch":"{stream.epoch}","offset":{stream.offset}}}'

    def _presence(self, body: dict[str, str], now: float) -> str:
        del now
        self._allowed(self._named(body), ErrorCode.NOT_AVAILABLE)
        raise Refusal(ErrorCode.NOT_AVAILABLE)

    def _not_available(self, body: dict[str, str], now: float) -> str:
        del body, now
        raise Refusal(ErrorCode.NOT_AVAILABLE)

    def _refresh(self, body: dict[str, str], now: float) -> str:
        del now
        # Tokens here do not expire, so none can be renewed.
        self.close(CloseCode.INVALID_TOKEN if raw_string(body.get("token")) else CloseCode.BAD_REQUEST)
        return ""

    def _sub_refresh(self, body: dict[str, str], now: float) -> str:
        del now
        self._named(body)
        raise Refusal(ErrorCode.PERMISSION_DENIED)


def _publication(item: Item, epoch: str) -> str:
    # A stream's first publication carries the epoch, as in Centrifugo.
    first = f',"epoch":"{epoch}"' if item.offset == 1 else ""
    return f'{{"data":{item.data},"info":{item.info},"offset":{item.offset}{first}}}'


def _publications(items: Iterable[Item], epoch: str) -> str:
    return ",".join(_publication(item, epoch) for item in items)


def _check_types(body: dict[str, str]) -> None:
    """Raise ValueError if a known member of a command has another type than the protocol's. null is of each type."""
    for name, value in body.items():
        if value == "null":
            continue
        if name in _RANGES:
            least, most = _RANGES[name]
            if not least <= raw_integer(value) <= most:
                raise ValueError(f"{name} is out of range")
        elif value[0] not in _FIRST_CHARACTERS.get(name, value[0]):
            raise ValueError(f"{name} is not of its type")
        elif name == "since":
            _check_types(raw_members(value))
