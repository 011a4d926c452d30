"""State machine of one client connection: frames and time in, events and frames out.

Implements the client side of the Centrifuge protocol: the hello, replies in any order, subscriptions that recover from
their last position, server pings, and reconnects with backoff. Invalid input from a relay ends the connection with a
`Dropped` event and never raises. `MisuseError` means that the caller broke the interface's rules.

The owner of the socket drives it::

    connection.connect(now)             # state becomes OPENING: open a transport
    connection.opened(now)              # the transport is connected
    connection.receive(text, now)       # a frame was received
    connection.lost(now, code, reason)  # the transport is closed
    connection.tick(now)                # at deadline() at the latest

After each call the owner reads `events()`, and if `needs_flush` also `data_to_send()`, `closing`, `state` and
`deadline()`.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from monitor.errors import MAX_DETAIL, MisuseError
from monitor.vocabulary import Reason
from monitor.wire import framing
from monitor.wire.codes import ErrorCode, reconnects_after, resubscribes_after
from monitor.wire.commands import Command, Connect, History, Json, Publish, Subscribe, Unsubscribe
from monitor.wire.events import (
    Connected,
    Dropped,
    ErrorReply,
    Event,
    Publication,
    Replied,
    TokenExpiring,
    Unanswered,
    Unsubscribed,
)
from monitor.wire.replies import history_read, other_push, refusal
from monitor.wire.subscriptions import MAX_CHANNELS, Subscription
from monitor.wire.tokens import renewal

if TYPE_CHECKING:
    import random

    from monitor.wire.backoff import Backoff

PING_GRACE: Final = 10.0
"""Seconds after a missed ping until the connection is considered dead."""

MAX_PING_INTERVAL: Final = 86_400.0

MAX_PENDING: Final = 256
"""Largest number of commands without a reply."""


class State(Enum):
    """State of a connection. `CLOSED` is final."""

    IDLE = auto()
    OPENING = auto()  # waiting for a transport
    HELLO = auto()  # connect command sent
    CONNECTED = auto()
    WAITING = auto()  # for the backoff to pass
    CLOSED = auto()


CONNECTED: Final = State.CONNECTED  # an enum look-up costs as much as a call


class Connection:
    """The client side of one relay connection.

    `hello` is the connect command. `reconnect` is the backoff between reconnects; with None a drop is final.
    `reply_timeout` is the seconds to wait for each reply. `rng` is the source of the backoff's jitter.
    """

    def __init__(
        self, *, hello: Connect, rng: random.Random, reconnect: Backoff | None = None, reply_timeout: float = 5.0
    ) -> None:
        self.state = State.IDLE
        self.closing: tuple[int, str] | None = None
        self.needs_flush = False  # output, state or timers may have changed since `data_to_send`
        self.reconnect = reconnect
        self.subscriptions: dict[str, Subscription] = {}
        self._hello = hello
        self._rng = rng
        self._reply_timeout = reply_timeout
        self._failures = 0
        self._reconnect_at: float | None = None
        self._last_id = 0
        self._pending: dict[int, tuple[Command, float]] = {}  # ordered by deadline
        self._pong = True
        self._ping_interval = 0.0
        self._ping_due: float | None = None
        self._tokens_due: dict[str | None, float] = {}
        self._events: list[Event] = []
        self._out: list[str] = []

    # Input from the owner of the socket.

    def connect(self, now: float) -> None:
        """Start connecting: the state becomes OPENING."""
        if self.state is not State.IDLE:
            raise MisuseError(f"connect() in state {self.state.name}")
        self.state = State.OPENING
        self._reconnect_at = now
        self.needs_flush = True

    def opened(self, now: float, hello: Connect | None = None) -> None:
        """The transport is connected. Send the hello; `hello`, if given, replaces the previous one (a new token)."""
        if self.state is not State.OPENING:
            raise MisuseError(f"opened() in state {self.state.name}")
        if hello is not None:
            self._hello = hello
        self.state = State.HELLO
        self.closing = None
        self._queue(self._hello, now)

    def lost(
        self,
        now: float,
        code: int | None = None,
        reason: str = "",
        *,
        fault: Reason | None = None,
        not_before: float = 0.0,
    ) -> None:
        """The transport is closed, or could not be opened. Reconnect after `not_before` seconds or more.

        `fault` is an error that the transport found. After PROTOCOL and TOO_LARGE there is no reconnect: the same bytes
        would be received again.
        """
        if self.state in {State.OPENING, State.HELLO, State.CONNECTED}:
            back = reconnects_after(code) and fault not in {Reason.PROTOCOL, Reason.TOO_LARGE}
            self._drop(now, code, reason, fault, back=back, not_before=not_before)

    def hasten(self, at: float) -> None:
        """Reconnect at `at` if it would be later."""
        if self.state is State.WAITING and self._reconnect_at is not None:
            self._reconnect_at = min(self._reconnect_at, at)

    def close(self, now: float, reason: str = "") -> None:
        """Close the connection for good."""
        if self.state in {State.HELLO, State.CONNECTED}:
            self.closing = (1000, reason)
        self.reconnect = None
        if self.state is not State.CLOSED:
            self._drop(now, None, reason, None, back=False)

    def receive(self, text: str, now: float) -> None:
        """Process one text frame that arrived at `now`."""
        if self.state is not CONNECTED and self.state is not State.HELLO:
            return  # left over from a connection that was closed
        try:
            for item in framing.decode(text):
                if (push := item.get("push")) is not None:
                    self._dispatch_push(push, now)
                else:
                    self._dispatch(item, now)
                if self.closing is not None:
                    return
        except framing.FrameError as error:
            self._fail(now, error.reason, error.detail)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            self._fail(now, Reason.PROTOCOL, f"unexpected shape: {type(error).__name__} {str(error)[:80]}")

    def tick(self, now: float) -> None:
        """Handle the deadlines that have passed: pings, replies, backoff, tokens."""
        if self.state is State.WAITING:
            if self._reconnect_at is not None and now >= self._reconnect_at:
                self.state, self.needs_flush = State.OPENING, True
            return
        if self._ping_due is not None and now >= self._ping_due:
            self._fail(now, Reason.SILENT, f"no ping for {self._ping_interval + PING_GRACE:g} s")
            return
        self._expire_commands(now)
        for channel in [channel for channel, due in self._tokens_due.items() if now >= due]:
            del self._tokens_due[channel]
            self._events.append(TokenExpiring(channel=channel, at=now))
        for subscription in self.subscriptions.values():
            if subscription.retry_at is not None and now >= subscription.retry_at:
                subscription.retry_at = None
                self._queue(subscription.command(), now)

    def deadline(self) -> float | None:
        """Time at which `tick` is due, or None."""
        if self.state is State.WAITING:
            return self._reconnect_at
        dues = [self._ping_due, *self._tokens_due.values()]
        dues += [subscription.retry_at for subscription in self.subscriptions.values()]
        dues.append(self.reply_due)
        return min((due for due in dues if due is not None), default=None)

    @property
    def reply_due(self) -> float | None:
        """Deadline of the oldest command without a reply, or None."""
        return next((due for _, due in self._pending.values()), None)

    def events(self) -> list[Event]:
        """Return the events since the last call, in order."""
        events, self._events = self._events, []
        return events

    def data_to_send(self) -> list[str]:
        """Return the lines to send, in order. Several may share a frame, joined by newlines."""
        out, self._out, self.needs_flush = self._out, [], False
        return out

    # Commands.

    def command(self, command: Command, now: float) -> int:
        """Queue a command and return its id, which `Replied`, `HistoryRead` and `Unanswered` carry.

        Raises `MisuseError` when not connected, and with `MAX_PENDING` commands in flight.
        """
        if self.state is not CONNECTED:
            raise MisuseError(f"{command.method} in state {self.state.name}")
        if len(self._pending) >= MAX_PENDING:
            raise MisuseError(f"{MAX_PENDING} commands are already waiting for replies")
        if isinstance(command, Subscribe):
            self._add_subscription(command)
        elif isinstance(command, Unsubscribe):
            self.subscriptions.pop(command.channel, None)
            self._tokens_due.pop(command.channel, None)
        return self._queue(command, now)

    def _add_subscription(self, command: Subscribe) -> None:
        if command.channel in self.subscriptions:
            raise MisuseError(f"{command.channel} is subscribed already")
        if len(self.subscriptions) >= MAX_CHANNELS:
            raise MisuseError(f"a client holds at most {MAX_CHANNELS} channels")
        self.subscriptions[command.channel] = Subscription(command)

    def _queue(self, command: Command, now: float) -> int:
        self._last_id += 1
        self._pending[self._last_id] = (command, now + self._reply_timeout)
        if isinstance(command, Subscribe):
            self.subscriptions[command.channel].asked = self._last_id
        self._out.append(framing.encode(self._last_id, command))
        self.needs_flush = True
        return self._last_id

    def _dispatch(self, item: dict[str, Json], now: float) -> None:
        if "id" in item:
            self._dispatch_reply(item, now)
        elif not item:
            self._ping_due = now + self._ping_interval + PING_GRACE if self._ping_interval else None
            if self._pong:
                self._out.append("{}")
                self.needs_flush = True
        # Unknown fields belong to later protocol versions and are ignored, as the protocol requires.

    def _dispatch_push(self, push: dict[str, Json], now: float) -> None:
        channel = push.get("channel", "")
        publication = push.get("pub")
        if publication is not None:
            offset = int(publication.get("offset", 0))
            subscription = self.subscriptions.get(channel)
            if subscription is not None and offset > subscription.offset:
                subscription.offset = offset
            self._events.append(Publication(channel, publication["data"], offset, now))
        elif "unsubscribe" in push:
            self._unsubscribed(channel, push["unsubscribe"], now)
        elif "disconnect" in push:
            code, reason = int(push["disconnect"].get("code", 0)), framing.words(push["disconnect"].get("reason", ""))
            self.closing = (1000, "disconnect push")
            self._drop(now, code, reason, None, back=reconnects_after(code))
        elif (event := other_push(push, now)) is not None:
            self._events.append(event)
        elif "refresh" in push:
            self._arm_token(None, push["refresh"], now)

    def _unsubscribed(self, channel: str, body: dict[str, Json], now: float) -> None:
        code = int(body.get("code", 0))
        subscription = self.subscriptions.get(channel)
        back = subscription is not None and resubscribes_after(code)
        if subscription is not None:
            was_active, subscription.active = subscription.active, False
            if back and was_active:  # otherwise a resubscription is pending
                self._queue(subscription.command(), now)
            elif not back:
                del self.subscriptions[channel]
        reason = framing.words(body.get("reason", ""))
        self._events.append(Unsubscribed(channel=channel, code=code, reason=reason, resubscribing=back, at=now))

    def _dispatch_reply(self, item: dict[str, Json], now: float) -> None:
        identifier = item["id"]
        entry = self._pending.pop(identifier, None) if type(identifier) is int else None
        if entry is None:
            if type(identifier) is not int or not 0 < identifier <= self._last_id:
                text = framing.words(repr(identifier))
                raise framing.FrameError(Reason.PROTOCOL, f"a reply to command {text}, which was never sent")
            return  # a reply after its deadline: reported as Unanswered
        command, took = entry[0], now - (entry[1] - self._reply_timeout)
        if (error := item.get("error")) is not None:
            self._process_error(identifier, command, refusal(error), took, now)
            return
        body = item.get(command.method)
        if not isinstance(body, dict):
            raise framing.FrameError(Reason.PROTOCOL, f"the reply to {command.method} has no {command.method}")
        if isinstance(command, History):
            self._events.append(history_read(identifier, command, body, took, now))
            return
        if not isinstance(command, Publish):  # the most frequent command, with an empty result
            self._process_result(command, body, now)
        self._events.append(Replied(identifier, command, body, None, took, now))

    def _process_result(self, command: Command, body: dict[str, Json], now: float) -> None:
        if isinstance(command, Connect):
            self._connected(body, now)
        elif isinstance(command, Subscribe):
            if (subscription := self.subscriptions.get(command.channel)) is not None:
                self._events.append(subscription.subscribed(body, now))
                self._arm_token(command.channel, body, now)
        elif command.method in {"refresh", "sub_refresh"}:
            self._arm_token(getattr(command, "channel", None), body, now)

    def _process_error(self, identifier: int, command: Command, error: ErrorReply, took: float, now: float) -> None:
        self._events.append(Replied(id=identifier, command=command, result=None, error=error, took=took, at=now))
        if isinstance(command, Connect):
            self.closing = (1000, "hello refused")
            back = error.temporary or error.code in {ErrorCode.TOKEN_EXPIRED, ErrorCode.EXPIRED}
            self._drop(now, None, f"connect: {error.code} {error.message}", None, back=back)
        elif isinstance(command, Subscribe):
            subscription = self.subscriptions.get(command.channel)
            if subscription is None or subscription.asked != identifier:
                return
            lost = error.code == ErrorCode.UNRECOVERABLE_POSITION
            if lost:
                subscription.epoch, subscription.offset = None, 0
            if self.reconnect is not None and (lost or (error.temporary and subscription.epoch is not None)):
                subscription.retry_at = now + self.reconnect.delay(subscription.failures, self._rng)
                subscription.failures += 1
                self.needs_flush = True
            else:
                del self.subscriptions[command.channel]

    def _connected(self, body: dict[str, Json], now: float) -> None:
        self._failures = 0
        self.state, self.needs_flush = State.CONNECTED, True
        self._pong = bool(body.get("pong"))
        self._ping_interval = float(body.get("ping", 0))
        if not 0 <= self._ping_interval <= MAX_PING_INTERVAL:
            raise framing.FrameError(Reason.PROTOCOL, f"a ping interval of {self._ping_interval:g} s")
        self._ping_due = now + self._ping_interval + PING_GRACE if self._ping_interval else None
        self._arm_token(None, body, now)
        client, version = framing.words(body["client"]), framing.words(body.get("version", ""))
        self._events.append(
            Connected(client=client, version=version, ping=self._ping_interval, pong=self._pong, at=now)
        )
        for subscription in self.subscriptions.values():
            self._queue(subscription.command(), now)

    def _arm_token(self, channel: str | None, body: dict[str, Json], now: float) -> None:
        if (due := renewal(body, now)) is not None:
            self._tokens_due[channel] = due
            self.needs_flush = True

    def _expire_commands(self, now: float) -> None:
        while self._pending:
            identifier, (command, due) = next(iter(self._pending.items()))
            if now < due:
                return
            del self._pending[identifier]
            self._events.append(Unanswered(id=identifier, command=command, silent=True, at=now))
            if isinstance(command, Connect) or (isinstance(command, Subscribe) and self.reconnect is not None):
                self._fail(now, Reason.SILENT, f"no reply to {command.method} for {self._reply_timeout:g} s")
                return
            if isinstance(command, Subscribe):
                self.subscriptions.pop(command.channel, None)

    def _fail(self, now: float, fault: Reason, detail: str) -> None:
        """Close a connection that failed; reconnect only after silence."""
        self.closing = (1000 if fault is Reason.SILENT else 1002, fault.value)
        self._drop(now, None, detail, fault, back=fault is Reason.SILENT)

    def _drop(
        self, now: float, code: int | None, reason: str, fault: Reason | None, *, back: bool, not_before: float = 0.0
    ) -> None:
        for identifier, (command, _) in self._pending.items():
            self._events.append(Unanswered(id=identifier, command=command, silent=False, at=now))
        self._pending.clear()
        self._tokens_due.clear()
        self._out.clear()
        self.needs_flush, self._ping_due = True, None
        for subscription in self.subscriptions.values():
            subscription.active, subscription.retry_at = False, None
        if back and self.reconnect is not None:
            self._reconnect_at = now + max(not_before, self.reconnect.delay(self._failures, self._rng))
            self._failures += 1
            self.state = State.WAITING
        else:
            self._reconnect_at = None
            self.state = State.CLOSED
        text = reason[:MAX_DETAIL]
        self._events.append(Dropped(code=code, reason=text, fault=fault, reconnect_at=self._reconnect_at, at=now))
