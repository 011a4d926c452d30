"""Confirmed outages of one relay, for what an untried exchange counts. Pure; all times are monotonic seconds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from monitor.results import Cause

REMEMBERED: Final = 16
"""Outages that are remembered: exchanges are booked seconds after they were due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A confirmed outage: its first and its latest failed attempt, and the first success; None while it lasts."""

    first_failed_at: float
    last_failed_at: float
    cause: Cause | None = None
    ended_at: float | None = None


class OutageLog:
    """The confirmed outages, and whether one may have begun."""

    def __init__(self) -> None:
        self._outages: deque[Outage] = deque(maxlen=REMEMBERED)
        self._suspected_at: float | None = None  # a failure, or the first failed attempt, began then
        self._first_failed_at: float | None = None
        self._last_failed_at = float("-inf")
        self._cause: Cause | None = None

    @property
    def latest(self) -> Outage | None:
        """The present or the latest confirmed outage."""
        return self._outages[-1] if self._outages else None

    def before(self, at: float) -> Outage | None:
        """Return the latest confirmed outage that had begun at `at`."""
        return next((outage for outage in reversed(self._outages) if outage.first_failed_at <= at), None)

    @property
    def ongoing(self) -> bool:
        """True during a confirmed outage."""
        return bool(self._outages) and self._outages[-1].ended_at is None

    def note_failure(self, at: float) -> None:
        """Note that a failure at `at` is being confirmed."""
        if self._suspected_at is None and not self.ongoing:
            self._suspected_at = at

    def attempt_failed(self, started: float, cause: Cause, *, confirmed: bool) -> None:
        """Note a failed attempt; `confirmed` if the relay is known to be down or to accept nothing."""
        self.note_failure(started)
        self._cause = cause
        self._first_failed_at = started if self._first_failed_at is None else min(self._first_failed_at, started)
        self._last_failed_at = max(self._last_failed_at, started)
        if confirmed:
            self.confirm()

    def confirm(self) -> None:
        """Note that the failed attempts so far confirm an outage."""
        if self._first_failed_at is None:
            return
        if not self.ongoing:
            self._outages.append(
                Outage(first_failed_at=self._first_failed_at, last_failed_at=self._last_failed_at, cause=self._cause)
            )
        self._outages[-1] = replace(self._outages[-1], last_failed_at=self._last_failed_at, cause=self._cause)
        self._suspected_at = None

    def end_outage(self, at: float) -> None:
        """Note a success."""
        if self.ongoing:
            self._outages[-1] = replace(self._outages[-1], ended_at=at)
        self.dismiss()

    def dismiss(self) -> None:
        """Forget failed attempts that no verdict follows from."""
        if not self.ongoing:
            self._suspected_at = self._first_failed_at = None
            self._last_failed_at = float("-inf")

    def covers(self, at: float) -> bool | None:
        """Return whether a slot due at `at` was inside a confirmed outage; None if that is not known yet."""
        if any(outage.first_failed_at <= at <= outage.last_failed_at for outage in self._outages):
            return True
        if self.ongoing and at > self._last_failed_at:
            return None  # the next attempt decides
        if self._suspected_at is not None and at >= self._suspected_at:
            return None
        return False
