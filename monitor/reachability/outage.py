"""Confirmed outages of one relay, for what an untried exchange counts. Times are monotonic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.results import Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A confirmed outage: its first and its latest failed attempt, and the first success; None while it lasts."""

    first_failed_at: float
    last_failed_at: float
    cause: Cause | None = None
    ended_at: float | None = None
