"""What was sent, what came, and the verdict on each message.

Verdicts come from two sets: the messages that were sent, and the raw publications the receiving side's connection
brought, before any de-duplication. Nothing here waits or counts on its own: times are arguments, in seconds of one
monotonic clock.

A message is judged once, some time after its horizon: one more time-out after the deadline of its exchange, so that
*late* and *lost* are told apart. What comes later still is lost, whenever it is judged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitor.vocabulary import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.session.notices import MessageKey as Key


@dataclass(slots=True, eq=False)
class Message:
    """One message on its way. Its `data` is the very string that was published."""

    key: Key
    data: str
    direction: str
    sequence: int
    intended: float
    deadline: float
    horizon: float
    attempts: int = 0
    acked: bool = False
    sent_at: float | None = None
    arrived_at: float | None = None  # first intact arrival
    deliveries: int = 0  # live ones, and those seen in the history alone
    offsets: set[int] = field(default_factory=set)
    damaged: bool = False  # other bytes came for it
    junk: int = 0  # what came and showed nothing of it, but may have been it
    overtaken: bool = False
    settled: bool = False

    @property
    def corrupted(self) -> bool:
        """Whether it came damaged; what showed nothing of it was somebody else's once it came intact."""
        return self.damaged or (self.junk > 0 and self.arrived_at is None)

    @property
    def wire(self) -> float | None:
        """Bytes to the socket → bytes from the other socket, in seconds."""
        return None if self.arrived_at is None or self.sent_at is None else self.arrived_at - self.sent_at

    @property
    def latency(self) -> float | None:
        """Intended send → receipt, in seconds."""
        return None if self.arrived_at is None else self.arrived_at - self.intended

    def verdict(self) -> Verdict:
        """What became of it, by what is known now; the first that fits of `catalogue.PRECEDENCE`."""
        arrived_at = self.arrived_at
        if self.damaged or arrived_at is None:
            return Verdict.CORRUPTED if self.corrupted else Verdict.LOST
        if arrived_at > self.deadline:
            return Verdict.LATE if arrived_at <= self.horizon else Verdict.LOST
        if self.overtaken:
            return Verdict.REORDERED
        if self.deliveries > 1 and self.deliveries > self.attempts:
            return Verdict.DUPLICATED
        return Verdict.DELIVERED


LIKE: Final = 0.5
"""The share of a message that must be left for a stranger to be taken for it."""

SAME: Final = 0.9
"""The share that must be left of it where the key it comes with is that of a message judged already."""

LEFT: Final = 0.1
"""The share of a message below which nothing is left of it: any JSON has braces and quotes in common with it."""


