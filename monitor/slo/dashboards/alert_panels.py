"""The panels of alerts: how many fire, and which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.slo.dashboards.model import Column, Kind, Panel, Query, State
from monitor.slo.dashboards.palette import BLUE, SEVERITIES, UNKNOWN
from monitor.slo.dashboards.promql import (
    ALERT_LABELS,
    MONITORS,
    ONE_RELAY,
    SELECTED_RELAYS,
    WATCHDOG,
    Subject,
    in_maintenance,
    select,
)
from monitor.slo.dashboards.shared_panels import NO_ALERT, has_long_names, location_label, relay_links

if TYPE_CHECKING:
    from monitor.config import Config

NO_MONITOR_ALERT: Final = "no alert about a monitor is firing"


_SEVERITIES: Final = ("none", "info", "warning", "critical")
_URGENT: Final = len(_SEVERITIES) + 1
"""Number of a critical alert that says what is broken, before those that follow from it."""

_UNKNOWN_SEVERITY: Final = _URGENT + 1
_VERDICTS: Final = 'alertname=~"RelayDown|RelayGroupDown|RelayNotAccepting|RelayPartialFailure|RelayMonitor.+"'
_RULES_NOT_EVALUATED: Final = "Prometheus does not evaluate the rules"


def _severities(subject: Subject) -> str:
    """Return a number for the severity of each firing alert; 0 in maintenance, the highest without evaluation."""
    by, firing = ", ".join(ALERT_LABELS), 'alertstate="firing"'
    muted = f"max by ({by}) ({select('ALERTS', subject.alerts, firing)}) and on (relay) {in_maintenance(subject)}"
    verdicts = select("ALERTS", subject.alerts, firing, 'severity="critical"', _VERDICTS)
    parts = [f"0 * ({muted})", f"{_URGENT} * max by ({by}) ({verdicts})"]
    for number, severity in reversed(list(enumerate(_SEVERITIES, 1))):
        alerts = select("ALERTS", subject.alerts, firing, f'severity="{severity}"')
        parts.append(f"{number} * max by ({by}) ({alerts})")
    missing = f'label_replace(absent({WATCHDOG}), "alertname", "{_RULES_NOT_EVALUATED}", "", "")'
    return " or ".join([*parts, f"{_UNKNOWN_SEVERITY} * max by ({by}) ({missing})"])


def firing_alerts(config: Config, width: int = 12, subject: Subject = SELECTED_RELAYS, height: int = 8) -> Panel:
    """Return the table of firing alerts with their start, critical ones first."""
    wrap = has_long_names(config)
    no_alert = NO_MONITOR_ALERT if subject is MONITORS else NO_ALERT
    now = select("ALERTS", subject.alerts, 'alertstate="firing"')
    began = f"{select('ALERTS_FOR_STATE', subject.alerts)} and ignoring (alertstate) {now}"
    return Panel(
        kind=Kind.TABLE,
        title="Firing alerts",
        description="Which alerts fire, and since when? Critical ones first, verdicts before budgets; an alert of "
        "several windows is one row. "
        "Maintenance: Alertmanager mutes it. Silences are known to Alertmanager alone: a silenced alert is listed too.",
        queries=(
            Query(
                expr=_severities(subject),
                column="severity",
                unit="none",
                states=(
                    State(value=_UNKNOWN_SEVERITY, text="unknown", colour=UNKNOWN),
                    State(value=_URGENT, text="critical", colour=SEVERITIES["critical"]),
                    *(
                        State(value=number, text=severity, colour=SEVERITIES[severity])
                        for number, severity in enumerate(_SEVERITIES, 1)
                    ),
                    State(value=0, text="maintenance", colour=BLUE),
                ),
                filled=True,
                align="center",
                width=110,
                empty_reason=no_alert,
            ),
            Query(
                expr=f"1000 * min by ({', '.join(ALERT_LABELS)}) ({began})",
                column="since",
                unit="dateTimeFromNow",
                width=150,
                empty_text="",
                empty_reason=no_alert,
            ),
        ),
        unit="none",
        width=width,
        height=height,
        labels=(
            Column(label="severity"),
            Column(
                label="alertname",
                title="alert",
                links=(("Runbook", config.alerts.runbook_url("${__data.fields.alertname}")),),
            ),
            Column(label="relay", links=relay_links(config), hidden=subject is ONE_RELAY, wrap=wrap),
            Column(label="since"),
            Column(label="slo", title="SLO", width=110, wrap=wrap),
            Column(label="location", width=90, hidden=not location_label(config), wrap=wrap),
        ),
        sort=("-severity", "since"),
        no_value=NO_ALERT,
    )
