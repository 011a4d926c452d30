"""Whether a relay that delivers is degraded: what failed, was slow or was lost within a window. Pure; no I/O.

It is degraded for one window after each event that meets a criterion. All times are monotonic.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from monitor.config import Config
    from monitor.results import Cause

SLOW_RATIO: Final = 0.1
"""Share of the exchanges over the latency threshold from which a relay is degraded."""

LOST_MESSAGES: Final = 2
"""Lost messages within a window from which a relay is degraded."""

BIN: Final = 5.0
"""Seconds of exchanges that are counted together."""


@dataclass(slots=True)
class _Bin:
    """What happened within `BIN` seconds from `started` on."""

    started: float
    exchanges: int = 0
    failed: int = 0
    slow: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Criteria:
    """The settings of `degraded`: at least `failures` and `failure_ratio` of the exchanges in `window` seconds."""

    window: float = 300.0
    failure_ratio: float = 0.05
    failures: int = 3

    @classmethod
    def of(cls, config: Config) -> Criteria:
        """Return those of a configuration."""
        degraded = config.degraded
        return cls(window=degraded.window, failure_ratio=float(degraded.failure_ratio), failures=degraded.failures)


class Degradation:
    """The window of exchanges, and until when the relay counts as degraded.

    `cause` is the latest that made it so. One that an examination found, such as a silent node, explains the exchanges
    that fail after it: it stays for a window.
    """

    def __init__(self, criteria: Criteria) -> None:
        self.criteria = criteria
        self.until = float("-inf")
        self.cause: Cause | None = None
        self._examined_until = float("-inf")
        self._bins: deque[_Bin] = deque()

    def clear(self) -> None:
        """Forget everything, as after an outage."""
        self.until = float("-inf")
        self.cause = None
        self._examined_until = float("-inf")
        self._bins.clear()

    def restore(self, now: float, cause: Cause | None, exchanges: int, failed: int, slow: int) -> None:
        """Begin with what the process before this one found; its exchanges stay for a window."""
        self._bins.append(_Bin(now, exchanges=exchanges, failed=failed, slow=slow))
        self.found(now, cause)

    def counts(self, now: float) -> tuple[int, int, int]:
        """Return the exchanges in the window, how many of them failed, and how many were slow."""
        self._expire(now)
        return (
            sum(each.exchanges for each in self._bins),
            sum(each.failed for each in self._bins),
            sum(each.slow for each in self._bins),
        )

    def exchange(self, now: float, cause: Cause | None = None, *, slow: bool = False) -> None:
        """Take one exchange into account: one with a `cause` failed."""
        current = self._current(now)
        current.exchanges += 1
        current.failed += cause is not None
        current.slow += slow
        if cause is None and not slow:
            return
        exchanges, failed, all_slow = self.counts(now)
        criteria = self.criteria
        if cause is not None and failed >= max(criteria.failures, criteria.failure_ratio * exchanges):
            self.found(now, cause)
        elif slow and all_slow >= max(criteria.failures, SLOW_RATIO * exchanges):
            self.found(now, None)

    def lost(self, now: float, messages: int, cause: Cause | None) -> None:
        """Take lost messages into account."""
        self._current(now).lost += messages
        self._expire(now)
        if sum(each.lost for each in self._bins) >= LOST_MESSAGES:
            self.found(now, cause)

    def found(self, now: float, cause: Cause | None) -> None:
        """Note that a criterion is met now. Without a `cause` the one before it stays."""
        if now >= self._examined_until and (cause is not None or now >= self.until):
            self.cause = cause
        self.until = now + self.criteria.window

    def examined(self, now: float, cause: Cause) -> None:
        """Note what an examination has found now."""
        self.cause = cause
        self.until = self._examined_until = now + self.criteria.window

    def _current(self, now: float) -> _Bin:
        if not self._bins or now - self._bins[-1].started >= BIN:
            self._bins.append(_Bin(now))
        return self._bins[-1]

    def _expire(self, now: float) -> None:
        while self._bins and self._bins[0].started <= now - self.criteria.window:
            self._bins.popleft()
