"""What dApp and wallet have in common: one session, one relay connection, messages in and out.

Inputs are methods named `on_…`, called with what the relay did; each returns nothing. What the peer wants and what
happened is taken with `take()` afterwards. `now` is seconds of one monotonic clock; expiry goes by
the wall clock of `clock`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from monitor.errors import CryptoError, ErrorCode, SessionError, TransportError, WalletProtocolError
from monitor.session import messages
from monitor.session.actions import Action, Close, Connect, FetchHistory, Subscribe, Unsubscribe
from monitor.session.envelope import Envelope, decode
from monitor.session.inbox import Inbox
from monitor.session.notices import Connected, Failed, MessageKey, MessageReceived, Notice, ParseFailed, Undecryptable
from monitor.session.outbox import Outbox
from monitor.session.store import Session, SessionStore, TransportStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitor.clock import Clock
    from monitor.session.crypto import KeyManager, KeyPair
    from monitor.session.store import KeyValueStore

HISTORY_LIMIT: Final = 50
"""Publications asked for after each subscription, as many as the protocol's own clients ask for."""


_NOTHING: Final = ((), ())


class State(Enum):
    """Where a peer stands, in the protocol's words."""

    DISCONNECTED = "DISCONNECTED"
    CONNECTING = "CONNECTING"
    CONNECTED = "CONNECTED"


