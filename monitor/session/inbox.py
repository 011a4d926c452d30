"""De-duplication and history replay for one channel: each message once, in the order of sending.

After each subscription the history is read and passes the same de-duplication as live messages. Live messages that
arrive meanwhile are buffered. The protocol's reference client passes them on at once, and then drops older messages
that arrive by the history, because their nonces are lower; the inbox reports for each message whether that client
would have dropped it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitor.session.envelope import Envelope
    from monitor.session.store import TransportStore

MAX_BUFFERED_MESSAGES = 1000
MAX_BUFFERED_CHARACTERS = 4 << 20
"""Limits of the buffer for live messages, in messages and characters of their payloads."""


class Inbox:
    """De-duplication and history replay for one channel."""

    def __init__(self, channel: str, store: TransportStore) -> None:
        self._channel = channel
        self._store = store
        self._buffered: list[Envelope] | None = []  # None once the history was read
        self._buffered_size = 0
        self._reference: dict[str, int] = dict(store.latest(channel))
        self._reference_accepted: set[tuple[str, int]] = set()

    def subscribed(self) -> None:
        """The channel was subscribed; its history is read next."""
        if self._buffered is None:
            self._buffered = []

    def receive_live(self, envelope: Envelope) -> bool:
        """Return True if a live message is to be delivered now: it is new, and the history was read."""
        if envelope.client_id == self._store.client_id:
            return False
        if self._buffered is None:
            return self._store.accept(self._channel, envelope.client_id, envelope.nonce)
        size = self._buffered_size + len(envelope.payload)
        if len(self._buffered) < MAX_BUFFERED_MESSAGES and size <= MAX_BUFFERED_CHARACTERS:
            self._buffered_size = size
            self._track_reference(envelope)
            self._buffered.append(envelope)
        return False

    def receive_history(self, envelopes: Iterable[Envelope]) -> Iterator[tuple[Envelope, bool]]:
        """Yield the new messages of the history, then the buffered ones, each with `reference_dropped`."""
        buffered, self._buffered, self._buffered_size = self._buffered or [], None, 0
        stored = [envelope for envelope in envelopes if envelope.client_id != self._store.client_id]
        for envelope in stored:
            self._track_reference(envelope)
        for envelope in (*stored, *buffered):
            if self._store.accept(self._channel, envelope.client_id, envelope.nonce):
                yield envelope, (envelope.client_id, envelope.nonce) not in self._reference_accepted
        self._reference = dict(self._store.latest(self._channel))
        self._reference_accepted.clear()

    def _track_reference(self, envelope: Envelope) -> None:
        """Record what the reference client would accept."""
        if envelope.nonce > self._reference.get(envelope.client_id, 0):
            self._reference[envelope.client_id] = envelope.nonce
            self._reference_accepted.add((envelope.client_id, envelope.nonce))
