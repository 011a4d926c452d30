"""One client of the embedded relay: the server's side of the Centrifuge protocol, lines in and lines out.

Follows Centrifugo 6.9 as observed: which error answers what, which mistake closes the connection and with which code.
No I/O: the server around it sends `lines()` and closes where `closing` says so.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from monitor.wire.codes import CloseCode, ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.embedded.broker import Broker, Item

VERSION: Final = "embedded"
MAX_CHANNELS: Final = 128
MAX_CHANNEL_NAME: Final = 255
MAX_QUEUED: Final = 1 << 20
"""Characters that may wait for a client that does not read; past it the client is too slow."""

MAX_LINES: Final = 1000
"""Commands in one frame."""

_ENCODE = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

_MESSAGES: Final = {
    ErrorCode.UNKNOWN_CHANNEL: "unknown channel",
    ErrorCode.PERMISSION_DENIED: "permission denied",
    ErrorCode.METHOD_NOT_FOUND: "method not found",
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
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a relay asks of its clients; seconds. `token`: the only one accepted beside none at all."""

    ping_interval: float = 25.0
    pong_timeout: float = 8.0
    stale_timeout: float = 10.0
    token: str | None = None


class Refusal(Exception):
    """A command is answered with an error. Never leaves this module."""

    def __init__(self, code: ErrorCode) -> None:
        self.code = code
        super().__init__(code.name)


