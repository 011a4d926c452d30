"""Panels, annotations and variables that several dashboards have."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from monitor.slo.dashboard_uid import DEFAULT_INSTALL, dashboard_uid
from monitor.slo.dashboards.model import (
    AMBER,
    BLUE,
    GREEN,
    RED,
    UNKNOWN,
    Annotation,
    Kind,
    Panel,
    Query,
    State,
    Variable,
)
from monitor.slo.dashboards.promql import (
    ALERT,
    CONDITIONS,
    MONITOR,
    OWN,
    RELAY,
    firing_count,
    increase,
    select,
    sum_by,
    worst_condition,
    worst_state,
)
from monitor.vocabulary import Condition

if TYPE_CHECKING:
    from monitor.config import Config
    from monitor.scenarios import Scenario

OBJECTIVE_PREFIX: Final = "objective"
"""Prefix of the legends of objectives and thresholds."""

NO_DATA_STATE: Final = State(value=-1, text="no data", colour=UNKNOWN)
UP_STATES: Final = (State(value=1, text="up", colour=GREEN), State(value=0, text="DOWN", colour=RED), NO_DATA_STATE)
HEALTH_STATES: Final = (
    State(value=1, text="healthy", colour=GREEN),
    State(value=0, text="UNHEALTHY", colour=RED),
    NO_DATA_STATE,
)

DETAIL_UID: Final = "relay-monitor-relay"
"""The uid of the dashboard of one relay, of the default install."""

_BUILD_INFO: Final = "relay_monitor_build_info"
_INSTALL: Final = 'install=~"$install"'


def monitors(config: Config) -> tuple[Variable, ...]:
    """Return the variables that select monitors; the install is that of the configuration at first."""
    return (
        Variable(name="install", label="Install", source=_BUILD_INFO, several=False, value=config.install),
        Variable(name="job", label="Job", source=select(_BUILD_INFO, _INSTALL)),
        Variable(name="instance", label="Instance", source=select(_BUILD_INFO, _INSTALL, 'job=~"$job"')),
        Variable(name="location", label="Location", source=select(_BUILD_INFO, _INSTALL, OWN)),
    )


def titled(config: Config, title: str) -> str:
    """Return the title of a dashboard, with the install unless it is the default one."""
    return title if config.install == DEFAULT_INSTALL else f"{title} ({config.install})"


def relay_link(config: Config, relay: str = "${__field.labels.relay}") -> tuple[str, str]:
    """Return the link to the dashboard of a relay, whose name Grafana puts in."""
    uid = dashboard_uid(DETAIL_UID, config.install)
    url = f"/d/{uid}?var-install=${{install}}&var-relay={relay}&${{datasource:queryparam}}&${{__url_time_range}}"
    return "Relay detail", url


RELAYS: Final = Variable(name="relay", label="Relay", source=select("relay_monitor_runs_total", MONITOR))

NO_ALERT: Final = "no alert is firing"

ALERTS: Final = Annotation(
    name="Alerts",
    expr=select("ALERTS", ALERT, 'alertstate="firing"'),
    title="{{alertname}}",
    text="{{severity}} {{relay}} {{slo}} {{location}}",
    colour=RED,
    empty_reason=NO_ALERT,
)
MAINTENANCE: Final = Annotation(
    name="Maintenance",
    expr=f"max by (relay) ({select('relay_maintenance', RELAY)}) > 0",
    title="Maintenance of {{relay}}",
    text="Runs continue and are excluded from every SLO.",
    colour=BLUE,
    empty_reason="no maintenance window is open",
)


def intervals_since_success(where: str) -> str:
    """Return the time since a probe's last success, in units of its interval."""
    last = select("relay_probe_last_success_timestamp_seconds", where)
    return f"(time() - {last}) / {select('relay_probe_interval_seconds', where)}"


def window_of_five_runs(config: Config, *scenarios: Scenario) -> float:
    """Return the seconds of five runs of the slowest probe of these scenarios; 0 if all are continuous."""
    return max((5 * (probe.period or 0.0) for probe in config.probes if probe.scenario in scenarios), default=0.0)


def window_of_100_exchanges(config: Config, *scenarios: Scenario) -> float:
    """Return the seconds in which the slowest continuous probe of these scenarios makes the 100 exchanges of a P99."""
    waits = [
        100 * probe.cycle / probe.pairs
        for probe in config.probes
        if probe.scenario in scenarios and probe.is_continuous
    ]
    return 60.0 * math.ceil(max(waits, default=0.0) / 60)


def alerts_firing() -> Panel:
    """Return the panel of the number of firing alerts."""
    return Panel(
        kind=Kind.STAT,
        title="Alerts firing",
        description="Is anything broken? Number of firing alerts. 0 is shown only while Prometheus evaluates the "
        "rules.",
        queries=(Query(expr=firing_count()),),
        unit="none",
        width=4,
        height=4,
        steps=((0, GREEN), (1, RED)),
    )


