"""Conditions that every page shares: the relays that may page, a quorum of locations, and no page after an outage.

An alert that is made for a class of relays has `@` in its expression where the class's matcher is inserted into a
selector with other matchers, and `{@}` where the selector has no others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from monitor.burn_rate import MIN_FAILURES
from monitor.config import show_duration
from monitor.slo.rules.recorded import BUDGET_LABELS, bad_events
from monitor.slo.rules.rule import Alert, any_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.config import Config, ProbeConfig

RECENT_WINDOW: Final = 300.0
"""Seconds within which a page requires a failure, so that it resolves soon after the repair."""

HEALTHY_VOTERS: Final = "(relay_up{@} unless on (location, instance, job) relay_monitor_healthy == 0)"
"""`relay_up` of the healthy monitors; an unhealthy one has suspended its verdicts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayClass:
    """The relays whose alerts have this severity at most, and the matcher that selects them; "" selects all."""

    matcher: str
    severity: str
    relays: tuple[str, ...]


class Paging:
    """Severity classes and quorum of one configuration."""

    def __init__(self, config: Config) -> None:
        self.several_locations = len(config.locations) > 1
        monitored = {relay for probe in config.probes for relay in probe.relays}
        relays = [relay for relay in config.relays if relay.name in monitored]
        low = tuple(relay.name for relay in relays if relay.max_severity != "critical")
        high = tuple(relay.name for relay in relays if relay.name not in low)
        classes = (
            RelayClass(matcher=f'relay!~"{any_of(low)}"' if low else "", severity="critical", relays=high),
            RelayClass(matcher=f'relay=~"{any_of(low)}"', severity="warning", relays=low),
        )
        self.classes = tuple(each for each in classes if each.relays)

    def by_class(self, alert: Alert, *, has_warning: bool = False) -> Iterator[Alert]:
        """Yield a critical alert for the relays that may page, and as a warning for the others.

        With `has_warning` the others get none: a warning with the same labels already fires whenever this would, and
        Prometheus rejects two alerts with equal labels.
        """
        for each in self.classes:
            if each.severity == "critical" or not has_warning:
                yield with_matcher(alert, each.matcher, severity=each.severity)

    def quorum(self, condition: str, voters: str, by: str) -> str:
        """Require `condition` at more than half of the locations that have data, if there are several locations."""
        if not self.several_locations:
            return condition
        return f"count by ({by}) ({condition})\n> 0.5 * count by ({by}) ({voters})"

    def recent_failure(self, window: float, slos: str) -> str:
        """Require a failure within `window` seconds at any location: locations do not probe at the same time."""
        by = "slo, relay, probe" if self.several_locations else BUDGET_LABELS
        return f"\nand\n{bad_events(window, f', {slos}@', by)} > 0"


def with_matcher(alert: Alert, matcher: str, *, severity: str | None = None) -> Alert:
    """Return the alert with `matcher` in place of each `@`, and with another severity if one is given."""
    expr = alert.expr.replace("{@}", f"{{{matcher}}}" if matcher else "")
    expr = expr.replace("@", f", {matcher}" if matcher else "")
    return replace(alert, expr=expr, severity=severity or alert.severity)


def unless_down(window: float) -> str:
    """Suppress an alert for `window` seconds after `RelayDown` fired: that page has covered these failures.

    The condition reads the alert and not `relay_up`: an outage too short to page must not suppress other alerts.
    """
    paged = 'ALERTS{alertname="RelayDown", alertstate="firing"}'
    return f"\nunless on (relay)\nmax_over_time({paged}[{show_duration(window)}]) > 0"


def event_gap(probe: ProbeConfig) -> float:
    """Return the longest time between two runs of a probe in seconds, without the pauses of a cron schedule.

    No run is due in such a pause, and a page about the runs before it may resolve.
    """
    return min(probe.longest_gap, probe.shortest_span(MIN_FAILURES))
