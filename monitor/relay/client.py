"""One client of a relay: drives `wire.Connection` over a transport and reports every event as a value.

Everything that arrives is handled where its bytes arrive, in one synchronous pass: frame → events → `on_event` →
frames out. So a receive time is never the time at which some task woke up, and a publication costs no task switch.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import structlog

from monitor.errors import LocalError, ProbeError
from monitor.relay import obstacles
from monitor.relay.dial import dial
from monitor.relay.proxy import proxy_of
from monitor.relay.redaction import clean, cleaned, secrets_of
from monitor.relay.target import RateLimitedError
from monitor.vocabulary import Phase, Reason, Step
from monitor.wire.commands import Command, Connect, Refresh
from monitor.wire.connection import CONNECTED, Connection, State
from monitor.wire.events import Connected, Dropped, Event, HistoryRead, Publication, Replied, TokenExpiring

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.relay.endpoint import Access
    from monitor.relay.target import Closed
    from monitor.relay.transport import Transport
    from monitor.wire.backoff import Backoff

_log = structlog.get_logger(__name__)

_PHASE_OF_COMMAND = {
    "connect": Phase.HELLO,
    "subscribe": Phase.SUBSCRIBE,
    "publish": Phase.PUBLISH_ACK,
    "history": Phase.HISTORY,
}

MAX_SECRETS = 200
"""What is kept of the secrets a relay was told, through any number of refreshed tokens."""


class Reporter(Protocol):
    """Who learns how long things took and what was seen on the way; see `probes/` for the one in use."""

    def phase(self, phase: Phase, seconds: float) -> None:
        """One phase of a connect, or one command's reply, took `seconds`."""

    def address_failed(self, family: str) -> None:
        """One address ("ip4" or "ip6") could not be reached."""

    def certificate(self, not_after: float) -> None:
        """The relay's certificate expires at `not_after`, seconds since the epoch."""

    def step_taken(self, step: Step, started: float, ended: float) -> None:
        """A step of the protocol took from `started` to `ended`, on the monotonic clock."""


