"""One side of a pair: a peer of the wallet protocol (`session/`) with its relay client.

The peer emits actions and notices, the client emits events. A `Participant` passes each on in the call that brought it,
and reports every publication to its `ParticipantObserver` before any de-duplication.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from monitor.errors import ProbeError, WalletProtocolError
from monitor.pairs.protocol_errors import of_protocol
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


class _Wait(NamedTuple):
    """A caller of `Participant.wait`."""

    done: Callable[[], bool]
    future: asyncio.Future[None]
    step: Step


class Participant:
    """A dApp or a wallet over one relay connection.

    `ready` is true while the peer is connected to its session, with its channels subscribed and their history read;
    otherwise `error` is the cause, if one is known. `reconnect` makes a lost connection come back; None does not.
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
        self.publish_error: ProbeError | None = None  # of the latest publish, if it was refused
        self.epochs: dict[str, str] = {}  # by channel: the stream's epoch at the latest subscription
        self.client = Client(
            endpoint, reporter=self, on_event=self._on_event, on_publication=self._on_publication, reconnect=reconnect
        )
        self._own_prefix = f'{{"clientId":"{peer.client_id}",'
        self._clock = endpoint.clock
        self._observer = observer
        self.phase = observer.phase  # the rest of `relay.reporter.Reporter`
        self.address_failed = observer.address_failed
        self.certificate = observer.certificate
        self._persistent = reconnect is not None
        self._commands: dict[int, tuple[Step, actions.Publish | None]] = {}
        self._read: set[str] = set()  # channels subscribed on this connection, with their history read
        self._interrupted: Step | None = None  # of the oldest command that the present drop left unanswered
        self._evicted = False
        self._opening: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._wait: _Wait | None = None

    @property
    def step(self) -> Step | None:
        """The step that waits for the relay: of the connect, or of the oldest unanswered command."""
        if self._opening is not None and not self.client.connected:
            return self.client.step
        return next((step for step, _ in self._commands.values()), None)

    @property
    def terminated(self) -> bool:
        """True if it will not become ready again by itself."""
        return self._evicted or self.client.closed

    def has_read(self, channel: str) -> bool:
        """Return whether a channel is subscribed and its history read."""
        return channel in self._read

    def do(self, action: Callable[[], T]) -> T:
        """Call a method of the peer and execute the actions it emits. Raises `ProbeError` if the peer refuses."""
        try:
            result = action()
        except WalletProtocolError as error:
            self._pump()  # an expired session closes the connection
            raise of_protocol(error, self.publish_error) from error
        self._pump(state_changed=False)
        return result

    async def wait(self, done: Callable[[], bool], deadline: float, step: Step) -> None:
        """Wait until `done()` is true; it is evaluated after every event. Raises `ProbeError`.

        On timeout, the error names the step of the oldest unanswered command, or `step` if there is none.
        """
        if done():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wait = _Wait(done, future, step)
        try:
            async with asyncio.timeout(max(0.0, deadline - self._clock.monotonic())):
                await future
        except TimeoutError:
            timeout = self.client.deadline_error(self.step or step)
            # Between two attempts to publish, no command is unanswered.
            refused = self.publish_error if timeout.step is Step.PUBLISH else None
            raise (self.error or refused or timeout).seen_at(self.client.endpoint).noticed_by(self.side) from None
        finally:
            self._wait = None

    def close(self) -> None:
        """Disconnect with a close frame."""
        self._stop()
        self.client.close()

    def abort(self) -> None:
        """Drop the connection without a close frame."""
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

    # relay.reporter.Reporter.

    def step_completed(self, step: Step, started: float, ended: float) -> None:
        """Pass on a step of the connect."""
        self._observer.step_completed(self.side, step, started, ended)

    # Events of the client.

    def _on_publication(self, publication: Publication) -> None:
        data = publication.data
        if type(data) is str and data.startswith(self._own_prefix):
            return  # the own message, echoed
        self._publication(publication, live=True)
        self._pump(state_changed=False)

    def _on_event(self, event: Event) -> None:  # noqa: C901 - one case a kind of event
        match event:
            case Replied():
                self._replied(event)
                if event.error is None:
                    self._pump(state_changed=False)
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
                    return  # the drop follows
            case Unsubscribed():
                self._read.discard(event.channel)
                self._observer.dropped(event.code)
                if not event.resubscribing:
                    self._evicted = True
                    detail = f"unsubscribe code {event.code} {event.reason}"
                    self.error = ProbeError(self.step or Step.HOLD, Reason.DISCONNECTED, detail, status=event.code)
                    self._report(self.error)
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
            self._observer.received(None, publication, live=live)
            self.peer.on_publication(channel, data, at)
            return
        if envelope.client_id != self.peer.client_id:
            self._observer.received(envelope, publication, live=live)
            if live:
                self.peer.on_publication(channel, envelope, at)

    def _replied(self, event: Replied) -> None:
        step, publish = self._commands.pop(event.id, (None, None))
        if step is not None:
            self._observer.step_completed(self.side, step, event.at - event.took, event.at)
        if event.error is None:
            if publish is not None:
                self.publish_error = None
                self._observer.acked(publish)
                self.peer.on_published(publish.message_id, ok=True, now=event.at)
            return
        if step is None:
            if not isinstance(event.command, Subscribe) or self.client.wants(event.command.channel):
                return  # a hello or an automatic resubscription: the drop or the retry that follows reports it
            step = Step.SUBSCRIBE
        error = obstacles.of_error(step, event.error, self.client.endpoint)
        if publish is not None:
            self.publish_error = error
            self.peer.on_published(publish.message_id, ok=False, now=event.at)
        else:
            self._subscription_failed(error)

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
            self.publish_error = error
            self.peer.on_published(publish.message_id, ok=False, now=event.at)
        elif event.silent:
            self._subscription_failed(error)

    def _subscription_failed(self, error: ProbeError) -> None:
        """Handle a failed subscription or history, which only a new connection would request again."""
        if self._persistent:
            self._evicted, self.error = True, error  # the pair is replaced at the pace of rebuilds
        self._report(error)

    def _history(self, event: HistoryRead) -> None:
        step, _ = self._commands.pop(event.id, (Step.HISTORY, None))
        self._observer.step_completed(self.side, step, event.at - event.took, event.at)
        for publication in event.publications:
            self._publication(publication, live=False)
        self._observer.history_read(self.side, event)
        self._read.add(event.channel)
        self.peer.on_history(event.channel, [publication.data for publication in event.publications], event.at)

    def _dropped(self, event: Dropped) -> None:
        step = self._interrupted or self.step or (self._wait.step if self._wait is not None else Step.HOLD)
        self._interrupted = None
        self.error = self.client.error or obstacles.of_drop(step, event, self.client.endpoint)
        self._commands.clear()
        self._read.clear()
        if self.ready:
            self._observer.dropped(event.code)
        self.peer.on_disconnected(event.at)
        if self._opening is None and (event.reconnect_at is None or not self._persistent):
            self._report(self.error)

    # Actions and notices of the peer.

    def _pump(self, *, state_changed: bool = True) -> None:
        """Execute the actions of the peer and handle its notices, until there are no more.

        Messages alone, sent and received, change neither its state nor its timers.
        """
        while True:
            actions_, notices_ = self.peer.drain()
            more = False
            for action in actions_:
                state_changed = state_changed or type(action) is not actions.Publish
                more = not self._execute(action) or more
            for notice in notices_:
                state_changed = state_changed or type(notice) is not notices.MessageReceived
                self._handle_notice(notice)
            if not more:
                break  # an executed action emits nothing, nor does a notice
        if state_changed:
            self._update_ready()
            self._arm()
        if self._wait is not None:
            done, future, _ = self._wait
            if not future.done() and done():
                future.set_result(None)

    def _execute(self, action: actions.Action) -> bool:
        """Execute an action; return False if it failed at once and the peer was notified."""
        match action:
            case actions.Publish():
                if not self.client.connected or not self._observer.admit_message(self.side, action):
                    self.peer.on_published(action.message_id, ok=False, now=self._clock.monotonic())
                    self._arm()
                    return False
                command = Publish(channel=action.key.channel, data=action.data)
                identifier = self.client.command(command, partial(self._observer.sent, action))
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

    def _handle_notice(self, notice: notices.Notice) -> None:
        match notice:
            case notices.MessageReceived():
                self._observer.delivered(self.side, notice, self._clock.monotonic())
            case notices.Failed():
                self._report(of_protocol(notice.error, self.publish_error))
            case notices.Undecryptable():
                step = self._wait.step if self._wait is not None else Step.DELIVER
                self._report(ProbeError(step, Reason.UNDECRYPTABLE, "equal bytes, but they do not decrypt"))

    async def _open(self) -> None:
        try:
            await self.client.open()
        except ProbeError as error:
            self.error = error
            self._report(error)
        else:
            if self.client.closed and self.error is not None:
                self._report(self.error)  # the reply to the hello and the drop arrived together
        finally:
            self._opening = None

    # State.

    def _update_ready(self) -> None:
        ready = self.client.connected and self.peer.is_connected and self.peer.channels <= self._read
        if ready:
            self.error = None
        if ready is not self.ready:
            self.ready = ready
            self._observer.ready_changed()

    def _report(self, error: ProbeError) -> None:
        error.seen_at(self.client.endpoint).noticed_by(self.side)
        if self._wait is not None and not self._wait.future.done():
            self._wait.future.set_exception(error)
        else:
            if not self.ready and self.error is None:
                self.error = error  # for a wait that times out at this moment
            self._observer.on_error(self.side, error)

    def _arm(self) -> None:
        due = self.peer.deadline()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None:
            delay = max(0.0, due - self._clock.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._tick, due)

    def _tick(self, due: float) -> None:
        self._timer = None
        # A timer may fire early by the resolution of the loop's clock.
        self.peer.tick(max(due, self._clock.monotonic()))
        self._pump()
