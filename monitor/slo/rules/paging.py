"""Conditions that every page about an SLO shares: a quorum of locations, and failures that no outage explains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.burn_rate import MIN_FAILURES
from monitor.slo.rules.explained import unexplained
from monitor.slo.rules.names import UP_VOTE
from monitor.slo.rules.recorded import BUDGET_LABELS
from monitor.slo.rules.verdicts import LOCAL_RELAY, Selectors

if TYPE_CHECKING:
    from monitor.config import Config, ProbeConfig

RECENT_WINDOW: Final = 300.0
"""Seconds within which a page requires a failure, so that it resolves soon after the repair."""

ANY_LOCATION: Final = "install, relay, probe, slo"
"""The labels of the error budgets of all locations."""


class Paging:
    """Quorum and recent failures of one configuration."""

    def __init__(self, config: Config) -> None:
        self.own = Selectors(config)
        self.several_locations = len(config.locations) > 1

    def quorum(self, condition: str, voters: str) -> str:
        """Require `condition` at more than half of the locations that vote, if there are several locations.

        `voters` has a row for each location with events. A location whose monitor is absent or unhealthy has no vote.
        """
        if not self.several_locations:
            return condition
        present = f"({voters}) and on ({LOCAL_RELAY}) {self.own(UP_VOTE)}"
        return f"count by ({ANY_LOCATION}) ({condition})\n> 0.5 * count by ({ANY_LOCATION}) ({present})"

    def recent_failure(self, window: float, slos: str) -> str:
        """Require a failure within `window` seconds at any location: locations do not probe at the same time."""
        by = ANY_LOCATION if self.several_locations else BUDGET_LABELS
        return f"\nand\nsum by ({by}) {unexplained(self.own, window, slos)} > 0"


def event_gap(probe: ProbeConfig) -> float:
    """Return the longest time between two runs of a probe in seconds, without the pauses of a cron schedule.

    No run is due in such a pause, and a page about the runs before it may resolve.
    """
    return min(probe.longest_gap, probe.shortest_span(MIN_FAILURES))