def time_since_success(where: str) -> Panel:
    """Return the panel of the longest time since a probe's last success."""
    return Panel(
        kind=Kind.STAT,
        title="Time since last success",
        description="Are the probes running, and do they succeed? Time since the last successful run of the probe "
        "for which it is longest, in units of its interval: 1 is on time, 3 is late.",
        queries=(Query(expr=f"max({intervals_since_success(where)})"),),
        unit="none",
        decimals=1,
        width=4,
        height=4,
        steps=((0, GREEN), (2.5, AMBER), (4, RED)),
    )


def monitor_health(width: int = 4) -> Panel:
    """Return the panel of the monitor's health."""
    return Panel(
        kind=Kind.STAT,
        title="Monitor",
        description="Can the monitor be trusted? Unhealthy: it is overloaded or has lost its network; its verdicts "
        "are suspended. No data: Prometheus does not scrape it.",
        queries=(Query(expr=f"min({select('relay_monitor_healthy', MONITOR)})"),),
        unit="none",
        width=width,
        height=4,
        states=HEALTH_STATES[:2],
    )


_CONDITION_TEXTS: Final = {
    Condition.UP: ("up", GREEN),
    Condition.DEGRADED: ("degraded", AMBER),
    Condition.UNKNOWN: ("unknown", UNKNOWN),
    Condition.NOT_ACCEPTING: ("NOT ACCEPTING", RED),
    Condition.DOWN: ("DOWN", RED),
}
CONDITION_STATES: Final = (
    *(
        State(value=number, text=_CONDITION_TEXTS[condition][0], colour=_CONDITION_TEXTS[condition][1])
        for number, condition in enumerate(CONDITIONS)
    ),
    NO_DATA_STATE,
)


def relay_status(config: Config, width: int = 12) -> Panel:
    """Return the panel of the condition of relays over time."""
    return Panel(
        kind=Kind.STATE_TIMELINE,
        title="Relay status",
        description="Which relay is down, accepts no new connections or is degraded, and since when? Unknown: nothing "
        "could be observed. Missing data is shown as no data.",
        queries=(Query(expr=worst_condition(RELAY, ("relay", "location")), legend="{{relay}} · {{location}}"),),
        unit="none",
        width=width,
        height=8,
        states=CONDITION_STATES,
        link=relay_link(config),
    )


def causes() -> Panel:
    """Return the table of the present causes of relays that are not up."""
    labels = ("relay", "location", "step", "reason", "status")
    series = select("relay_cause_info", RELAY)
    return Panel(
        kind=Kind.TABLE,
        title="Present causes",
        description="Why is a relay not up? Step, reason and status of the latest attempt, while it is not up.",
        queries=(
            Query(
                expr=f"max by ({', '.join(labels)}) ({series}) == 1",
                column="now",
                unit="none",
                empty_reason="every relay is up",
            ),
        ),
        unit="none",
        width=12,
        height=8,
        labels=labels,
    )


def endpoint_failures(where: str) -> Panel:
    """Return the panel of the failures of single endpoints."""
    failures = sum_by(increase(select("relay_endpoint_failures_total", where)), ("relay", "endpoint"))
    return Panel(
        kind=Kind.TIME_SERIES,
        title="Failures by endpoint",
        description="Does one node fail? Attempts, connects and exchanges that failed at each endpoint of the relay.",
        queries=(
            Query(
                expr=f"{failures} > 0", legend="{{relay}} · {{endpoint}}", empty_reason="no endpoint fails", window=60.0
            ),
        ),
        unit="short",
        width=12,
        height=8,
        bars=True,
        stacked=True,
        minimum=0,
    )


def probe_status(config: Config, where: str, width: int = 24) -> Panel:
    """Return the panel of the status of probes over time."""
    by = ("relay", "probe", "location")
    return Panel(
        kind=Kind.STATE_TIMELINE,
        title="Probe status",
        description="Which part is broken? A probe is down if its last two runs failed or the relay is down.",
        queries=(Query(expr=worst_state("relay_probe_up", where, by), legend="{{relay}} · {{probe}} · {{location}}"),),
        unit="none",
        width=width,
        height=8,
        states=UP_STATES,
        link=relay_link(config),
    )


def firing_alerts(config: Config, width: int = 12) -> Panel:
    """Return the table of firing alerts with their start."""
    labels = ("alertname", "severity", "relay", "slo", "probe", "location")
    since = select("ALERTS_FOR_STATE", ALERT)
    now = select("ALERTS", ALERT, 'alertstate="firing"')
    runbooks = config.alerts.runbook_base_url.rstrip("/")
    return Panel(
        kind=Kind.TABLE,
        title="Firing alerts",
        description="Which alerts fire, and since when? A row links to the runbook of its alert.",
        queries=(
            Query(
                expr=f"1000 * max by ({', '.join(labels)}) ({since} and ignoring (alertstate) {now})",
                column="since",
                unit="dateTimeFromNow",
                empty_reason=NO_ALERT,
            ),
        ),
        unit="none",
        width=width,
        height=8,
        labels=labels,
        link=("Runbook", f"{runbooks}/${{__data.fields.alertname}}"),
    )


def thresholds() -> Query:
    """Return the query of the thresholds in force of latency SLOs."""
    series = select("relay_slo_threshold_seconds", RELAY)
    return Query(expr=f"max by (relay, slo) ({series})", legend=f"{OBJECTIVE_PREFIX} {{{{relay}}}} · {{{{slo}}}}")
