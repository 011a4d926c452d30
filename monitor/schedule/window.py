"""One maintenance window of some relays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Window:
    """One maintenance window, from `start` (inclusive) to `end` (exclusive).

    relays: the names of its relays; empty for all. id, by: of a window on demand, and who started it; both are empty
    for a window of the configuration.
    """

    start: datetime
    end: datetime
    reason: str
    relays: tuple[str, ...] = ()
    id: str = ""
    by: str = ""

    def includes(self, relay: str) -> bool:
        """Return whether the window is one of `relay`."""
        return not self.relays or relay in self.relays
