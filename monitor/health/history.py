"""The times in which the monitor was unhealthy, for what was going on then and is recorded later."""

from __future__ import annotations

from collections import deque
from typing import Final

MAX_SPANS: Final = 1000
"""Number of spans remembered: a run lasts minutes, and the monitor changes at most four times a minute."""


class UnhealthySpans:
    """When the monitor was unhealthy. All times are seconds on the monotonic clock."""

    def __init__(self) -> None:
        self._spans: deque[tuple[float, float]] = deque(maxlen=MAX_SPANS)
        self._since: float | None = None  # of the present one

    def begin(self, since: float) -> None:
        """Note that the monitor is unhealthy since then; an earlier beginning of the present span stays."""
        self._since = since if self._since is None else min(since, self._since)

    def end(self, at: float) -> None:
        """Note that the monitor is healthy again."""
        if self._since is not None:
            self._spans.append((self._since, at))
            self._since = None

    def overlaps(self, since: float, until: float) -> bool:
        """Return whether the monitor was unhealthy at any time from `since` until `until`."""
        if self._since is not None and until >= self._since:
            return True
        return any(start <= until and end > since for start, end in reversed(self._spans))