class Peer:
    """One side of a session. See `Dapp` and `Wallet`.

    `history` publications are asked for after each subscription; they come oldest first, so that fewer than the relay
    keeps leave out the newest.
    """

    def __init__(self, *, store: KeyValueStore, keys: KeyManager, clock: Clock, history: int = HISTORY_LIMIT) -> None:
        self.state = State.DISCONNECTED
        self.session: Session | None = None
        self.channels: set[str] = set()  # wanted
        self._keys = keys
        self._clock = clock
        self._history = history
        self._sessions = SessionStore(store, self._now_ms())
        self._transport = TransportStore(store)
        self._inboxes: dict[str, Inbox] = {}
        self._outbox = Outbox(self._transport)
        self._online = False
        self._subscribed: set[str] = set()
        self._actions: list[Action] = []
        self._notices: list[Notice] = []

    @property
    def client_id(self) -> str:
        """This client's id in its envelopes."""
        return self._transport.client_id

    @property
    def is_connected(self) -> bool:
        """Whether the session stands."""
        return self.state is State.CONNECTED

    def take(self) -> tuple[Sequence[Action], Sequence[Notice]]:
        """What is to be done now, and what happened since the last call, each in order."""
        if self._outbox.ready and self._online and (publish := self._outbox.next()) is not None:
            self._actions.append(publish)
        if not self._actions and not self._notices:
            return _NOTHING
        taken = self._actions, self._notices
        self._actions, self._notices = [], []
        return taken

    # What an application asks for.

    def resume(self, session_id: str) -> None:
        """Take up a stored session again. Raises `SessionError` or `CryptoError`."""
        self._require(State.DISCONNECTED, "resume")
        session = self._sessions.get(session_id, self._now_ms())
        if session is None:
            raise SessionError(ErrorCode.SESSION_NOT_FOUND, "session not found or expired")
        self._keys.validate_peer_key(session.their_public_key)
        self.session = session
        self.state = State.CONNECTING
        self._actions.append(Connect())
        self._want(session.channel)

    def send_message(self, payload: Any) -> int:
        """Send a JSON value to the other side; returns the message's id. Raises `SessionError`, `TransportError`."""
        if self.session is None or self.state is not State.CONNECTED:
            raise SessionError(ErrorCode.SESSION_INVALID_STATE, f"cannot send when {self.state.value}")
        if self._expired():
            raise SessionError(ErrorCode.SESSION_EXPIRED, "session expired")
        return self._send(self.session.channel, messages.AppMessage(payload))

    def disconnect(self) -> None:
        """End the session for good: forget it, and close."""
        session, self.session = self.session, None
        self.state = State.DISCONNECTED
        self._outbox.clear()
        for channel in list(self.channels):
            self._drop_channel(channel)
        if session is not None:
            self._sessions.delete(session.id)
        self._online = False
        self._actions.append(Close())

    # What the relay did.

    def on_connected(self, now: float) -> None:
        """The relay said hello."""
        del now
        self._online = True
        self._actions += [Subscribe(channel) for channel in self.channels if channel not in self._inboxes]
        for channel in self.channels:
            self._inboxes.setdefault(channel, Inbox(channel, self._transport))

    def on_disconnected(self, now: float) -> None:
        """The connection dropped; if it comes back, the channels do too."""
        del now
        self._online = False
        self._subscribed.clear()

    def on_subscribed(self, channel: str, now: float) -> None:
        """A channel is subscribed, for the first time or again."""
        del now
        self._online = True
        if (inbox := self._inboxes.get(channel)) is None:
            return  # left in the meantime
        inbox.subscribed()
        self._subscribed.add(channel)
        self._actions.append(FetchHistory(channel, self._history))
        self._on_channel(channel)

    def on_publication(self, channel: str, data: Envelope | Any, now: float) -> None:
        """A publication came live; `data` as it came, or decoded already."""
        inbox = self._inboxes.get(channel)
        envelope = data if isinstance(data, Envelope) else self._decode(channel, data)
        if inbox is not None and envelope is not None and inbox.live(envelope):
            self._take(channel, envelope, False, now)  # noqa: FBT003 - see `_take`

    def on_history(self, channel: str, data: Iterable[Any], now: float) -> None:
        """The history of a channel came, oldest first."""
        if (inbox := self._inboxes.get(channel)) is None:
            return
        envelopes = [envelope for item in data if (envelope := self._decode(channel, item)) is not None]
        for accepted, dropped in inbox.history(envelopes):
            self._take(channel, accepted, dropped, now)

    def on_published(self, message_id: int, *, ok: bool, now: float) -> None:
        """The relay accepted a message, or did not, or did not answer."""
        given_up = self._outbox.answered(message_id, ok=ok, now=now)
        if given_up is not None:
            detail = f"message {given_up.key.nonce} was not accepted in five tries"
            self._notices.append(Failed(TransportError(ErrorCode.TRANSPORT_PUBLISH_FAILED, detail)))
        if ok:
            self._on_accepted(message_id)

    def tick(self, now: float) -> None:
        """Time passed."""
        self._outbox.tick(now)

    def deadline(self) -> float | None:
        """When `tick` is due at the latest."""
        return self._outbox.deadline()

    # For the two sides.

    def _on_channel(self, channel: str) -> None:
        """A channel is subscribed; by default that is all a resumed session needs."""
        if self.session is not None and channel == self.session.channel and self.state is State.CONNECTING:
            self._stand()

    def _on_accepted(self, message_id: int) -> None:
        """The relay accepted a message."""

    def _on_protocol(self, message: messages.Offer | messages.Ack, now: float) -> None:
        """A message of the pairing came."""

    def _stand(self) -> None:
        assert self.session is not None
        self.state = State.CONNECTED
        self._notices.append(Connected(self.session))

    def _fail(self, error: WalletProtocolError) -> None:
        """A pairing came to nothing."""
        self.disconnect()
        self._notices.append(Failed(error))

    def _want(self, channel: str) -> None:
        self.channels.add(channel)
        if self._online and channel not in self._inboxes:
            self._inboxes[channel] = Inbox(channel, self._transport)
            self._actions.append(Subscribe(channel))

    def _drop_channel(self, channel: str) -> None:
        """Leave a channel and forget its counts."""
        self.channels.discard(channel)
        self._subscribed.discard(channel)
        self._transport.clear(channel)
        if self._inboxes.pop(channel, None) is not None and self._online:
            self._actions.append(Unsubscribe(channel))

    def _send(self, channel: str, message: messages.Message) -> int:
        assert self.session is not None
        payload = self._keys.encrypt(messages.encode(message), self.session.their_public_key)
        return self._outbox.put(channel, payload)

    def _decode(self, channel: str, data: Any) -> Envelope | None:
        try:
            return decode(data)
        except WalletProtocolError as error:
            self._notices.append(ParseFailed(channel, error))
            return None

    def _take(self, channel: str, envelope: Envelope, reference_dropped: bool, now: float) -> None:  # noqa: FBT001
        key = MessageKey(channel, envelope.client_id, envelope.nonce)
        keys = self._own_keys()
        if keys is None:
            return
        if self._expired():
            self._notices.append(Failed(SessionError(ErrorCode.SESSION_EXPIRED, "session expired")))
            return
        try:
            message = messages.decode(self._keys.decrypt(envelope.payload, keys.private_key))
        except (CryptoError, SessionError) as error:
            self._notices.append(Undecryptable(key, error))
            return
        if not isinstance(message, messages.AppMessage):
            self._on_protocol(message, now)
        elif self.state is State.CONNECTED or self.session is not None:
            self._notices.append(MessageReceived(message.payload, key, reference_dropped))

    def _own_keys(self) -> KeyPair | None:
        return self.session.keys if self.session is not None else None

    def _expired(self) -> bool:
        """Whether the session has expired; if so it is ended."""
        if self.session is None or self.session.expires_at_ms + 1 > self._clock.time() * 1000:
            return False
        self.disconnect()
        return True

    def _require(self, state: State, what: str) -> None:
        if self.state is not state:
            raise SessionError(ErrorCode.SESSION_INVALID_STATE, f"cannot {what} when {self.state.value}")

    def _now_ms(self) -> int:
        return int(self._clock.time() * 1000)
