"""Slots: the moments a probe should start, each taken exactly once.

`every` lives on a fixed grid of the monotonic clock, so no step of the wall clock adds or loses a slot. A cron
line lives on the wall clock, because that is what its writer reads.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

from monitor.config import Every
from monitor.config.crontab import Crontab

if TYPE_CHECKING:
    from monitor.clock import Clock
    from monitor.config import Cron

GRACE: Final = 1.0
"""Seconds by which a slot may start late; after that it is missed."""

BACKLOG: Final = 100_000
"""The most slots one stall can leave behind; those beyond are not counted."""

_STAGGER: Final = 5.0
# Cron names minutes; a correction smaller than that must not run one of them twice.
_REPEATABLE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Due:
    """The slots that came due since the last look: `late` ones past their grace, `fresh` ones within it.

    `newest` is the wall time of the newest fresh one, in seconds since the epoch, and None where there is none.
    """

    late: int
    fresh: int
    newest: float | None


class Slots(Protocol):
    """A line of slots. Readings of both clocks are arguments: seconds, monotonic and since the epoch."""

    def take(self, steady: float, wall: float) -> Due:
        """Take every slot due by now that was not taken before."""

    def upcoming(self, steady: float, wall: float) -> float:
        """The wall time of the first slot not taken; in the past where one is waiting to be."""


class Grid:
    """A slot every `period` seconds from `first` on, on the monotonic clock."""

    def __init__(self, first: float, period: float) -> None:
        self._first = first
        self._period = period
        self._taken = 0

    def take(self, steady: float, wall: float) -> Due:
        """See `Slots`."""
        due = self._due_by(steady)
        waiting = due - self._taken
        if waiting <= 0:
            return Due(0, 0, None)
        fresh = min(waiting, due - self._due_by(steady - GRACE))
        self._taken = due
        newest = wall - (steady - self._at(due - 1)) if fresh else None
        return Due(min(waiting - fresh, BACKLOG), min(fresh, BACKLOG), newest)

    def upcoming(self, steady: float, wall: float) -> float:
        """See `Slots`."""
        return wall + (self._at(self._taken) - steady)

    def _at(self, index: int) -> float:
        # A product, not a sum of periods: rounding errors do not add up.
        return self._first + index * self._period

    def _due_by(self, steady: float) -> int:
        """How many slots lie at or before `steady`."""
        count = max(0, int((steady - self._first) // self._period) + 1)
        # The quotient of two floats may fall just short of a whole number that the product reaches.
        return count + 1 if self._at(count) <= steady else count


class CronSlots:
    """The moments of a crontab line, as the wall clock comes to them.

    Moments that a step forward jumps over are due, and late. After a step back of more than a minute, the wall
    clock comes to some moments again, and so does the probe.
    """

    def __init__(self, crontab: Crontab, wall: float) -> None:
        self._crontab = crontab
        self._taken_to = wall

    def take(self, steady: float, wall: float) -> Due:  # noqa: ARG002 - the protocol offers both clocks
        """See `Slots`."""
        self._follow(wall)
        fresh_from = max(self._taken_to, wall - GRACE)
        late = self._crontab.count(self._taken_to, fresh_from, BACKLOG)
        newest = self._crontab.after(fresh_from)
        self._taken_to = max(self._taken_to, wall)
        # Moments are whole minutes apart: at most one is within the grace.
        return Due(late, 1, newest) if newest <= wall else Due(late, 0, None)

    def upcoming(self, steady: float, wall: float) -> float:  # noqa: ARG002 - the protocol offers both clocks
        """See `Slots`."""
        self._follow(wall)
        return self._crontab.after(self._taken_to)

    def _follow(self, wall: float) -> None:
        if wall < self._taken_to - _REPEATABLE:
            self._taken_to = wall


def slots_of(schedule: Every | Cron, *, clock: Clock, identity: tuple[str, ...]) -> Slots:
    """The slots of a configured schedule from now on.

    The first slot of `every` lies a hash of `identity` after now, below the period and five seconds: probes that
    start together do not run together, and each keeps its place over restarts.
    """
    if isinstance(schedule, Every):
        return Grid(clock.monotonic() + stagger(schedule.every, identity), schedule.every)
    return CronSlots(Crontab(schedule.cron, schedule.timezone), clock.time())


def stagger(period: float, identity: tuple[str, ...]) -> float:
    """Seconds from 0 up to `period` or five seconds, always the same for one identity."""
    digest = hashlib.blake2b("\0".join(identity).encode(), digest_size=8).digest()
    return int.from_bytes(digest) % max(1, round(min(period, _STAGGER) * 1e6)) / 1e6


def longest_gap(schedule: Every | Cron) -> float:
    """The longest time between two runs that the schedule plans, in seconds; for cron, in a leap year."""
    if isinstance(schedule, Every):
        return schedule.every
    return _longest_cron_gap(schedule.cron, schedule.timezone)


@lru_cache(maxsize=256)
def _longest_cron_gap(expression: str, timezone: str) -> float:
    return Crontab(expression, timezone).longest_gap()
