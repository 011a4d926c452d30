"""The part that dApp and wallet share: one session over one relay connection.

The owner of the connection calls the `on_…` methods with the relay's events, then reads actions and notices with
`drain()`. `now` is seconds of a monotonic clock; expiry uses the wall clock of `clock`.
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
"""Publications requested after each subscription, as by the protocol's own clients."""


_NOTHING: Final = ((), ())


class State(Enum):
    """State of a peer, named as in the protocol."""

    DISCONNECTED = "DISCONNECTED"
    CONNECTING = "CONNECTING"
    CONNECTED = "CONNECTED"


class Peer:
    """One side of a session. See `Dapp` and `Wallet`.

    `history` is the number of publications requested after each subscription. The relay returns the oldest first, so a
    number below its history size would miss the newest.
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
        """Client id in this peer's envelopes."""
        return self._transport.client_id

    @property
    def is_connected(self) -> bool:
        """True while the session is established and its channel subscribed."""
        return self.state is State.CONNECTED

    def drain(self) -> tuple[Sequence[Action], Sequence[Notice]]:
        """Return the actions to carry out and the notices since the last call, each in order."""
        if self._outbox.ready and self._online and (publish := self._outbox.next()) is not None:
            self._actions.append(publish)
        if not self._actions and not self._notices:
            return _NOTHING
        drained = self._actions, self._notices
        self._actions, self._notices = [], []
        return drained

    # Calls of the application.

    def resume(self, session_id: str) -> None:
        """Resume a stored session. Raises `SessionError` or `CryptoError`."""
        self._require(State.DISCONNECTED, "resume")
        session = self._sessions.get(session_id, self._now_ms())
        if session is None:
            raise SessionError(ErrorCode.SESSION_NOT_FOUND, "session not found or expired")
        self._keys.validate_peer_key(session.their_public_key)
        self.session = session
        self.state = State.CONNECTING
        self._actions.append(Connect())
        self._join(session.channel)

    def send_message(self, payload: Any) -> int:
        """Send a JSON value to the other side and return the message's id. Raises `SessionError`, `TransportError`."""
        if self.session is None or self.state is not State.CONNECTED:
            raise SessionError(ErrorCode.SESSION_INVALID_STATE, f"cannot send when {self.state.value}")
        if self._expired():
            raise SessionError(ErrorCode.SESSION_EXPIRED, "session expired")
        return self._send(self.session.channel, messages.AppMessage(payload))

    def disconnect(self) -> None:
        """Delete the session and close the connection."""
        session, self.session = self.session, None
        self.state = State.DISCONNECTED
        self._outbox.clear()
        for channel in list(self.channels):
            self._drop_channel(channel)
        if session is not None:
            self._sessions.delete(session.id)
        self._online = False
        self._actions.append(Close())

    # Events of the relay.

    def on_connected(self, now: float) -> None:
        """The connection to the relay is established."""
        del now
        self._online = True
        self._actions += [Subscribe(channel) for channel in self.channels if channel not in self._inboxes]
        for channel in self.channels:
            self._inboxes.setdefault(channel, Inbox(channel, self._transport))

    def on_disconnected(self, now: float) -> None:
        """The connection dropped. After a reconnect the channels are subscribed again."""
        del now
        self._online = False
        self._subscribed.clear()

    def on_subscribed(self, channel: str, now: float) -> None:
        """A channel is subscribed, for the first time or again."""
        del now
        self._online = True
        if (inbox := self._inboxes.get(channel)) is None:
            return  # unsubscribed meanwhile
        inbox.subscribed()
        self._subscribed.add(channel)
        self._actions.append(FetchHistory(channel, self._history))
        self._on_channel(channel)

    def on_publication(self, channel: str, data: Envelope | Any, now: float) -> None:
        """A live publication arrived; `data` is raw or a decoded envelope."""
        inbox = self._inboxes.get(channel)
        envelope = data if isinstance(data, Envelope) else self._decode(channel, data)
        if inbox is not None and envelope is not None and inbox.receive_live(envelope):
            self._accept(channel, envelope, False, now)  # noqa: FBT003 - see `_accept`

    def on_history(self, channel: str, data: Iterable[Any], now: float) -> None:
        """The history of a channel arrived, oldest first."""
        if (inbox := self._inboxes.get(channel)) is None:
            return
        envelopes = [envelope for item in data if (envelope := self._decode(channel, item)) is not None]
        for accepted, dropped in inbox.receive_history(envelopes):
            self._accept(channel, accepted, dropped, now)

    def on_published(self, message_id: int, *, ok: bool, now: float) -> None:
        """The relay accepted a message (`ok`), refused it, or did not reply."""
        given_up = self._outbox.published(message_id, ok=ok, now=now)
        if given_up is not None:
            detail = f"message {given_up.key.nonce} was not accepted in five tries"
            self._notices.append(Failed(TransportError(ErrorCode.TRANSPORT_PUBLISH_FAILED, detail)))
        if ok:
            self._on_accepted(message_id)

    def tick(self, now: float) -> None:
        """Handle deadlines that have passed."""
        self._outbox.tick(now)

    def deadline(self) -> float | None:
        """Time at which `tick` is due, or None."""
        return self._outbox.deadline()

    # Hooks of the two sides.

    def _on_channel(self, channel: str) -> None:
        """A channel is subscribed, which completes a resume."""
        if self.session is not None and channel == self.session.channel and self.state is State.CONNECTING:
            self._set_connected()

    def _on_accepted(self, message_id: int) -> None:
        """The relay accepted a message."""

    def _on_protocol(self, message: messages.Offer | messages.Ack, now: float) -> None:
        """A message of the pairing arrived."""

    def _set_connected(self) -> None:
        assert self.session is not None
        self.state = State.CONNECTED
        self._notices.append(Connected(self.session))

    def _fail(self, error: WalletProtocolError) -> None:
        """End a pairing that failed."""
        self.disconnect()
        self._notices.append(Failed(error))

    def _join(self, channel: str) -> None:
        self.channels.add(channel)
        if self._online and channel not in self._inboxes:
            self._inboxes[channel] = Inbox(channel, self._transport)
            self._actions.append(Subscribe(channel))

    def _drop_channel(self, channel: str) -> None:
        """Unsubscribe from a channel and delete its nonces."""
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

    def _accept(self, channel: str, envelope: Envelope, reference_dropped: bool, now: float) -> None:  # noqa: FBT001
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
        """Return True, and end the session, if it has expired."""
        if self.session is None or self.session.expires_at_ms + 1 > self._clock.time() * 1000:
            return False
        self.disconnect()
        return True

    def _require(self, state: State, what: str) -> None:
        if self.state is not state:
            raise SessionError(ErrorCode.SESSION_INVALID_STATE, f"cannot {what} when {self.state.value}")

    def _now_ms(self) -> int:
        return int(self._clock.time() * 1000)
