"""Streams and subscribers: what a relay keeps between its clients. No I/O; `now` is seconds of one monotonic clock."""

from __future__ import annotations

import random
import string
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.embedded.namespaces import Namespace

MAX_CHANNELS = 20_000
"""Streams kept at once; past it the one unused for longest is forgotten, as if its metadata had expired."""


class Item(NamedTuple):
    """One stored publication: `data` is the JSON text that was published, `info` the publisher's, as JSON text."""

    offset: int
    data: str
    info: str
    expires: float


class Subscriber(Protocol):
    """Who gets a channel's publications."""

    def push(self, channel: str, item: Item, epoch: str) -> None:
        """A publication came."""


@dataclass(slots=True)
class Stream:
    """One channel: `epoch` names this life of the stream, `offset` counts its publications."""

    namespace: Namespace
    epoch: str
    offset: int = 0
    items: deque[Item] = field(default_factory=deque)
    subscribers: dict[Subscriber, None] = field(default_factory=dict)  # in the order they came

    def expire(self, now: float) -> None:
        """Forget what is past its time. A publication restarts the time of all: they share one key's expiry."""
        if self.items and self.items[-1].expires <= now:
            self.items.clear()


class Broker:
    """Every channel of one relay."""

    def __init__(self, namespaces: Sequence[Namespace], rng: random.Random | None = None) -> None:
        self._namespaces = {namespace.name: namespace for namespace in namespaces}
        self._rng = rng or random.Random()  # noqa: S311 - names of streams, no secret
        self._streams: OrderedDict[str, Stream] = OrderedDict()

    def namespace(self, channel: str) -> Namespace | None:
        """The namespace a channel belongs to, by what stands before its colon."""
        return self._namespaces.get(channel.partition(":")[0]) if ":" in channel else None

    def stream(self, channel: str, now: float) -> Stream:
        """The stream of a channel whose namespace is known; made where there is none."""
        stream = self._streams.get(channel)
        if stream is None:
            namespace = self.namespace(channel)
            if namespace is None:
                raise KeyError(channel)
            stream = Stream(namespace, "".join(self._rng.choices(string.ascii_letters, k=8)))
            self._streams[channel] = stream
            self._bound()
        else:
            self._streams.move_to_end(channel)
            stream.expire(now)
        return stream

    def publish(self, channel: str, data: str, info: str, now: float) -> None:
        """Store a publication and push it to every subscriber."""
        stream = self.stream(channel, now)
        stream.offset += 1
        item = Item(stream.offset, data, info, now + stream.namespace.ttl)
        stream.items.append(item)
        if len(stream.items) > stream.namespace.size:
            stream.items.popleft()
        for subscriber in list(stream.subscribers):
            subscriber.push(channel, item, stream.epoch)

    def since(self, channel: str, epoch: str, offset: int, now: float) -> list[Item] | None:
        """What was published after a position; None where that cannot be told any more."""
        stream = self.stream(channel, now)
        if epoch not in {"", stream.epoch} or offset > stream.offset:
            return None
        missed = [item for item in stream.items if item.offset > offset]
        return missed if len(missed) == stream.offset - offset else None

    def subscribe(self, channel: str, subscriber: Subscriber, now: float) -> Stream:
        """Add a subscriber."""
        stream = self.stream(channel, now)
        stream.subscribers[subscriber] = None
        return stream

    def unsubscribe(self, channel: str, subscriber: Subscriber) -> None:
        """Remove a subscriber."""
        if (stream := self._streams.get(channel)) is not None:
            stream.subscribers.pop(subscriber, None)

    def _bound(self) -> None:
        for channel in list(self._streams):
            if len(self._streams) <= MAX_CHANNELS:
                return
            if not self._streams[channel].subscribers:
                del self._streams[channel]
