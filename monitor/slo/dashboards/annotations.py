"""Annotations: starts of critical alerts, maintenance windows, deploys.

Grafana draws consecutive points of an annotation as a region, and regions of an incident's alerts fill every graph. So
starts and deploys are true at one point of time; only maintenance is a region, and one for all relays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.slo.dashboards.model import Annotation
from monitor.slo.dashboards.palette import BLUE, DEPLOY, RED
from monitor.slo.dashboards.promql import MONITOR, MONITORS, Subject, first_seen, select, started

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.config import Config

NO_CRITICAL_ALERT: Final = "no critical alert has started"
NO_CRITICAL_MONITOR_ALERT: Final = "no critical alert about a monitor has started"
NO_MAINTENANCE: Final = "no maintenance window is open"
NO_DEPLOY: Final = "no node of another version has started"
NO_MONITOR_DEPLOY: Final = "no monitor of another version has started"
NO_RELOAD: Final = "no monitor has loaded another configuration"


def alert_starts(subject: Subject) -> Annotation:
    """Return the starts of critical alerts, each once for a relay, however many windows and locations fire."""
    critical = select("ALERTS", subject.alerts, 'alertstate="firing"', 'severity="critical"')
    return Annotation(
        name="Critical alerts",
        expr=started(critical, ("alertname", "relay")),
        title="{{alertname}} {{relay}}",
        text="Start of a critical alert.",
        colour=RED,
        empty_reason=NO_CRITICAL_MONITOR_ALERT if subject is MONITORS else NO_CRITICAL_ALERT,
    )


def maintenance(subject: Subject) -> Annotation:
    """Return the maintenance windows, as one region."""
    window = f"max by (relay) ({select('relay_maintenance', subject.relay)}) == 1"
    return Annotation(
        name="Maintenance",
        expr=f"count({window})",
        title="Maintenance",
        text="Runs continue and are excluded from every SLO.",
        colour=BLUE,
        empty_reason=NO_MAINTENANCE,
    )


def monitor_deploys() -> Annotation:
    """Return the starts of another version of a monitor."""
    return _changes(
        "Deploys of the monitor",
        "relay_monitor_build_info",
        "version",
        title="Monitor {{version}} at {{location}}",
        text="First start of this version at this location.",
        empty_reason=NO_MONITOR_DEPLOY,
    )


def configuration_changes() -> Annotation:
    """Return the times at which a monitor loaded another configuration."""
    return _changes(
        "Configuration changes",
        "relay_monitor_config_info",
        "hash",
        title="Configuration {{hash}} at {{location}}",
        text="A monitor loaded another configuration.",
        empty_reason=NO_RELOAD,
    )


def _changes(name: str, series: str, label: str, *, title: str, text: str, empty_reason: str) -> Annotation:
    """Return the times at which a location's series first had another value of a label."""
    return Annotation(
        name=name,
        expr=first_seen(select(series, MONITOR), (label, "location"), ("location",)),
        title=title,
        text=text,
        colour=DEPLOY,
        empty_reason=empty_reason,
    )


def centrifugo_selectors(config: Config) -> Mapping[str, Sequence[str]]:
    """Return the relays of each `centrifugo_selector`: several relays may be one cluster."""
    found: dict[str, list[str]] = {}
    for relay in config.relays:
        if relay.centrifugo_selector is not None:
            found.setdefault(relay.centrifugo_selector.strip(), []).append(relay.name)
    return found


def deploys(config: Config, subject: Subject) -> tuple[Annotation, ...]:
    """Return the starts of another version of the selected relays' Centrifugo, as one annotation; none without any."""
    selected = select("relay_maintenance", subject.relay)  # each relay has it
    parts = [
        f'label_replace({first_seen(f"centrifugo_node_build{{{selector}}}", ("version",))}, "relay", "{name}", "", "") '
        f"and on (relay) {selected}"
        for selector, names in centrifugo_selectors(config).items()
        for name in names
    ]
    if not parts:
        return ()
    return (
        Annotation(
            name="Deploys",
            expr=" or ".join(parts),
            title="{{relay}}: version {{version}}",
            text="First node of this version.",
            colour=DEPLOY,
            empty_reason=NO_DEPLOY,
        ),
    )
