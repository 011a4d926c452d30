"""The messages of a pair, what arrived of them, and the verdict on each.

Verdicts follow from two sets: the messages sent, and the raw publications received, before any de-duplication. Pure:
times are arguments, in seconds of one monotonic clock. A message is judged once, after its horizon, which is one more
timeout after its deadline, so that *late* and *lost* differ.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitor.vocabulary import Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from monitor.session.notices import MessageKey as Key


@dataclass(slots=True, eq=False)
class Message:
    """One message. `data` is the published string; times are monotonic.

    intended: when it was to be sent. deadline: when it must arrive. horizon: when it is judged.
    """

    key: Key
    data: str
    direction: str
    sequence: int
    intended: float
    deadline: float
    horizon: float
    attempts: int = 0
    acked_at: float | None = None  # when the relay accepted it
    sent_at: float | None = None
    arrived_at: float | None = None  # first intact arrival
    deliveries: int = 0  # live ones, and those in the history only
    offsets: set[int] = field(default_factory=set)
    damaged: bool = False  # other bytes arrived in its place
    junk: int = 0  # unrecognisable publications that may have been it
    overtaken: bool = False
    in_history: bool | None = None  # whether its channel's history had it when it was last read; None: not read
    judged: bool = False
    unjudged_in: str = ""  # id of the run that ended before its verdict

    @property
    def acked(self) -> bool:
        """True if the relay accepted it."""
        return self.acked_at is not None

    @property
    def corrupted(self) -> bool:
        """True if it arrived damaged. Unrecognisable publications count only while it has not arrived intact."""
        return self.damaged or (self.junk > 0 and self.arrived_at is None)

    @property
    def wire(self) -> float | None:
        """Seconds from its bytes to the socket until its bytes from the other socket."""
        return None if self.arrived_at is None or self.sent_at is None else self.arrived_at - self.sent_at

    @property
    def latency(self) -> float | None:
        """Seconds from its intended time to its arrival."""
        return None if self.arrived_at is None else self.arrived_at - self.intended

    def verdict(self) -> Verdict:
        """Return its verdict as of now: the first that applies of `vocabulary.PRECEDENCE`."""
        arrived_at = self.arrived_at
        if self.damaged or arrived_at is None:
            if self.corrupted:
                return Verdict.CORRUPTED
            return Verdict.LOST if self.in_history is False else Verdict.UNRECOVERED
        if arrived_at > self.deadline:
            return Verdict.LATE
        if self.overtaken:
            return Verdict.REORDERED
        if self.deliveries > 1 and self.deliveries > self.attempts:
            return Verdict.DUPLICATED
        return Verdict.DELIVERED


MIN_SIMILARITY: Final = 0.5
"""Least share of a message that an unknown publication must have in common to be matched with it."""

MIN_SIMILARITY_OF_JUDGED: Final = 0.9
"""The same for a publication with the key of a message that is judged already."""

UNRECOGNISABLE: Final = 0.1
"""Share below which a publication shows nothing of the message: any two JSON texts have braces in common."""


class Ledger:
    """The messages of one pair, both directions.

    limit: messages that are kept at once; beyond it the oldest is judged early.
    remembered: judged messages whose further copies are ignored: as many as the history may return again.
    """

    def __init__(self, limit: int = 1024, remembered: int = 64) -> None:
        self._limit = limit
        self._remembered = remembered
        self._open: dict[Key, Message] = {}  # in the order they were sent
        # Hash of the data, in the order they were judged. Nothing else is kept: there are many, cold memory is slow.
        self._judged: dict[Key, int] = {}
        self._newest: dict[tuple[str, str], int] = {}  # highest nonce that arrived live, per channel and sender
        self._overflow: list[Message] = []
        self.unmatched = 0

    @property
    def pending(self) -> int:
        """Number of messages sent and not yet judged."""
        return len(self._open) + len(self._overflow)

    def expect(self, message: Message) -> None:
        """Add a message that is about to be published."""
        self._open[message.key] = message
        if len(self._open) > self._limit:
            self._overflow.append(self._judge(next(iter(self._open))))

    def published(self, key: Key, at: float) -> None:
        """Note that its bytes were handed to the socket, for the first time or again."""
        if (message := self._open.get(key)) is not None:
            message.attempts += 1
            if message.sent_at is None:
                message.sent_at = at

    def acked(self, key: Key, at: float) -> None:
        """Note that the relay accepted it."""
        if (message := self._open.get(key)) is not None and message.acked_at is None:
            message.acked_at = at

    def arrived(self, key: Key, data: str, offset: int, at: float, *, live: bool) -> Message | None:
        """Match a received publication; return its message, or None if it is judged already or of no message here.

        A publication with an unknown `key`, or with other data than was sent with it, is matched with the outstanding
        message on the channel that it resembles: that message was damaged on the way.
        """
        message = self._open.get(key)
        if message is None or message.data != data:
            message = self._match(key, data)
        if message is None:
            self.unmatched += key not in self._judged
            return None
        if message.key != key or message.data != data:
            message.damaged = True
            return message
        self._deliver(message, offset, at, live=live)
        return message

    def garbled(self, channel: str, data: object) -> Message | None:
        """Match a publication without a readable envelope with the most similar outstanding message on the channel.

        Among equals the oldest. An unrecognisable one counts against that message only while it does not arrive intact.
        """
        text = data if isinstance(data, str) else ""
        message = self._most_similar(channel, text, 0.0)
        if message is None:
            self.unmatched += 1
        elif _similarity(text, message.data) < UNRECOGNISABLE:
            message.junk += 1
        else:
            message.damaged = True
        return message

    def due(self, now: float) -> list[Message]:
        """Judge and return the messages whose horizon has passed, oldest first."""
        # Horizons are not in the order of sending: an offline message gets its own when the wallet returns.
        passed = [message.key for message in self._open.values() if message.horizon <= now]
        return self._drain_overflow() + [self._judge(key) for key in passed]

    def judge_all(self) -> list[Message]:
        """Judge and return every message: no more can arrive."""
        return self._drain_overflow() + [self._judge(key) for key in list(self._open)]

    def find(self, key: Key) -> Message | None:
        """Return the message with this key, unless it is judged."""
        return self._open.get(key)

    def outstanding(self) -> Iterator[Message]:
        """Yield the messages that were sent, have not arrived intact and are not judged."""
        return (message for message in self._open.values() if message.arrived_at is None)

    def history_read(
        self, channel: str, directions: Collection[str], data: Collection[object], asked_at: float, *, complete: bool
    ) -> None:
        """Note the history of a channel, requested at `asked_at`, for the outstanding messages accepted before.

        `data` are the stored strings; `complete` is false if newer ones were left out.
        """
        for message in self.outstanding():
            if message.key.channel != channel or message.direction not in directions:
                continue
            if message.data in data:
                message.in_history = True
            elif complete and message.acked_at is not None and message.acked_at <= asked_at:
                message.in_history = message.in_history or False

    def next_horizon(self) -> float | None:
        """Return when the next message is to be judged, or None."""
        return min((message.horizon for message in self._open.values()), default=None)

    def _drain_overflow(self) -> list[Message]:
        overflow, self._overflow = self._overflow, []
        return overflow

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
            # A live publication that the history returns again is no second delivery.
            message.deliveries += 1
        message.offsets.add(offset)
        if message.arrived_at is None:
            message.arrived_at = at
            self.unmatched += message.junk

    def _match(self, key: Key, data: str) -> Message | None:
        """Return the message with this key, unless the data resembles another outstanding one more."""
        if self._judged.get(key) == hash(data):
            return None
        named = self._open.get(key)
        minimum = MIN_SIMILARITY_OF_JUDGED if key in self._judged else MIN_SIMILARITY
        similar = self._most_similar(key.channel, data, minimum)
        if named is None or (similar is not None and _similarity(data, similar.data) > _similarity(data, named.data)):
            return similar
        return named

    def _most_similar(self, channel: str, data: str, minimum: float) -> Message | None:
        candidates = (message for message in self.outstanding() if message.key.channel == channel)
        found = max(candidates, key=lambda message: _similarity(data, message.data), default=None)
        return found if found is not None and _similarity(data, found.data) >= minimum else None

    def _judge(self, key: Key) -> Message:
        message = self._open.pop(key)
        message.judged = True
        self._judged[key] = hash(message.data)
        if len(self._judged) > self._remembered:
            del self._judged[next(iter(self._judged))]
        return message


def _similarity(damaged: str, sent: str) -> float:
    """Return the share of `sent` that `damaged` has in common with it at both ends."""
    start = _common_prefix(damaged, sent)
    return (start + _common_prefix(damaged[:start:-1], sent[:start:-1])) / max(1, len(sent))


def _common_prefix(one: str, other: str) -> int:
    """Return the length of the longest common prefix."""
    pairs = zip(one, other, strict=False)
    return next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
