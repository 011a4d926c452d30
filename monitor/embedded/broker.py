"""Streams and subscribers of a relay, without I/O. `now` is seconds of a monotonic clock."""

from __future__ import annotations

import random
import string
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from monitor.embedded.namespaces import split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.embedded.namespaces import Namespace

MAX_IDLE: Final = 20_000
"""Largest number of streams without a subscriber; the least recently used one is dropped, as if its metadata had
expired. The number of clients and of channels per client bounds the others."""

MAX_STORED: Final = 64 << 20
"""Largest total of stored publications, in characters; the least recently published stream loses its history."""


class Item(NamedTuple):
    """One stored publication. `data` is the published JSON text, `info` that of its publisher."""

    offset: int
    data: str
    info: str
    expires: float


class Subscriber(Protocol):
    """Receiver of a channel's publications."""

    def push(self, channel: str, item: Item, epoch: str) -> None:
        """Receive a publication."""


@dataclass(slots=True)
class Stream:
    """The stream of one channel: `epoch` identifies it, `offset` counts its publications."""

    namespace: Namespace
    epoch: str
    offset: int = 0
    items: deque[Item] = field(default_factory=deque)
    subscribers: dict[Subscriber, None] = field(default_factory=dict)  # in the order of subscription

    def expired(self, now: float) -> bool:
        """Return True if its history has expired. Each publication restarts the TTL of all, as they share one key."""
        return bool(self.items) and self.items[-1].expires <= now


class Broker:
    """All channels of one relay."""

    def __init__(
        self,
        namespaces: Sequence[Namespace],
        rng: random.Random | None = None,
        *,
        max_idle: int = MAX_IDLE,
        max_stored: int = MAX_STORED,
    ) -> None:
        self.stored = 0
        self._namespaces = {namespace.name: namespace for namespace in namespaces}
        self._rng = rng or random.Random()  # noqa: S311 - epochs are not secret
        self._max_idle, self._max_stored = max_idle, max_stored
        self._streams: dict[str, Stream] = {}
        self._idle: OrderedDict[str, None] = OrderedDict()  # without subscribers, least recently used first
        self._filled: OrderedDict[str, None] = OrderedDict()  # with publications, least recently published first
        self.sides: dict[str, str] = {}  # side of each client that named one, for faults of one side

    @property
    def streams(self) -> int:
        """Number of streams."""
        return len(self._streams)

    def namespace(self, channel: str) -> Namespace | None:
        """Return the namespace of a channel, or None."""
        name, _ = split(channel)
        return self._namespaces.get(name)

    def stream(self, channel: str, now: float) -> Stream:
        """Return the stream of a channel, created if needed. Raises KeyError for an unknown namespace."""
        stream = self._streams.get(channel)
        if stream is None:
            namespace = self.namespace(channel)
            if namespace is None:
                raise KeyError(channel)
            stream = Stream(namespace, "".join(self._rng.choices(string.ascii_letters, k=8)))
            self._streams[channel] = stream
        elif stream.expired(now):
            self._clear(channel)
        if not stream.subscribers:
            self._mark_idle(channel)
        return stream

    def publish(self, channel: str, data: str, info: str, now: float) -> None:
        """Store a publication and push it to every subscriber."""
        stream = self.stream(channel, now)
        stream.offset += 1
        item = Item(stream.offset, data, info, now + stream.namespace.ttl)
        self._store(channel, stream, item, now)
        for subscriber in list(stream.subscribers):
            subscriber.push(channel, item, stream.epoch)

    def since(self, channel: str, epoch: str, offset: int, now: float) -> list[Item] | None:
        """Return the publications after a position, or None if the history no longer reaches it."""
        stream = self.stream(channel, now)
        if epoch not in {"", stream.epoch} or offset > stream.offset:
            return None
        missed = [item for item in stream.items if item.offset > offset]
        return missed if len(missed) == stream.offset - offset else None

    def subscribe(self, channel: str, subscriber: Subscriber, now: float) -> Stream:
        """Add a subscriber."""
        stream = self.stream(channel, now)
        stream.subscribers[subscriber] = None
        self._idle.pop(channel, None)
        return stream

    def unsubscribe(self, channel: str, subscriber: Subscriber) -> None:
        """Remove a subscriber."""
        if (stream := self._streams.get(channel)) is not None:
            stream.subscribers.pop(subscriber, None)
            if not stream.subscribers:
                self._mark_idle(channel)

    def forget(self, channel: str) -> None:
        """Reset a channel's stream, as after a loss of the server's memory: a new epoch and an empty history."""
        if (stream := self._streams.get(channel)) is not None:
            self._clear(channel)
            stream.epoch, stream.offset = "".join(self._rng.choices(string.ascii_letters, k=8)), 0

    def other_channel(self, channel: str) -> tuple[str, Stream, Subscriber] | None:
        """Return another subscribed channel of the same namespace, its stream and a subscriber, or None."""
        namespace, _ = split(channel)
        return next(
            (
                (name, stream, next(iter(stream.subscribers)))
                for name, stream in self._streams.items()
                if stream.subscribers and name != channel and split(name)[0] == namespace
            ),
            None,
        )

    def _mark_idle(self, channel: str) -> None:
        """Mark a stream without subscribers as just used, and drop the least recently used one above the limit."""
        self._idle[channel] = None
        self._idle.move_to_end(channel)
        if len(self._idle) > self._max_idle:
            forgotten, _ = self._idle.popitem(last=False)
            self._clear(forgotten)
            del self._streams[forgotten]

    def _store(self, channel: str, stream: Stream, item: Item, now: float) -> None:
        stream.items.append(item)
        self.stored += len(item.data)
        if len(stream.items) > stream.namespace.size:
            self.stored -= len(stream.items.popleft().data)
        self._filled[channel] = None
        self._filled.move_to_end(channel)
        # Oldest first: expired histories, and those above the limit.
        while self._filled:
            oldest = next(iter(self._filled))
            if self.stored <= self._max_stored and not self._streams[oldest].expired(now):
                return
            self._clear(oldest)

    def _clear(self, channel: str) -> None:
        items = self._streams[channel].items
        self.stored -= sum(len(item.data) for item in items)
        items.clear()
        self._filled.pop(channel, None)
