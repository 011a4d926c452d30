"""Slots: the times at which a probe should start, each consumed exactly once.

`every` uses a fixed grid on the monotonic clock, so that no step of the wall clock adds or loses a slot. A cron line
uses the wall clock, on which it is defined.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from monitor.config import Every
from monitor.config.crontab import Crontab
from monitor.schedule.grid import START_TOLERANCE, Grid

if TYPE_CHECKING:
    from monitor.clock import Clock
    from monitor.config import Cron

MAX_BACKLOG: Final = 100_000
"""The most slots that are counted after one stall."""

_MAX_STAGGER_SECONDS: Final = 5.0
# Cron has a resolution of a minute; a smaller correction of the clock must not run one of them twice.
_REPEATED_AFTER_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Due:
    """The slots that have come due since the last call: those too late to start, and those that still can.

    `newest` is the wall time of the newest startable one in seconds since the epoch, None if there is none.
    """

    overdue: int
    startable: int
    newest: float | None


class Slots(Protocol):
    """The slots of one schedule. The arguments are the readings of both clocks: monotonic and since the epoch."""

    def consume(self, monotonic: float, wall: float) -> Due:
        """Consume every slot that is due."""

    def upcoming(self, monotonic: float, wall: float) -> float:
        """The wall time of the first slot that is not consumed; in the past if that slot is due."""


class EverySlots:
    """The slots of `every`: a grid on the monotonic clock."""

    def __init__(self, first: float, period: float) -> None:
        self._grid = Grid(first, period)

    def consume(self, monotonic: float, wall: float) -> Due:
        """See `Slots`."""
        overdue = self._grid.consume(monotonic - START_TOLERANCE)
        startable = self._grid.consume(monotonic)
        newest = wall - (monotonic - self._grid.latest) if startable else None
        return Due(min(overdue, MAX_BACKLOG), min(startable, MAX_BACKLOG), newest)

    def upcoming(self, monotonic: float, wall: float) -> float:
        """See `Slots`."""
        return wall + (self._grid.upcoming - monotonic)


class CronSlots:
    """The slots of a crontab line, on the wall clock.

    Slots that a step forward jumps over are overdue. A step back of more than a minute repeats slots.
    """

    def __init__(self, crontab: Crontab, wall: float) -> None:
        self._crontab = crontab
        self._consumed_to = wall

    def consume(self, monotonic: float, wall: float) -> Due:  # noqa: ARG002 - the protocol has both clocks
        """See `Slots`."""
        self._follow_clock(wall)
        startable_after = max(self._consumed_to, wall - START_TOLERANCE)
        overdue = self._crontab.count(self._consumed_to, startable_after, MAX_BACKLOG)
        newest = self._crontab.after(startable_after)
        self._consumed_to = max(self._consumed_to, wall)
        # The slots are whole minutes apart: at most one is startable.
        return Due(overdue, 1, newest) if newest <= wall else Due(overdue, 0, None)

    def upcoming(self, monotonic: float, wall: float) -> float:  # noqa: ARG002 - the protocol has both clocks
        """See `Slots`."""
        self._follow_clock(wall)
        return self._crontab.after(self._consumed_to)

    def _follow_clock(self, wall: float) -> None:
        if wall < self._consumed_to - _REPEATED_AFTER_SECONDS:
            self._consumed_to = wall


def slots_of(schedule: Every | Cron, *, clock: Clock, identity: tuple[str, ...], delay: float = 0.0) -> Slots:
    """The slots of a configured schedule from now on.

    The first slot of `every` follows after `delay` and `stagger`, so that probes that are added together do not run
    together and each keeps its offset over restarts.
    """
    if isinstance(schedule, Every):
        return EverySlots(clock.monotonic() + delay + stagger(schedule.every, identity), schedule.every)
    return CronSlots(Crontab(schedule.cron, schedule.timezone), clock.time())


def stagger(period: float, identity: tuple[str, ...]) -> float:
    """A hash of `identity` as seconds from 0 up to `period`, or 5 s where that is less."""
    digest = hashlib.blake2b("\0".join(identity).encode(), digest_size=8).digest()
    return int.from_bytes(digest) % max(1, round(min(period, _MAX_STAGGER_SECONDS) * 1e6)) / 1e6
