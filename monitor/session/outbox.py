"""Outgoing messages: a queue, one in flight, each published up to five times."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from monitor.errors import ErrorCode, TransportError
from monitor.session.actions import Publish
from monitor.session.envelope import encode
from monitor.session.notices import MessageKey

if TYPE_CHECKING:
    from monitor.session.store import TransportStore

ATTEMPTS: Final = 5
FIRST_DELAY: Final = 0.1
"""Seconds before the first retry; the delay doubles with each further one."""

MAX_QUEUED: Final = 1000


class Outbox:
    """A queue of messages. The next one is published once the relay has accepted the previous one."""

    def __init__(self, store: TransportStore) -> None:
        self.ready = False  # `next` has a message
        self._store = store
        self._queue: deque[Publish] = deque()
        self._in_flight = False
        self._attempts = 0
        self._retry_at: float | None = None
        self._last_id = 0

    def put(self, channel: str, payload: str) -> int:
        """Queue a payload and return its message id. Raises `TransportError` if the queue is full."""
        if len(self._queue) >= MAX_QUEUED:
            raise TransportError(ErrorCode.TRANSPORT_PUBLISH_FAILED, f"{MAX_QUEUED} messages are queued already")
        self._last_id += 1
        client_id, nonce = self._store.client_id, self._store.next_nonce(channel)
        data = encode(client_id, nonce, payload)
        self._queue.append(Publish(MessageKey(channel, client_id, nonce), data, self._last_id))
        self.ready = not self._in_flight and self._retry_at is None
        return self._last_id

    def next(self) -> Publish | None:
        """Return the message to publish now, or None."""
        if not self.ready:
            return None
        self.ready, self._in_flight = False, True
        return self._queue[0]

    def published(self, message_id: int, *, ok: bool, now: float) -> Publish | None:
        """The relay accepted (`ok`) or refused a message. Return the message if no retry is left."""
        if not self._in_flight or self._queue[0].message_id != message_id:
            return None
        self._in_flight = False
        if not ok:
            self._attempts += 1
            if self._attempts < ATTEMPTS:
                self._retry_at = now + FIRST_DELAY * 2 ** (self._attempts - 1)
                return None
        self._attempts = 0
        message = self._queue.popleft()
        self.ready = bool(self._queue)
        return None if ok else message

    def tick(self, now: float) -> None:
        """Make a retry ready that is due."""
        if self._retry_at is not None and now >= self._retry_at:
            self._retry_at, self.ready = None, True

    def deadline(self) -> float | None:
        """Time of the next retry, or None."""
        return self._retry_at

    def clear(self) -> None:
        """Discard all queued messages."""
        self._queue.clear()
        self.ready, self._in_flight, self._attempts, self._retry_at = False, False, 0, None