class Client:
    """A connection to a relay that comes back by itself, once it has stood, if `reconnect` says how.

    `on_event` gets every event of `wire.events`, in order, in the very call that brought the bytes; but publications,
    of which there are by far the most, go to `on_publication`. Neither may raise.
    """

    def __init__(
        self,
        access: Access,
        *,
        reporter: Reporter,
        on_event: Callable[[Event], None],
        on_publication: Callable[[Publication], None],
        reconnect: Backoff | None = None,
    ) -> None:
        self.queued = False  # whether a connect waits for the relay's own limits to allow it
        self.step = Step.RESOLVE  # where in the protocol a connect is, or ended
        self.error: ProbeError | None = None  # why the latest connect came to nothing; None where it stood
        self.failed_at: float | None = None  # when it last dropped, or came back in vain
        self._access = access
        self._reporter = reporter
        self._on_event = on_event
        self._on_publication = on_publication
        self._reconnect = reconnect
        self._clock = access.clock
        self._loop = asyncio.get_running_loop()
        self._patience = max(access.timeout, 0.1)
        self._connection = Connection(hello=Connect(name="", version=""), rng=access.rng, reply_timeout=self._patience)
        self._transport: Transport | None = None
        self._newest: Transport | None = None  # the same, or the one being dialled, or the last there was
        self._dialing: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._step_started = 0.0
        self._proxied = False  # whether a proxy has taken the connection of the present dial
        self._stood = False  # whether the relay has said hello on the present connection
        self._send_due = False
        self._on_sent: list[Callable[[float], None]] = []
        self._asked: dict[int, asyncio.Future[Event]] = {}
        self._secrets: tuple[str, ...] = ()  # what the relay was told, and may say again

    @property
    def connected(self) -> bool:
        """Whether the relay has said hello on the present connection."""
        return self._connection.state is CONNECTED

    @property
    def closed(self) -> bool:
        """Whether this client is over for good."""
        return self._connection.state is State.CLOSED

    def wants(self, channel: str) -> bool:
        """Whether a channel is subscribed, or will be by itself."""
        return channel in self._connection.subscriptions

    def late(self, step: Step) -> ProbeError:
        """What it means that a deadline passed during `step`."""
        if self.queued:
            return LocalError(self.step, Reason.OVERLOADED, "limits allow no more connects now")
        flowing = self._newest is not None and self._newest.flowing
        return obstacles.of_deadline(step, flowing=flowing, proxied=self._proxied)

    async def open(self) -> None:
        """Connect and say hello. Raises `ProbeError`; every step on the way is bounded by the access's timeout."""
        self._opened = self._loop.create_future()
        self._connection.connect(self._clock.monotonic())
        self._pump()
        try:
            await self._opened
        finally:
            self._opened = None
            if not self.connected:
                self.abort()

    def command(self, command: Command, on_sent: Callable[[float], None] | None = None) -> int:
        """Send a command; returns its id. `on_sent` is told when its bytes went to the socket.

        They go out when the present callback is done, right before the loop waits for what comes: whatever this
        program still had to do after sending would otherwise be counted as the relay's time. Raises `MisuseError`
        when not connected.
        """
        now = self._clock.monotonic()
        identifier = self._connection.command(command, now)
        self._access.deadlines.add(now + self._patience, self)
        if on_sent is not None:
            self._on_sent.append(on_sent)
        if not self._send_due:
            self._send_due = True
            self._loop.call_soon(self._send)
        return identifier

    # What `deadlines.Deadlines` asks.

    def due(self) -> float | None:
        """When the first reply is due."""
        return self._connection.reply_due

    def overdue(self) -> None:
        """A reply's time may be up."""
        now, due = self._clock.monotonic(), self._connection.deadline()
        if due is not None and due <= now:
            self._connection.tick(now)
            self._pump()

    async def ask(self, command: Command) -> Event:
        """Send a command and wait for its `Replied`, `HistoryRead` or `Unanswered`, which `on_event` never hears of.

        Ends at the latest with the connection or the time for replies. Raises `MisuseError` when not connected, and
        `ProbeError` when this client is closed meanwhile.
        """
        asked: asyncio.Future[Event] = self._loop.create_future()
        self._asked[self.command(command)] = asked
        return await asked  # whoever waits no longer leaves it here: an answer that comes then is still not for others

    def _send(self) -> None:
        self._send_due = False
        if self._connection.stirred:
            self._flush()

    def close(self) -> None:
        """Leave in good order; nothing is reported any more."""
        self._end(orderly=True)

    def abort(self) -> None:
        """Drop the connection without a word, as a phone does that loses its network."""
        self._end(orderly=False)

    def _end(self, *, orderly: bool) -> None:
        self._on_event = self._on_publication = _ignore
        self.queued = False
        self._connection.close(self._clock.monotonic())
        self._connection.events()
        self._release(orderly=orderly)
        for waiting in (self._timer, self._dialing):
            if waiting is not None:
                waiting.cancel()
        self._timer = self._dialing = None
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(ProbeError(self.step, Reason.DISCONNECTED))
        self._asked.clear()

    def _release(self, *, orderly: bool) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            if orderly:
                transport.close(*(self._connection.closing or (1000, "")))
            else:
                transport.abort()

    # Events in, one pass.

    def _received(self, text: str, at: float) -> None:
        self._connection.receive(text, at)
        self._pump()

    def _pump(self) -> None:
        """Hand out events, send what is due, and see to the transport and the timer."""
        connection = self._connection
        for event in connection.events():  # what is done about one brings no other
            if type(event) is Publication:  # in no word the relay's own
                self._on_publication(event)
            elif not (self._asked and self._answers(event)):
                self._handle(event)
        if not connection.stirred:
            return
        self._flush()
        if connection.closing is not None:
            # What this side gave up is not waited for: the peer may be the very one that answers nothing.
            self._release(orderly=True)
        if connection.state is State.OPENING and self._dialing is None:
            self._dialing = asyncio.ensure_future(self._dial())
        self._arm()

    def _answers(self, event: Event) -> bool:
        """Whether it is the answer somebody asked for; if so, they have it, if they still want it."""
        asked = self._asked.pop(getattr(event, "id", 0), None)
        if asked is not None and not asked.done():
            asked.set_result(cleaned(event, self._secrets))
        return asked is not None

    def _handle(self, event: Event) -> None:
        if type(event) is Replied and event.error is None:  # the next most frequent
            if (phase := _PHASE_OF_COMMAND.get(event.command.method)) is not None:
                self._reporter.phase(phase, event.took)
            self._on_event(event)
            return
        event = cleaned(event, self._secrets)
        match event:
            case HistoryRead():
                self._reporter.phase(Phase.HISTORY, event.took)
            case Connected():
                self._mark(event.at)
                self._connection.reconnect = self._reconnect
                self.error, self._stood = None, True
                if self._opened is not None and not self._opened.done():
                    self._opened.set_result(None)
            case Dropped():
                self._on_sent.clear()
                self._dropped(event)
            case TokenExpiring(channel=None):
                self._refresh()
        self._on_event(event)
        if type(event) is Replied and event.error is not None and event.command.method == "connect":
            self.error = obstacles.of_error(Step.HELLO, event.error)

    def _dropped(self, event: Dropped) -> None:
        if not self._stood and self.error is None:
            # Whether the reply's time runs out first or that of whoever waits: what is on its way is not silence.
            slow = event.fault is Reason.SILENT and self._newest is not None and self._newest.flowing
            self.error = self.late(self.step) if slow else obstacles.of_drop(self.step, event)
        self._stood, self.failed_at = False, event.at
        if self.error is not None and self._opened is not None and not self._opened.done():
            self._opened.set_exception(self.error)

    def _refresh(self) -> None:
        try:
            hello = self._access.hello()
        except ProbeError as error:
            _log.warning("token not refreshed", detail=error.detail)
            return
        if hello.token is not None and self.connected:
            self._secrets = (hello.token, *self._secrets[:MAX_SECRETS])
            self._connection.command(Refresh(token=hello.token), self._clock.monotonic())

    def _flush(self) -> None:
        lines = self._connection.data_to_send()
        if not lines or self._transport is None:
            return
        # Before, not after: a relay on a fast path may have answered by the time that the call returns.
        at = self._clock.monotonic()
        self._transport.send(lines[0] if len(lines) == 1 else "\n".join(lines))
        if self._on_sent:
            told, self._on_sent = self._on_sent, []
            for on_sent in told:
                on_sent(at)

    # The timer: for all but the commands, of which there are many, and which `deadlines` sees to.

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (due := self._connection.deadline()) is not None:
            self._timer = self._loop.call_later(max(0.0, due - self._clock.monotonic()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.overdue()
        self._arm()

    # Connecting.

    async def _dial(self) -> None:
        try:
            self.queued = True
            await self._access.admit(self.failed_at)
            self.queued = False
            self.error, self._step_started = None, self._clock.monotonic()
            self._proxied = False
            target, hello = self._access.target(), self._access.hello()
            self._secrets = secrets_of(target, hello.token, proxy_of(target))
            async with asyncio.timeout(self._access.timeout):
                transport = await dial(
                    target,
                    clock=self._clock,
                    observer=self,
                    on_text=self._received,
                    on_closed=self._closed,
                    arrivals=self._access.arrivals,
                )
        except ProbeError as error:
            self._not_opened(error)
        except TimeoutError:
            self._not_opened(self.late(self.step))
        except Exception as cause:  # noqa: BLE001 - whatever it is: to go on waiting would blame the relay for it
            _log.exception("connect broken off by a fault of this program", step=self.step.value)
            self._not_opened(LocalError(self.step, Reason.INTERNAL, f"{type(cause).__name__}: {cause}"))
        else:
            self._transport = transport
            self.entered(Step.HELLO)
            self._connection.opened(self._clock.monotonic(), hello)
        finally:
            self._dialing = None
        self._pump()

    def _not_opened(self, error: ProbeError) -> None:
        error.reword(clean(error.detail, self._secrets))
        self.error = error
        self._mark(self._clock.monotonic())
        not_before = error.retry_after if isinstance(error, RateLimitedError) else 0.0
        if not_before:
            self._access.postpone(not_before)
        self._connection.lost(self._clock.monotonic(), None, str(error), not_before=not_before)

    def _closed(self, closed: Closed) -> None:
        if self._transport is None:
            return  # given up by this side, and reported then
        self._transport = None
        self._connection.lost(self._clock.monotonic(), closed.code, closed.reason, fault=closed.fault)
        self._pump()

    def _mark(self, now: float) -> None:
        self._reporter.step_taken(self.step, self._step_started, now)
        self._step_started = now

    # What the transport reports while it dials (`relay.target.Observer`).

    def attached(self, transport: Transport) -> None:
        """The dial has bytes to wait for."""
        self._newest = transport

    def entered(self, step: Step) -> None:
        """A step of the dial begins."""
        if step is not self.step:
            self._mark(self._clock.monotonic())
            self.step = step

    def proxied(self) -> None:
        """The connection to the proxy stands."""
        self._proxied = True

    def phase(self, phase: Phase, started: float, ended: float) -> None:
        """A phase of the dial took from `started` to `ended`."""
        self._reporter.phase(phase, ended - started)

    def address_failed(self, family: str) -> None:
        """One address could not be reached."""
        self._reporter.address_failed(family)

    def certificate(self, not_after: float) -> None:
        """The relay's certificate was seen."""
        self._reporter.certificate(not_after)


def _ignore(_: Event) -> None:
    """Nothing is reported after the end."""
