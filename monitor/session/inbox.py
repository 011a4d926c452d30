"""Incoming messages of one channel: each once, in the order they were sent, across an absence.

After each `subscribed` the history is read and goes through the same de-duplication as what comes live. One thing
differs from the protocol's own client: what comes live while the history is being read waits for it. That client takes
a live message at once, and then drops the older ones that the history brings, because their nonces are lower. The
inbox keeps its account too, and says of each message whether that client would have dropped it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitor.session.envelope import Envelope
    from monitor.session.store import TransportStore

MAX_WAITING = 1000
MAX_WAITING_SIZE = 4 << 20
"""Live messages, and characters of their payloads, kept while the history is being read."""


class Inbox:
    """De-duplication and history replay for one channel."""

    def __init__(self, channel: str, store: TransportStore) -> None:
        self._channel = channel
        self._store = store
        self._waiting: list[Envelope] | None = []  # None: the history is read, live messages pass at once
        self._waiting_size = 0
        self._reference: dict[str, int] = dict(store.latest(channel))
        self._reference_took: set[tuple[str, int]] = set()

    def subscribed(self) -> None:
        """The channel is subscribed, for the first time or again: its history comes next."""
        if self._waiting is None:
            self._waiting = []

    def live(self, envelope: Envelope) -> bool:
        """Whether a live message is to be passed on: it is new, and the history is not still being read."""
        if envelope.client_id == self._store.client_id:
            return False
        if self._waiting is None:
            return self._store.accept(self._channel, envelope.client_id, envelope.nonce)
        size = self._waiting_size + len(envelope.payload)
        if len(self._waiting) < MAX_WAITING and size <= MAX_WAITING_SIZE:
            self._waiting_size = size
            self._refer(envelope)
            self._waiting.append(envelope)
        return False

    def history(self, envelopes: Iterable[Envelope]) -> Iterator[tuple[Envelope, bool]]:
        """The history came: what is new of it, then what waited; each with whether the reference would drop it."""
        waiting, self._waiting, self._waiting_size = self._waiting or [], None, 0
        stored = [envelope for envelope in envelopes if envelope.client_id != self._store.client_id]
        for envelope in stored:
            self._refer(envelope)
        for envelope in (*stored, *waiting):
            if self._store.accept(self._channel, envelope.client_id, envelope.nonce):
                yield envelope, (envelope.client_id, envelope.nonce) not in self._reference_took
        self._reference = dict(self._store.latest(self._channel))
        self._reference_took.clear()

    def _refer(self, envelope: Envelope) -> None:
        """What the protocol's own client would do with it now."""
        if envelope.nonce > self._reference.get(envelope.client_id, 0):
            self._reference[envelope.client_id] = envelope.nonce
            self._reference_took.add((envelope.client_id, envelope.nonce))
