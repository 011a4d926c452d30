"""Streams and subscribers: what a relay keeps between its clients. No I/O; `now` is seconds of one monotonic clock."""

from __future__ import annotations

import random
import string
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.embedded.namespaces import Namespace

MAX_IDLE: Final = 20_000
"""Streams without a subscriber kept at once; past it the one unused for longest is forgotten, as if its metadata had
expired. Those with subscribers are bounded by the clients there may be, and the channels a client may have."""

MAX_STORED: Final = 64 << 20
"""Characters of publications kept at once; past it the stream that was published to longest ago loses its history."""


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

    def expired(self, now: float) -> bool:
        """Whether all it keeps is past its time: a publication restarts the time of all, as they share one key."""
        return bool(self.items) and self.items[-1].expires <= now


class Broker:
    """Every channel of one relay."""

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
        self._rng = rng or random.Random()  # noqa: S311 - names of streams, no secret
        self._max_idle, self._max_stored = max_idle, max_stored
        self._streams: dict[str, Stream] = {}
        self._idle: OrderedDict[str, None] = OrderedDict()  # without subscribers, the longest unused first
        self._filled: OrderedDict[str, None] = OrderedDict()  # with publications, the longest unpublished first
        self.sides: dict[str, str] = {}  # of clients that said which side they are: what faults are chosen by

    @property
    def streams(self) -> int:
        """Streams kept now."""
        return len(self._streams)

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
        elif stream.expired(now):
            self._clear(channel)
        if not stream.subscribers:
            self._rest(channel)
        return stream

    def publish(self, channel: str, data: str, info: str, now: float) -> None:
        """Store a publication and push it to every subscriber."""
        stream = self.stream(channel, now)
        stream.offset += 1
        item = Item(stream.offset, data, info, now + stream.namespace.ttl)
        self._keep(channel, stream, item, now)
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
        self._idle.pop(channel, None)
        return stream

    def unsubscribe(self, channel: str, subscriber: Subscriber) -> None:
        """Remove a subscriber."""
        if (stream := self._streams.get(channel)) is not None:
            stream.subscribers.pop(subscriber, None)
            if not stream.subscribers:
                self._rest(channel)

    def forget(self, channel: str) -> None:
        """Lose a channel's stream, as a server does that lost its memory: a new epoch, no publications."""
        if (stream := self._streams.get(channel)) is not None:
            self._clear(channel)
            stream.epoch, stream.offset = "".join(self._rng.choices(string.ascii_letters, k=8)), 0

    def elsewhere(self, channel: str) -> tuple[str, Stream, Subscriber] | None:
        """Some other channel of the same namespace with a subscriber, and that one."""
        namespace = channel.partition(":")[0]
        return next(
            (
                (name, stream, next(iter(stream.subscribers)))
                for name, stream in self._streams.items()
                if stream.subscribers and name != channel and name.partition(":")[0] == namespace
            ),
            None,
        )

    def _rest(self, channel: str) -> None:
        """Note that a stream without subscribers was used just now, and forget one where there are too many."""
        self._idle[channel] = None
        self._idle.move_to_end(channel)
        if len(self._idle) > self._max_idle:
            forgotten, _ = self._idle.popitem(last=False)
            self._clear(forgotten)
            del self._streams[forgotten]

    def _keep(self, channel: str, stream: Stream, item: Item, now: float) -> None:
        stream.items.append(item)
        self.stored += len(item.data)
        if len(stream.items) > stream.namespace.size:
            self.stored -= len(stream.items.popleft().data)
        self._filled[channel] = None
        self._filled.move_to_end(channel)
        # The oldest first, and each only once: a publication pays for what earlier ones left behind.
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
