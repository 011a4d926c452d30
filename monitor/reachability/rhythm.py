"""When the next fresh attempt at a relay is due, and at which endpoint. Pure; all times are monotonic seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitor.config.attempts import MAX_ENDPOINTS
from monitor.config.relay import CONFIRMATION_SPACING, REDUCED_INTERVAL

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUND_SPACING: Final = CONFIRMATION_SPACING
"""Seconds between the starts of the attempts of one round."""

ROUND_INTERVAL: Final = 5.0
"""Least seconds between the starts of two rounds: a cluster with one bad node fails all the time."""

FAILING_INTERVAL: Final = 5.0
"""Seconds between two attempts while the relay is down or accepts no new connections, until it is up again."""

MAX_ROUND: Final = MAX_ENDPOINTS
"""Largest number of endpoints that one round covers; a failed one is extended by as many not known to fail."""


@dataclass(slots=True, eq=False)
class Round:
    """The attempts that confirm one failure. `size` of them are made, fewer if one delivers and none is missed.

    ended: by endpoint index, the results of its attempts; None for one that says nothing.
    remaining: the endpoints of the next attempts, once the round is extended.
    """

    began: float
    size: int
    launched: int = 0
    running: int = 0
    ended: list[tuple[int, bool | None]] = field(default_factory=list)
    remaining: list[int] = field(default_factory=list)
    extended: bool = False
    concluded: bool = False

    def extend(self, endpoints: Sequence[int]) -> None:
        """Add one attempt at each of these endpoints, once in a round."""
        self.extended = True
        self.remaining = list(endpoints)
        self.size = self.launched + len(self.remaining)

    @property
    def delivered(self) -> bool:
        """True once an attempt has delivered."""
        return any(delivered for _, delivered in self.ended)

    @property
    def failed(self) -> int:
        """Number of failed attempts."""
        return sum(delivered is False for _, delivered in self.ended)

    def wants_more(self, endpoints: int) -> bool:
        """Return whether another attempt is to be made: the first success ends a round once each endpoint was met."""
        if self.concluded or self.launched >= self.size:
            return False
        return not self.delivered or self.launched < min(endpoints, MAX_ROUND)


class EndpointRotation:
    """Whose turn it is among the endpoints of one relay, counted for attempts alone.

    An endpoint that failed is met again every other time, so that its failure is confirmed and its repair noticed.
    """

    def __init__(self, start: int = 0) -> None:
        self._next = start
        self._failures: dict[int, int] = {}  # by endpoint index: failed attempts in a row
        self._failing_since: dict[int, float] = {}
        self._delivered_at: dict[int, float] = {}
        self._regular = True  # the latest attempt was made in the regular order
        self._repeated = 0

    def next_endpoint(self, endpoints: Sequence[int], *, in_round: bool) -> int:
        """Return the endpoint of the next attempt. A round meets one after the other, so that it misses none."""
        self._failures = {index: count for index, count in self._failures.items() if index in endpoints}
        failing = [index for index in endpoints if index in self._failures]
        self._regular = in_round or not self._regular or not failing or len(failing) == len(endpoints)
        if not self._regular:
            self._repeated += 1
            return failing[self._repeated % len(failing)]
        self._next += 1
        return endpoints[self._next % len(endpoints)]

    def is_at(self, index: int, endpoints: Sequence[int]) -> bool:
        """Return whether the regular order stands at this endpoint, so that a round goes on with the one after it."""
        return endpoints[self._next % len(endpoints)] == index

    def record(self, index: int, now: float, *, delivered: bool) -> int:
        """Record the result of an attempt; return how many have failed there in a row."""
        if delivered:
            self._failures.pop(index, None)
            self._failing_since.pop(index, None)
            self._delivered_at[index] = now
            return 0
        self._failing_since.setdefault(index, now)
        self._failures[index] = self._failures.get(index, 0) + 1
        return self._failures[index]

    def not_failing(self, endpoints: Sequence[int]) -> list[int]:
        """Return the endpoints whose latest attempt did not fail, those that delivered last first."""
        known = [index for index in endpoints if index not in self._failures]
        return sorted(known, key=lambda index: self._delivered_at.get(index, float("-inf")), reverse=True)

    def fails_alone(self, index: int) -> bool:
        """Return whether another endpoint has delivered since this one began to fail."""
        since = self._failing_since.get(index, float("inf"))
        return any(
            at > since for other, at in self._delivered_at.items() if other != index and other not in self._failures
        )


@dataclass(slots=True)
class Rhythm:
    """When the next attempt is due.

    every: seconds between two attempts while nothing fails.
    not_before: no attempt starts earlier, whatever the condition of the relay.
    failing: the relay is down or accepts no new connections.
    recovering: it was down and has delivered since.
    reduced: the relay asks for fewer connects.
    round_interval: seconds between the attempts of a round.
    """

    every: float
    next_regular: float
    not_before: float = float("-inf")
    failing: bool = False
    recovering: bool = False
    reduced: bool = False
    round_interval: float = ROUND_SPACING
    started_at: float = float("-inf")  # the latest attempt, or the latest pairing that counts as one
    limited_at: float = float("-inf")  # the latest attempt that the relay refused so, or that started since
    round: Round | None = None
    round_began: float = float("-inf")

    def due(self, endpoints: int) -> float:
        """Return when the next attempt may start."""
        return max(self._due(endpoints), self.not_before)

    def _due(self, endpoints: int) -> float:
        """Return when the next attempt is due by the condition of the relay."""
        if self.reduced:
            soonest = self.limited_at + REDUCED_INTERVAL
            return soonest if self.failing or self.round is not None else max(self.next_regular, soonest)
        if self.round is not None and self.round.wants_more(endpoints):
            if not self.is_urgent:
                return self.started_at + FAILING_INTERVAL
            return self.round.began if self.round.launched == 0 else self.started_at + self.round_interval
        if self.failing:
            return self.started_at + FAILING_INTERVAL
        return self.next_regular

    @property
    def is_urgent(self) -> bool:
        """True unless the relay is known to be down or to accept nothing."""
        return not self.failing or self.recovering

    def begin_round(self, now: float, size: int) -> Round:
        """Begin a round, at `not_before` and `ROUND_INTERVAL` after the one before at the earliest."""
        began = max(now, self.not_before, self.round_began + ROUND_INTERVAL if self.is_urgent else now)
        self.round = Round(began=began, size=size)
        self.round_began = began
        return self.round

    def started(self, now: float) -> None:
        """Note that an attempt starts."""
        self.started_at = now
        if self.reduced:
            self.limited_at = now
        self.next_regular = now + self.every

    def attempt_failed(self, started: float, *, reduced: bool) -> None:
        """Note whether the relay asked for fewer connects by an attempt that failed."""
        self.reduced = reduced
        if reduced:
            self.limited_at = max(self.limited_at, started)