class Ledger:
    """The messages of one pair, both directions.

    `limit` bounds the messages kept at once; past it the oldest is settled early, as what it is by then. `remembered`
    bounds those judged already, whose still later copies are no news: as many as the history may bring once more.
    """

    def __init__(self, limit: int = 1024, remembered: int = 64) -> None:
        self._limit = limit
        self._remembered = remembered
        self._open: dict[Key, Message] = {}  # in the order they were sent
        # Judged, in that order, and the hash of the data: a still later copy is no news. No more is kept of them, since
        # there are many, and memory that was not touched for minutes is slow.
        self._done: dict[Key, int] = {}
        self._newest: dict[tuple[str, str], int] = {}  # highest nonce that arrived live, per channel and sender
        self._overflow: list[Message] = []
        self.strangers = 0

    @property
    def pending(self) -> int:
        """Messages sent and not yet judged."""
        return len(self._open) + len(self._overflow)

    def expect(self, message: Message) -> None:
        """A message is about to be published."""
        self._open[message.key] = message
        if len(self._open) > self._limit:
            self._overflow.append(self._settle(next(iter(self._open))))

    def published(self, key: Key, at: float) -> None:
        """Its bytes were handed to the socket, for the first time or again."""
        if (message := self._open.get(key)) is not None:
            message.attempts += 1
            if message.sent_at is None:
                message.sent_at = at

    def acked(self, key: Key) -> None:
        """The relay accepted it."""
        if (message := self._open.get(key)) is not None:
            message.acked = True

    def arrived(self, key: Key, data: str, offset: int, at: float, *, live: bool) -> Message | None:
        """A raw publication came to the receiving side; returns the message it is.

        None for one that is judged already, and for none of ours, a stranger.

        A `key` whose message was never sent is no stranger yet, nor is other data than was sent with it a damaged copy:
        where most of it is what was sent on the same channel and is still awaited, it is that message with its envelope
        damaged.
        """
        message = self._open.get(key)
        if message is None or message.data != data:
            message = self._meant(key, data)
        if message is None:
            self.strangers += key not in self._done
            return None
        if message.key != key or message.data != data:
            message.damaged = True
            return message
        self._deliver(message, offset, at, live=live)
        return message

    def garbled(self, channel: str, data: object) -> Message | None:
        """A publication came whose envelope cannot be read: it is the message still awaited there that is most like it.

        Of two that are alike, as when nothing of it is left, it is the older one. With nothing left of it, it is a
        stranger after all if that message still comes intact.
        """
        text = data if isinstance(data, str) else ""
        message = self._likest(channel, text, 0.0)
        if message is None:
            self.strangers += 1
        elif _likeness(text, message.data) < LEFT:
            message.junk += 1
        else:
            message.damaged = True
        return message

    def due(self, now: float) -> list[Message]:
        """Settle and return the messages whose horizon has passed, oldest first."""
        # Not in the order they were sent: what was sent to an absent wallet is due when the wallet is back.
        passed = [message.key for message in self._open.values() if message.horizon <= now]
        return self._take_overflow() + [self._settle(key) for key in passed]

    def settle(self) -> list[Message]:
        """Settle every message: nothing more can arrive."""
        return self._take_overflow() + [self._settle(key) for key in list(self._open)]

    def find(self, key: Key) -> Message | None:
        """The message with this key, unless it is judged."""
        return self._open.get(key)

    def awaited(self) -> Iterator[Message]:
        """Messages sent, not arrived intact, and not yet judged."""
        return (message for message in self._open.values() if message.arrived_at is None)

    def next_horizon(self) -> float | None:
        """When the next message is to be judged."""
        return min((message.horizon for message in self._open.values()), default=None)

    def _take_overflow(self) -> list[Message]:
        taken, self._overflow = self._overflow, []
        return taken

    def _deliver(self, message: Message, offset: int, at: float, *, live: bool) -> None:
        if live:
            channel, client_id, nonce = message.key
            sender = (channel, client_id)
            if nonce > self._newest.get(sender, 0):
                self._newest[sender] = nonce
            elif message.arrived_at is None:
                message.overtaken = True
        elif any(
            other.key[:2] == message.key[:2] and other.key.nonce > message.key.nonce and max(other.offsets) < offset
            for other in self._open.values()
            if other.offsets and offset
        ):
            message.overtaken = True  # stored in another order than sent
        if live or offset not in message.offsets:
            # The history brings again what came live; that is no second delivery.
            message.deliveries += 1
        message.offsets.add(offset)
        if message.arrived_at is None:
            message.arrived_at = at
            self.strangers += message.junk

    def _meant(self, key: Key, data: str) -> Message | None:
        """The message that this is: the one it names, unless it is more like another that is still awaited."""
        if self._done.get(key) == hash(data):
            return None
        named = self._open.get(key)
        likest = self._likest(key.channel, data, SAME if key in self._done else LIKE)
        if named is None or (likest is not None and _likeness(data, likest.data) > _likeness(data, named.data)):
            return likest
        return named

    def _likest(self, channel: str, data: str, least: float) -> Message | None:
        candidates = (message for message in self.awaited() if message.key.channel == channel)
        found = max(candidates, key=lambda message: _likeness(data, message.data), default=None)
        return found if found is not None and _likeness(data, found.data) >= least else None

    def _settle(self, key: Key) -> Message:
        message = self._open.pop(key)
        message.settled = True
        self._done[key] = hash(message.data)
        if len(self._done) > self._remembered:
            del self._done[next(iter(self._done))]
        return message


def _likeness(damaged: str, sent: str) -> float:
    """The share of what was sent that still stands at the beginning and the end of what came."""
    start = _common(damaged, sent)
    return (start + _common(damaged[:start:-1], sent[:start:-1])) / max(1, len(sent))


def _common(one: str, other: str) -> int:
    """Characters that two texts have in common from their beginnings on."""
    pairs = zip(one, other, strict=False)
    return next((place for place, (mine, yours) in enumerate(pairs) if mine != yours), min(len(one), len(other)))
