"""Failures of a relay: counted in its open incident, or remembered for the one that they may lead to."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from monitor.incidents.incident import Failed
from monitor.incidents.record import add_failure, add_messages
from monitor.vocabulary import Condition

if TYPE_CHECKING:
    from datetime import datetime

    from monitor.incidents.incident import Incident

SECONDS_BEFORE: Final = 60.0
"""Seconds before the beginning of a condition from which failures belong to the incident that it opens."""

DEGRADATION_WINDOW: Final = 300.0
"""The same for a degraded relay: what a degradation is found from."""

MAX_RECENT: Final = 50
"""Failures remembered while there is no incident."""


class BadMessages(NamedTuple):
    """Messages with a bad verdict."""

    at: datetime
    verdict: str
    number: int
    run_id: str


class RecentFailures:
    """The failures since the latest incident. Times are those of the state machine."""

    def __init__(self) -> None:
        self._failures: deque[tuple[float, Failed | BadMessages]] = deque(maxlen=MAX_RECENT)

    def remember(self, now: float, failure: Failed | BadMessages) -> None:
        """Keep a failure for the incident that it may lead to."""
        self._failures.append((now, failure))

    def move_to(self, incident: Incident, now: float, began: float, condition: Condition) -> Incident:
        """Return the incident with the failures that led to its condition since `began`, and forget all failures."""
        since = now - DEGRADATION_WINDOW if condition is Condition.DEGRADED else began - SECONDS_BEFORE
        for at, failure in self._failures:
            if at >= since:
                incident = counted(incident, failure)
                if isinstance(failure, Failed) and failure.probe is None:
                    incident = replace(
                        incident, attempts=incident.attempts + 1, failed_attempts=incident.failed_attempts + 1
                    )
        self._failures.clear()
        return incident


def counted(incident: Incident, failure: Failed | BadMessages) -> Incident:
    """Return an incident with one more failure."""
    if isinstance(failure, Failed):
        return add_failure(incident, failure)
    return add_messages(incident, failure.at, failure.verdict, failure.number, failure.run_id)
