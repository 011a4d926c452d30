"""One client of the embedded relay: the server's side of the Centrifuge protocol, lines in and lines out.

Follows Centrifugo 6.9 as observed: which error answers what, which mistake closes the connection and with which code.
No I/O: the server around it sends `lines()` and closes where `closing` says so.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from monitor.embedded import verbatim
from monitor.wire.codes import CloseCode, ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from monitor.embedded.broker import Broker, Item

VERSION: Final = "6.9.1"
"""The Centrifugo whose behaviour this is."""

MAX_CHANNELS: Final = 128
MAX_CHANNEL_NAME: Final = 255
MAX_QUEUED: Final = 1 << 20
"""Characters that may wait for a client that does not read; past it the client is too slow."""

MAX_LINES: Final = 1000
"""Commands in one frame."""

REJECT_UNRECOVERED: Final = 2
"""The subscribe flag of a client that would rather have an error than a gap."""

_METHODS: Final = (
    "connect", "subscribe", "unsubscribe", "publish", "presence", "presence_stats", "history", "rpc", "send",
    "refresh", "sub_refresh",
)  # fmt: skip
"""Where a command holds several, the first of these is done."""

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
class Terms:
    """What a relay asks of its clients; seconds. `token`: the only one accepted beside none at all."""

    ping_interval: float = 25.0
    pong_timeout: float = 8.0
    stale_timeout: float = 10.0
    token: str | None = field(default=None, repr=False)


class Refusal(Exception):  # noqa: N818 - an answer, not a mistake of ours
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
        self._commands: dict[str, Callable[[dict[str, str], float], str]] = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "publish": self._publish,
            "history": self._history,
            "presence": self._presence,
            "presence_stats": self._presence,
            "rpc": self._not_available,
            "refresh": self._not_available,
            "sub_refresh": self._not_permitted,
        }

    # What the server around it calls.

    def receive(self, text: str, now: float) -> None:
        """One frame came."""
        for line in text.removesuffix("\n").split("\n", MAX_LINES):
            if self.closing is not None:
                return
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

    def push(self, channel: str, item: Item, epoch: str) -> None:
        """A publication for this client; a stream's first one names the epoch, as Centrifugo has it."""
        first = f',"epoch":"{epoch}"' if item.offset == 1 else ""
        self.emit(f'{{"push":{{"channel":{_ENCODE(channel)},"pub":{_publication(item, first)}}}}}')

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
            members = verbatim.members(line)
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
            body = verbatim.members(members[method]) if method else {}
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
            except Refusal as refusal:
                message = _ENCODE({"code": int(refusal.code), "message": _MESSAGES[refusal.code]})
                self.emit(f'{{"id":{identifier},"error":{message}}}')
            except ValueError:
                self.close(CloseCode.BAD_REQUEST)
            else:
                self.emit(f'{{"id":{identifier},"{method}":{reply}}}')

    def _connect(self, identifier: str, body: dict[str, str], now: float) -> None:
        terms = self._terms
        if self._connected:
            self.close(CloseCode.BAD_REQUEST)
            return
        token = verbatim.text(body.get("token"))
        if token and token != terms.token:
            self.close(CloseCode.INVALID_TOKEN)
            return
        self._connected, self._stale_at = True, None
        reply: dict[str, Any] = {"client": self.client, "version": VERSION}
        if terms.ping_interval:
            self._ping_at = now + terms.ping_interval
            # Whole seconds on the wire, as Centrifugo has it.
            reply |= {"ping": max(1, int(terms.ping_interval)), "pong": True}
        self.emit(f'{{"id":{identifier},"connect":{_ENCODE(reply)}}}')

    def _named(self, body: dict[str, str]) -> str:
        """The channel a command names. Raises ValueError where it names none."""
        channel = verbatim.text(body.get("channel"))
        if not channel:
            raise ValueError("no channel")
        return channel

    def _allowed(self, channel: str, without_namespace: ErrorCode = ErrorCode.PERMISSION_DENIED) -> str:
        """The same channel, if this relay has it; each command refuses one without a namespace in its own way."""
        if ":" not in channel:
            raise Refusal(without_namespace)
        namespace = self._broker.namespace(channel)
        if namespace is None:
            raise Refusal(ErrorCode.UNKNOWN_CHANNEL)
        if not namespace.admits(channel.partition(":")[2]):
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
        reply = f'"recoverable":true,"epoch":"{stream.epoch}","positioned":true'
        offset = stream.offset
        if body.get("recover") == "true":
            asked = verbatim.whole(body.get("offset"))
            missed = self._broker.since(channel, verbatim.text(body.get("epoch")), asked, now)
            reply += ',"was_recovering":true'
            if missed is not None:
                offset = asked  # Centrifugo echoes what was asked for; the publications move the client on
                reply += ',"recovered":true'
                reply += f',"publications":[{_publications(missed)}]' if missed else ""
            elif verbatim.whole(body.get("flag")) & REJECT_UNRECOVERED:
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
        limit, reverse = verbatim.whole(body.get("limit")), body.get("reverse") == "true"
        items = list(stream.items)
        if body.get("since", "null") != "null":
            since = verbatim.members(body["since"])
            epoch, offset = verbatim.text(since.get("epoch")), verbatim.whole(since.get("offset"))
            if reverse and not offset:
                raise Refusal(ErrorCode.BAD_REQUEST)
            if epoch not in {"", stream.epoch}:
                raise Refusal(ErrorCode.UNRECOVERABLE_POSITION)
            if reverse and not any(item.offset == offset - 1 for item in items):
                items = []  # backwards it starts at the neighbour or not at all; forwards at the oldest there is
            items = [item for item in items if (item.offset < offset if reverse else item.offset > offset)]
        if reverse:
            items.reverse()
        if limit >= 0:
            items = items[:limit]
        return f'{{"publications":[{_publications(items)}],"epoch":"{stream.epoch}","offset":{stream.offset}}}'

    def _presence(self, body: dict[str, str], now: float) -> str:
        del now
        self._allowed(self._named(body), ErrorCode.NOT_AVAILABLE)
        raise Refusal(ErrorCode.NOT_AVAILABLE)

    def _not_available(self, body: dict[str, str], now: float) -> str:
        del body, now
        raise Refusal(ErrorCode.NOT_AVAILABLE)

    def _not_permitted(self, body: dict[str, str], now: float) -> str:
        del body, now
        raise Refusal(ErrorCode.PERMISSION_DENIED)


def _publication(item: Item, more: str = "") -> str:
    return f'{{"data":{item.data},"info":{item.info},"offset":{item.offset}{more}}}'


def _publications(items: Iterable[Item]) -> str:
    return ",".join(_publication(item) for item in items)