class Session:
    """One connection. `wake` is called when lines are waiting that nobody asked for."""

    def __init__(self, broker: Broker, terms: Terms, now: float, wake: Callable[[], None]) -> None:
        self.closing: tuple[int, str] | None = None
        self.client = str(uuid.uuid4())
        self.channels: set[str] = set()
        self._broker = broker
        self._terms = terms
        self._wake = wake
        self._connected = False
        self._lines: list[str] = []
        self._queued = 0
        self._stale_at: float | None = now + terms.stale_timeout
        self._ping_at: float | None = None
        self._pong_by: float | None = None
        self._commands: dict[str, Callable[[dict[str, Any], float], dict[str, Any]]] = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "publish": self._publish,
            "history": self._history,
            "presence": self._not_available,
            "presence_stats": self._not_available,
            "rpc": self._not_available,
            "refresh": self._refresh,
            "sub_refresh": self._refresh,
        }

    # What the server around it calls.

    def receive(self, text: str, now: float) -> None:
        """One frame came."""
        lines = text.split("\n", MAX_LINES)
        for line in lines:
            if self.closing is not None:
                return
            if line:
                self._line(line, now)

    def lines(self) -> list[str]:
        """Lines to send, in order; several may share a frame."""
        lines, self._lines = self._lines, []
        self._queued = 0
        return lines

    def tick(self, now: float) -> None:
        """Time passed: stale clients, pings, missing pongs."""
        if self._stale_at is not None and now >= self._stale_at:
            self.close(CloseCode.STALE)
        elif self._pong_by is not None and now >= self._pong_by:
            self.close(CloseCode.NO_PONG)
        elif self._ping_at is not None and now >= self._ping_at:
            self._ping_at = now + self._terms.ping_interval
            self._pong_by = now + self._terms.pong_timeout
            self.emit("{}")

    def deadline(self) -> float | None:
        """When `tick` is due."""
        return min((at for at in (self._stale_at, self._ping_at, self._pong_by) if at is not None), default=None)

    def push(self, channel: str, item: Item) -> None:
        """A publication for this client."""
        self.emit(_ENCODE({"push": {"channel": channel, "pub": _publication(item)}}))

    def close(self, code: int, reason: str | None = None) -> None:
        """End the connection from the server's side."""
        if self.closing is None:
            known = next((text for number, text in _REASONS.items() if number == code), "")
            self.closing = (int(code), known if reason is None else reason)
            self.gone()
            self._wake()

    def gone(self) -> None:
        """The connection is over: leave every channel."""
        for channel in self.channels:
            self._broker.unsubscribe(channel, self)
        self.channels.clear()
        self._stale_at = self._ping_at = self._pong_by = None

    def emit(self, line: str) -> None:
        """Everything this client is sent passes here."""
        self._lines.append(line)
        self._queued += len(line)
        if self._queued > MAX_QUEUED:
            self.close(CloseCode.SLOW)
        else:
            self._wake()

    # Commands.

    def _line(self, line: str, now: float) -> None:
        try:
            command = json.loads(line)
        except (ValueError, RecursionError):
            command = None
        if not isinstance(command, dict):
            self.close(CloseCode.BAD_REQUEST)
        elif not command:
            self._pong()
        else:
            self._command(command, now)

    def _pong(self) -> None:
        if self._pong_by is None:
            self.close(CloseCode.BAD_REQUEST)
        self._pong_by = None

    def _command(self, command: dict[str, Any], now: float) -> None:
        identifier = command.get("id")
        method = next((name for name in command if name != "id"), "")
        body = command.get(method)
        if type(identifier) is not int or identifier <= 0 or not isinstance(body, dict):
            self.close(CloseCode.BAD_REQUEST)
        elif method == "connect":
            self._connect(identifier, body, now)
        elif not self._connected or method not in self._commands:
            self.close(CloseCode.BAD_REQUEST)
        else:
            try:
                reply = self._commands[method](body, now)
            except Refusal as refusal:
                error = {"code": int(refusal.code), "message": _MESSAGES[refusal.code]}
                self.emit(_ENCODE({"id": identifier, "error": error}))
            else:
                self.emit(_ENCODE({"id": identifier, method: reply}))

    def _connect(self, identifier: int, body: dict[str, Any], now: float) -> None:
        terms = self._terms
        if self._connected:
            self.close(CloseCode.BAD_REQUEST)
            return
        token = body.get("token")
        if token and token != terms.token:
            self.close(CloseCode.INVALID_TOKEN)
            return
        self._connected, self._stale_at = True, None
        reply: dict[str, Any] = {"client": self.client, "version": VERSION}
        if terms.ping_interval:
            self._ping_at = now + terms.ping_interval
            ping = terms.ping_interval
            reply |= {"ping": int(ping) if ping == int(ping) else ping, "pong": True}
        self.emit(_ENCODE({"id": identifier, "connect": reply}))

    def _channel(self, body: dict[str, Any]) -> str:
        """The channel a command names, if this relay has it."""
        channel = body.get("channel")
        if not isinstance(channel, str) or not channel or len(channel) > MAX_CHANNEL_NAME:
            raise Refusal(ErrorCode.BAD_REQUEST)
        if ":" not in channel:
            raise Refusal(ErrorCode.PERMISSION_DENIED)
        namespace = self._broker.namespace(channel)
        if namespace is None:
            raise Refusal(ErrorCode.UNKNOWN_CHANNEL)
        if not namespace.admits(channel.partition(":")[2]):
            raise Refusal(ErrorCode.BAD_REQUEST)
        return channel

    def _subscribe(self, body: dict[str, Any], now: float) -> dict[str, Any]:
        channel = self._channel(body)
        if channel in self.channels:
            raise Refusal(ErrorCode.ALREADY_SUBSCRIBED)
        if len(self.channels) >= MAX_CHANNELS:
            raise Refusal(ErrorCode.LIMIT_EXCEEDED)
        stream = self._broker.stream(channel, now)
        reply: dict[str, Any] = {"recoverable": True, "epoch": stream.epoch, "positioned": True}
        offset = stream.offset
        if body.get("recover"):
            asked = _whole(body.get("offset", 0))
            missed = self._broker.since(channel, str(body.get("epoch", "")), asked, now)
            reply["was_recovering"] = True
            if missed is not None:
                reply["recovered"] = True
                offset = asked  # Centrifugo echoes what was asked for; the publications move the client on
                if missed:
                    reply["publications"] = [_publication(item) for item in missed]
        if offset:
            reply["offset"] = offset
        self._broker.subscribe(channel, self, now)
        self.channels.add(channel)
        return reply

    def _unsubscribe(self, body: dict[str, Any], now: float) -> dict[str, Any]:
        del now
        channel = body.get("channel")
        if not isinstance(channel, str) or not channel:
            raise Refusal(ErrorCode.BAD_REQUEST)
        self.channels.discard(channel)
        self._broker.unsubscribe(channel, self)
        return {}

    def _publish(self, body: dict[str, Any], now: float) -> dict[str, Any]:
        if "data" not in body:
            raise Refusal(ErrorCode.BAD_REQUEST)
        self._broker.publish(self._channel(body), body["data"], now)
        return {}

    def _history(self, body: dict[str, Any], now: float) -> dict[str, Any]:
        channel = self._channel(body)
        stream = self._broker.stream(channel, now)
        limit = _whole(body.get("limit", 0))
        items = list(stream.items)
        since = body.get("since")
        reverse = bool(body.get("reverse"))
        if isinstance(since, dict):
            epoch, offset = since.get("epoch", ""), _whole(since.get("offset", 0))
            if epoch not in {"", stream.epoch}:
                raise Refusal(ErrorCode.UNRECOVERABLE_POSITION)
            items = [item for item in items if (item.offset < offset if reverse else item.offset > offset)]
        if reverse:
            items.reverse()
        if limit >= 0:
            items = items[:limit]
        reply: dict[str, Any] = {"epoch": stream.epoch}
        if items:
            reply["publications"] = [_publication(item) for item in items]
        if stream.offset:
            reply["offset"] = stream.offset
        return reply

    def _refresh(self, body: dict[str, Any], now: float) -> dict[str, Any]:
        del now
        if not body.get("token"):
            raise Refusal(ErrorCode.BAD_REQUEST)
        if body["token"] != self._terms.token:
            self.close(CloseCode.INVALID_TOKEN)
        return {"client": self.client, "version": VERSION}

    def _not_available(self, body: dict[str, Any], now: float) -> dict[str, Any]:
        del body, now
        raise Refusal(ErrorCode.NOT_AVAILABLE)


def _publication(item: Item) -> dict[str, Any]:
    return {"data": item.data, "offset": item.offset}


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise Refusal(ErrorCode.BAD_REQUEST)
    return value
