"""One end of a pair: a side of the wallet protocol (`session/`) at work over a relay client.

The wallet protocol's machine says what it wants (actions) and what happened (notices); the client reports what the
relay did (events). A `Participant` carries each to the other in the call that brought it, and reports every raw
publication to its `ParticipantObserver` before any de-duplication, so that verdicts rest on what really came.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from monitor.errors import ErrorCode, ProbeError, WalletProtocolError
from monitor.relay import obstacles
from monitor.relay.client import Client
from monitor.session import actions, notices
from monitor.session.envelope import decode
from monitor.vocabulary import Reason, Step
from monitor.wire.commands import History, Publish, Subscribe, Unsubscribe
from monitor.wire.events import (
    Connected,
    Dropped,
    Event,
    HistoryRead,
    Publication,
    Replied,
    Subscribed,
    Unanswered,
    Unsubscribed,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.pairs.observer import ParticipantObserver
    from monitor.relay.endpoint import EndpointProvider
    from monitor.session.peer import Peer
    from monitor.wire.backoff import Backoff
    from monitor.wire.commands import Command

T = TypeVar("T")

_STEPS = {"connect": Step.HELLO, "subscribe": Step.SUBSCRIBE, "history": Step.HISTORY, "publish": Step.PUBLISH}
_REASONS = {
    ErrorCode.SESSION_EXPIRED: Reason.EXPIRED,
    ErrorCode.SESSION_NOT_FOUND: Reason.EXPIRED,
    ErrorCode.REQUEST_EXPIRED: Reason.EXPIRED,
    ErrorCode.OTP_ENTRY_TIMEOUT: Reason.EXPIRED,
    ErrorCode.INVALID_KEY: Reason.WRONG_PEER,
    ErrorCode.DECRYPTION_FAILED: Reason.UNDECRYPTABLE,
    ErrorCode.TRANSPORT_PARSE_FAILED: Reason.CORRUPTED,
}


class Participant:
    """A dApp or a wallet over one relay connection.

    `whole` is True while the peer is connected to its session and its channel is subscribed and read; otherwise
    `obstacle` says what stands in the way.
    """

    def __init__(
        self,
        side: str,
        peer: Peer,
        endpoint: EndpointProvider,
        *,
        observer: ParticipantObserver,
        reconnect: Backoff | None,
    ) -> None:
        self.side = side
        self.peer = peer
        self.ready = False
        self.error: ProbeError | None = None
        self.published: ProbeError | None = None  # why the latest publish was refused, if it was
        self.epochs: dict[str, str] = {}  # by channel: of which stream the latest subscription said it is
        self.client = Client(
            endpoint, reporter=self, on_event=self._on_event, on_publication=self._on_publication, reconnect=reconnect
        )
        self._own = f'{{"clientId":"{peer.client_id}",'
        self._clock = endpoint.clock
        self._ward = observer
        self.phase, self.address_failed, self.certificate = (
            observer.phase,
            observer.address_failed,
            observer.certificate,
        )
        self._standing = reconnect is not None
        self._commands: dict[int, tuple[Step, actions.Publish | None]] = {}
        self._read: set[str] = set()  # channels subscribed on the present connection, with their history read
        self._interrupted: Step | None = None  # the oldest command's that the drop at hand left unanswered
        self._evicted = False
        self._opening: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: tuple[Callable[[], bool], asyncio.Future[None], Step] | None = None

    @property
    def step(self) -> Step | None:
        """What the relay owes an answer to: the connect's step, or that of the oldest command in flight."""
        if self._opening is not None and not self.client.connected:
            return self.client.step
        return next((step for step, _ in self._commands.values()), None)

    @property
    def terminated(self) -> bool:
        """Whether it will not become whole again by itself."""
        return self._evicted or self.client.closed

    def has_read(self, channel: str) -> bool:
        """Whether a channel is subscribed and its history read."""
        return channel in self._read

    def do(self, act: Callable[[], T]) -> T:
        """Let the peer act, and carry out what it wants. Raises `ProbeError` for what its own protocol forbids."""
        try:
            result = act()
        except WalletProtocolError as error:
            raise self._obstacle_of(error, Step.HANDSHAKE) from error
        self._pump(moved=False)
        return result

    async def wait(self, done: Callable[[], bool], deadline: float, step: Step) -> None:
        """Wait until `done()`, checked after everything that happens here. Raises `ProbeError`.

        Where the deadline passes, the relay's oldest debt names the step; without one it is `step`.
        """
        if done():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting = (done, future, step)
        try:
            async with asyncio.timeout(max(0.0, deadline - self._clock.monotonic())):
                await future
        except TimeoutError:
            late = self.client.deadline_error(self.step or step)
            refused = self.published if late.step is Step.PUBLISH else None  # between two tries nothing is owed
            raise self.error or refused or late from None
        finally:
            self._waiting = None

    def close(self) -> None:
        """Leave in good order."""
        self._stop()
        self.client.close()

    def abort(self) -> None:
        """Drop the connection without a word."""
        self._stop()
        self.client.abort()

    def _stop(self) -> None:
        self.ready = False
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # What the client reports while it connects (`relay.client.Reporter`).

    def step_completed(self, step: Step, started: float, ended: float) -> None:
        """A step of the connect is behind us."""
        self._ward.mark(self, step, started, ended)

    # Events of the relay.

    def _on_publication(self, publication: Publication) -> None:
        data = publication.data
        if type(data) is str and data.startswith(self._own):
            return  # one's own message, pushed back: nothing to learn from it
        self._publication(publication, live=True)
        self._pump(moved=False)

    def _on_event(self, event: Event) -> None:  # noqa: C901 - one case a kind of event, nothing more
        match event:
            case Replied():
                self._replied(event)
                if event.error is None:
                    self._pump(moved=False)
                    return
            case HistoryRead():
                self._history(event)
            case Subscribed():
                self._subscribed(event)
            case Connected():
                self.peer.on_connected(event.at)
            case Unanswered():
                self._unanswered(event)
                if not event.silent:
                    return  # the drop follows, and is to find things as they stood
            case Unsubscribed():
                self._read.discard(event.channel)
                self._ward.dropped(event.code)
                if not event.resubscribing:
                    self._evicted = True
                    detail = f"unsubscribe code {event.code} {event.reason}"
                    self.error = ProbeError(self.step or Step.HOLD, Reason.DISCONNECTED, detail)
                    self._trouble(self.error)
            case Dropped():
                self._dropped(event)
        self._pump()

    def _subscribed(self, event: Subscribed) -> None:
        self._read.discard(event.channel)
        if event.position is not None:
            self.epochs[event.channel] = event.position.epoch
        self.peer.on_subscribed(event.channel, event.at)
        for publication in event.publications:
            self._publication(publication, live=True)

    def _publication(self, publication: Publication, *, live: bool) -> None:
        channel, data, _, at = publication
        try:
            envelope = decode(data)
        except WalletProtocolError:
            self._ward.raw(None, publication, live=live)
            self.peer.on_publication(channel, data, at)
            return
        if envelope.client_id != self.peer.client_id:
            self._ward.raw(envelope, publication, live=live)
            if live:
                self.peer.on_publication(channel, envelope, at)

    def _replied(self, event: Replied) -> None:
        step, publish = self._commands.pop(event.id, (None, None))
        if step is not None:
            self._ward.mark(self, step, event.at - event.took, event.at)
        if event.error is None:
            if publish is not None:
                self.published = None
                self._ward.acked(publish)
                self.peer.on_published(publish.message_id, ok=True, now=event.at)
            return
        if step is None:
            if not isinstance(event.command, Subscribe) or self.client.wants(event.command.channel):
                return  # a hello or an automatic resubscription: the drop or the retry that follows says it
            step = Step.SUBSCRIBE
        error = obstacles.of_error(step, event.error)
        if publish is not None:
            self.published = error
            self.peer.on_published(publish.message_id, ok=False, now=event.at)
        else:
            self._stuck(error)

    def _unanswered(self, event: Unanswered) -> None:
        step, publish = self._commands.pop(event.id, (None, None))
        if step is None:
            return
        error = ProbeError(step, Reason.DISCONNECTED)
        if event.silent:
            error = self.client.deadline_error(step)
        else:
            self._interrupted = self._interrupted or step
        if publish is not None:
            self.published = error
            self.peer.on_published(publish.message_id, ok=False, now=event.at)
        elif event.silent:
            self._stuck(error)

    def _stuck(self, error: ProbeError) -> None:
        """A subscription or its history failed, which nothing but another connection would ask for again."""
        if self._standing:
            self._evicted, self.error = True, error  # to be made anew, at a pace that asks nobody too often
        self._trouble(error)

    def _history(self, event: HistoryRead) -> None:
        step, _ = self._commands.pop(event.id, (Step.HISTORY, None))
        self._ward.mark(self, step, event.at - event.took, event.at)
        for publication in event.publications:
            self._publication(publication, live=False)
        self._read.add(event.channel)
        self.peer.on_history(event.channel, [publication.data for publication in event.publications], event.at)

    def _dropped(self, event: Dropped) -> None:
        step = self._interrupted or self.step or (self._waiting[2] if self._waiting is not None else Step.HOLD)
        self._interrupted = None
        self.error = self.client.error or obstacles.of_drop(step, event)
        self._commands.clear()
        self._read.clear()
        if self.ready:
            self._ward.dropped(event.code)
        self.peer.on_disconnected(event.at)
        if self._opening is None and (event.reconnect_at is None or not self._standing):
            self._trouble(self.error)

    # What the peer wants, and what it says.

    def _pump(self, *, moved: bool = True) -> None:
        """Carry out what the peer wants and heed what it says.

        Where all of that is messages, sent and received, its state and its timers have not `moved`.
        """
        while True:
            wanted, told = self.peer.drain()
            again = False
            for action in wanted:
                moved = moved or type(action) is not actions.Publish
                again = not self._carry_out(action) or again
            for notice in told:
                moved = moved or type(notice) is not notices.MessageReceived
                self._heed(notice)
            if not again:
                break  # what is carried out brings nothing more, nor does what is heeded
        if moved:
            self._update()
            self._arm()
        if self._waiting is not None:
            done, future, _ = self._waiting
            if not future.done() and done():
                future.set_result(None)

    def _carry_out(self, action: actions.Action) -> bool:
        """Whether it went as the peer wants it, who hears of it otherwise."""
        match action:
            case actions.Publish():
                if not self.client.connected or not self._ward.sending(self, action):
                    self.peer.on_published(action.message_id, ok=False, now=self._clock.monotonic())
                    self._arm()
                    return False
                command = Publish(channel=action.key.channel, data=action.data)
                identifier = self.client.command(command, partial(self._ward.sent, action))
                self._commands[identifier] = (Step.PUBLISH, action)
            case actions.Connect():
                self._opening = asyncio.ensure_future(self._open())
            case actions.Subscribe():
                self._command(Subscribe(channel=action.channel))
            case actions.FetchHistory():
                self._command(History(channel=action.channel, limit=action.limit))
            case actions.Unsubscribe():
                self._read.discard(action.channel)
                self._command(Unsubscribe(channel=action.channel))
            case actions.Close():
                self.client.close()
        return True

    def _command(self, command: Command) -> None:
        if self.client.connected:
            identifier = self.client.command(command)
            if (step := _STEPS.get(command.method)) is not None:
                self._commands[identifier] = (step, None)

    def _heed(self, notice: notices.Notice) -> None:
        match notice:
            case notices.MessageReceived():
                self._ward.delivered(self, notice, self._clock.monotonic())
            case notices.Failed():
                self._trouble(self._obstacle_of(notice.error, Step.HANDSHAKE))
            case notices.Undecryptable():
                step = self._waiting[2] if self._waiting is not None else Step.DELIVER
                self._trouble(ProbeError(step, Reason.UNDECRYPTABLE, "equal bytes, but they do not decrypt"))
            case _:
                pass  # requests, OTPs and states are read off the peer by whoever waits for them

    async def _open(self) -> None:
        try:
            await self.client.open()
        except ProbeError as error:
            self.error = error
            self._trouble(error)
        else:
            if self.client.closed and self.error is not None:
                self._trouble(self.error)  # the hello and the drop came together
        finally:
            self._opening = None

    # State.

    def _update(self) -> None:
        ready = self.client.connected and self.peer.is_connected and self.peer.channels <= self._read
        if ready:
            self.error = None
        if ready is not self.ready:
            self.ready = ready
            self._ward.changed()

    def _trouble(self, error: ProbeError) -> None:
        if self._waiting is not None and not self._waiting[1].done():
            self._waiting[1].set_exception(error)
        else:
            if not self.ready and self.error is None:
                self.error = error  # a wait whose time is up at this moment has yet to ask
            self._ward.trouble(self, error)

    def _obstacle_of(self, error: WalletProtocolError, step: Step) -> ProbeError:
        if error.code in {ErrorCode.TRANSPORT_PUBLISH_FAILED, ErrorCode.TRANSPORT_DISCONNECTED} and self.published:
            return self.published
        if error.code in {ErrorCode.SESSION_EXPIRED, ErrorCode.SESSION_NOT_FOUND}:
            step = Step.RESUME
        return ProbeError(step, _REASONS.get(error.code, Reason.PROTOCOL), f"{error.code.value}: {error}")

    def _arm(self) -> None:
        due = self.peer.deadline()
        if due is None and self._timer is None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None:
            delay = max(0.0, due - self._clock.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.peer.tick(self._clock.monotonic())
        self._pump()
