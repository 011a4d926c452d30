"""A client of a relay: drives `wire.Connection` over a transport and reports events as values.

A received message is handled in one synchronous pass: events, `on_event`, outgoing frames. Receive times are those of
the arrival of the bytes, not of a task's wake-up, and a publication costs no task switch.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from monitor.errors import LocalError, ProbeError, RateLimitedError, SettingsError
from monitor.relay import obstacles
from monitor.relay.dial import dial
from monitor.relay.redaction import MAX_SECRETS, redact, redact_event
from monitor.relay.reporter import PHASE_OF_COMMAND, NullReporter
from monitor.relay.token import TokenLife
from monitor.vocabulary import Phase, Reason, Step
from monitor.wire.commands import Command, Connect, Refresh
from monitor.wire.connection import CONNECTED, Connection, State
from monitor.wire.events import Connected, Dropped, Event, HistoryRead, Publication, Replied, TokenExpiring

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.relay.endpoint import EndpointProvider
    from monitor.relay.proxy import Proxy
    from monitor.relay.reporter import Reporter
    from monitor.relay.transport import Closed, Transport
    from monitor.wire.backoff import Backoff

_log = structlog.get_logger(__name__)


class Client:
    """A connection to a relay. After its first hello it reconnects with the backoff `reconnect`, if given.

    `on_event` is called with every event of `wire.events`, in order; publications
    go to `on_publication` instead. Neither may raise.
    """

    def __init__(
        self,
        endpoint: EndpointProvider,
        *,
        reporter: Reporter,
        on_event: Callable[[Event], None],
        on_publication: Callable[[Publication], None],
        reconnect: Backoff | None = None,
    ) -> None:
        self.awaiting_permit = False  # a connect waits for the relay's rate limit
        self.step = Step.RESOLVE  # step of the present or last connect
        self.error: ProbeError | None = None  # why the last connect failed; None if it succeeded
        self.endpoint = ""  # name of the endpoint of the present or last connect, if the relay has several
        self.failed_at: float | None = None  # time of the last drop or failed reconnect
        self._endpoint = endpoint
        self._reporter: Reporter = reporter
        self._on_event = on_event
        self._on_publication = on_publication
        self._reconnect = reconnect
        self._clock = endpoint.clock
        self._loop = asyncio.get_running_loop()
        self._timeout = max(endpoint.timeout, 0.1)
        self._connection = Connection(hello=Connect(name="", version=""), rng=endpoint.rng, reply_timeout=self._timeout)
        self._transport: Transport | None = None
        self._latest_transport: Transport | None = None  # the present one, the one being dialled, or the last one
        self._dialing: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._step_started = 0.0
        self._reading = False  # a connect waits for the files of the relay's settings
        self._proxy: Proxy | None = None  # to which the present dial is not connected yet
        self._token_life = TokenLife()  # of the token sent last
        self._refreshing: asyncio.Task[None] | None = None
        self._established = False  # the relay replied to the hello on the present connection
        self._send_due = False
        self._on_sent: list[Callable[[float], None]] = []
        self._replies: dict[int, asyncio.Future[Event]] = {}
        endpoint.returning(self)
        self._secrets: tuple[str, ...] = ()  # secrets sent to the relay, which its texts may quote

    @property
    def connected(self) -> bool:
        """True once the relay has replied to the hello, until the connection drops."""
        return self._connection.state is CONNECTED

    @property
    def closed(self) -> bool:
        """True once the client will not connect again."""
        return self._connection.state is State.CLOSED

    def wants(self, channel: str) -> bool:
        """Return True if `channel` is subscribed, or will be resubscribed automatically."""
        return channel in self._connection.subscriptions

    def deadline_error(self, step: Step) -> ProbeError:
        """Return the error for a deadline that passed during `step`. It may be earlier than that of the connect."""
        if self.awaiting_permit:
            return LocalError(self.step, Reason.OVERLOADED, "the configured limits allow no more connects now")
        if self._reading or (step is Step.PROXY and self._proxy is not None):
            error = obstacles.of_own_deadline(self.step, self._proxy)
            self._endpoint.report(error)
            return error
        partially_received = self._latest_transport is not None and self._latest_transport.partially_received
        return obstacles.of_deadline(step, partially_received=partially_received)

    async def open(self) -> None:
        """Connect and send the hello. Raises `ProbeError`. The endpoint's timeout bounds the whole connect."""
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
        """Queue a command and return its id. Raises `MisuseError` when not connected.

        The bytes are written after the present callback, so that the rest of its work is not counted as the relay's
        time. `on_sent` is then called with the time of writing.
        """
        now = self._clock.monotonic()
        identifier = self._connection.command(command, now)
        self._endpoint.deadlines.add(now + self._timeout, self)
        if on_sent is not None:
            self._on_sent.append(on_sent)
        if not self._send_due:
            self._send_due = True
            self._loop.call_soon(self._flush)
        return identifier

    def due(self) -> float | None:
        """Time at which the oldest pending reply is due, or None."""
        return self._connection.reply_due

    def overdue(self) -> None:
        """Give up replies that are due."""
        self._handle_deadline(self._clock.monotonic())

    def _handle_deadline(self, now: float) -> None:
        due = self._connection.deadline()
        if due is not None and due <= now:
            self._connection.tick(now)
            self._pump()

    async def request(self, command: Command) -> Event:
        """Send a command and return its `Replied`, `HistoryRead` or `Unanswered`, which is not passed to `on_event`.

        The reply timeout and the end of the connection bound the wait. Raises `MisuseError` when not connected, and
        `ProbeError` if the client is closed meanwhile.
        """
        reply: asyncio.Future[Event] = self._loop.create_future()
        self._replies[self.command(command)] = reply
        return await reply  # after a cancelled wait the entry stays: a later reply must not reach `on_event`

    def close(self) -> None:
        """Close the connection with a close frame; no callback is called afterwards."""
        self._shut_down(orderly=True)

    def hasten(self, at: float) -> None:
        """Reconnect at `at` instead of at the end of the back-off."""
        self._connection.hasten(at)
        self._arm()

    def abort(self) -> None:
        """Drop the connection without a close frame, as a phone without network does."""
        self._shut_down(orderly=False)

    def _shut_down(self, *, orderly: bool) -> None:
        self._on_event, self._on_publication = (lambda _: None), (lambda _: None)
        self._reporter = NullReporter()  # the owner refers to this: without a cycle, both need no garbage collection
        self.awaiting_permit = False
        self._connection.close(self._clock.monotonic())
        self._connection.events()
        self._release_transport(orderly=orderly)
        for waiting in (self._timer, self._dialing, self._refreshing):
            if waiting is not None:
                waiting.cancel()
        self._timer = self._dialing = None
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(ProbeError(self.step, Reason.DISCONNECTED))
        self._replies.clear()

    def _release_transport(self, *, orderly: bool) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            if orderly:
                transport.close(*(self._connection.closing or (1000, "")))
            else:
                transport.abort()

    # Incoming events.

    def _received(self, text: str, at: float) -> None:
        self._connection.receive(text, at)
        self._pump()

    def _pump(self) -> None:
        """Dispatch events, flush output, and update the transport and the timer."""
        connection = self._connection
        for event in connection.events():  # callbacks add no events
            if type(event) is Publication:  # carries no text of the relay, so needs no redaction
                self._on_publication(event)
            elif not (self._replies and self._is_reply(event)):
                self._handle(event)
        if not connection.needs_flush:
            return
        self._flush()
        if connection.closing is not None:
            # The closing handshake runs detached: an unresponsive peer must not delay the reconnect.
            self._release_transport(orderly=True)
        if connection.state is State.OPENING and self._dialing is None:
            self._dialing = asyncio.ensure_future(self._dial())
        self._arm()

    def _is_reply(self, event: Event) -> bool:
        """Resolve the waiter of a `request`; return True if the event belongs to one."""
        reply = self._replies.pop(getattr(event, "id", 0), None)
        if reply is not None and not reply.done():
            reply.set_result(redact_event(event, self._secrets))
        return reply is not None

    def _handle(self, event: Event) -> None:
        if type(event) is Replied and event.error is None:  # the most frequent case after publications
            if (phase := PHASE_OF_COMMAND.get(event.command.method)) is not None:
                self._reporter.phase(phase, event.took)
            self._on_event(event)
            return
        event = redact_event(event, self._secrets)
        match event:
            case HistoryRead():
                self._reporter.phase(Phase.HISTORY, event.took)
            case Connected():
                self._complete_step(event.at)
                self._connection.reconnect = self._reconnect
                self.error, self._established = None, True
                self._endpoint.report(None)
                if self._opened is not None and not self._opened.done():
                    self._opened.set_result(None)
            case Dropped():
                self._on_sent.clear()
                self._dropped(event)
            case TokenExpiring(channel=None):
                self._refreshing = asyncio.ensure_future(self._refresh())
        self._on_event(event)
        if type(event) is Replied and event.error is not None and event.command.method == "connect":
            self.error = self._excused(obstacles.of_error(Step.HELLO, event.error, self.endpoint))

    def _dropped(self, event: Dropped) -> None:
        if not self._established and self.error is None:
            # A partly received answer is a timeout, not silence, whichever deadline passes first.
            transport = self._latest_transport
            slow = event.fault is Reason.SILENT and transport is not None and transport.partially_received
            error = self.deadline_error(self.step) if slow else obstacles.of_drop(self.step, event)
            self.error = self._excused(error.seen_at(self.endpoint))
        if not self._established and self.error is not None:
            self._endpoint.report(self.error)
        self._established, self.failed_at = False, event.at
        if self.error is not None and self._opened is not None and not self._opened.done():
            self._opened.set_exception(self.error)

    def _excused(self, error: ProbeError) -> ProbeError:
        return obstacles.of_own_token(error, self._token_life, self._clock.time())

    async def _refresh(self) -> None:
        try:
            hello = await self._endpoint.hello()
        except ProbeError as error:
            _log.warning("token not refreshed", **error.log_fields(), repeats=True)
            return
        if hello.token is not None and self.connected:
            self._secrets = (hello.token, *self._secrets[:MAX_SECRETS])
            self._connection.command(Refresh(token=hello.token), self._clock.monotonic())
            self._flush()

    def _flush(self) -> None:
        self._send_due = False
        lines = self._connection.data_to_send()
        if not lines or self._transport is None:
            return
        # Before the write: a fast relay may have answered by the time the call returns.
        at = self._clock.monotonic()
        self._transport.send(lines[0] if len(lines) == 1 else "\n".join(lines))
        if self._on_sent:
            callbacks, self._on_sent = self._on_sent, []
            for on_sent in callbacks:
                on_sent(at)

    # The timer of pings and reconnects; commands use the shared `Deadlines`.

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (due := self._connection.deadline()) is not None:
            self._timer = self._loop.call_later(max(0.0, due - self._clock.monotonic()), self._tick, due)

    def _tick(self, due: float) -> None:
        self._timer = None
        # A timer may fire early by the resolution of the loop's clock.
        self._handle_deadline(max(due, self._clock.monotonic()))
        self._arm()

    # Connecting.

    async def _dial(self) -> None:
        try:
            self.awaiting_permit = True
            await self._endpoint.admit(self.failed_at)
            self.awaiting_permit = False
            self.error, self._reading, self._proxy, self._step_started = None, True, None, self._clock.monotonic()
            settings = await self._endpoint.read()
            self._reading = False
            self.endpoint, self._secrets = settings.target.endpoint, settings.secrets
            self._proxy, self._token_life = settings.proxy, settings.token_life
            self.step, self._step_started = Step.RESOLVE, self._clock.monotonic()
            async with asyncio.timeout(self._endpoint.timeout):
                transport = await dial(
                    settings.target,
                    clock=self._clock,
                    observer=self,
                    on_text=self._received,
                    on_closed=self._transport_closed,
                    arrivals=self._endpoint.arrivals,
                    context=settings.tls,
                )
        except ProbeError as error:
            self._dial_failed(error)
        except TimeoutError:
            self._dial_failed(self.deadline_error(self.step))
        except Exception as cause:  # noqa: BLE001 - a bug here must end the connect, or the relay would be blamed for a timeout
            _log.exception("connect failed by an internal error", step=self.step.value)
            self._dial_failed(SettingsError(self.step, Reason.INTERNAL, f"{type(cause).__name__}: {cause}"))
        else:
            self._transport = transport
            self.entered(Step.HELLO)
            self._connection.opened(self._clock.monotonic(), settings.hello)
        finally:
            self._dialing, self._reading = None, False
        self._pump()

    def _dial_failed(self, error: ProbeError) -> None:
        error.reword(redact(error.detail, self._secrets))
        self.error = error.seen_at(self.endpoint)
        self._complete_step(self._clock.monotonic())
        not_before = error.retry_after if isinstance(error, RateLimitedError) else 0.0
        if not_before:
            self._endpoint.postpone(not_before)
        self._connection.lost(self._clock.monotonic(), None, str(error), not_before=not_before)

    def _transport_closed(self, closed: Closed) -> None:
        if self._transport is None:  # closed by this side, and reported then
            return
        self._transport = None
        self._connection.lost(self._clock.monotonic(), closed.code, closed.reason, fault=closed.fault)
        self._pump()

    def _complete_step(self, now: float) -> None:
        self._reporter.step_completed(self.step, self._step_started, now)
        self._step_started = now

    # `relay.dial.DialObserver`.

    def attached(self, transport: Transport) -> None:
        """The transport exists and may receive bytes."""
        self._latest_transport = transport

    def entered(self, step: Step) -> None:
        """A step of the dial has begun."""
        if step is not self.step:
            self._complete_step(self._clock.monotonic())
            self.step = step

    def proxied(self) -> None:
        """The connection to the proxy is established."""
        self._proxy = None

    def phase(self, phase: Phase, started: float, ended: float) -> None:
        """A phase of the dial took from `started` to `ended`."""
        self._reporter.phase(phase, ended - started)

    def picked(self, endpoint: str, addresses: int) -> None:
        """One of so many addresses is used, `ADDRESS:PORT`."""
        self._endpoint.count_nodes(self.endpoint, addresses)
        self.endpoint = endpoint

    def address_failed(self, family: str) -> None:
        """An address could not be reached."""
        self._reporter.address_failed(family)

    def certificate(self, not_after: float) -> None:
        """The relay presented a certificate that expires at `not_after`."""
        self._reporter.certificate(not_after)
