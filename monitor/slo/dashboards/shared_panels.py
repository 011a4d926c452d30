"""Panels, annotations and variables that several dashboards have."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from monitor.slo.dashboard_uid import DEFAULT_INSTALL, dashboard_uid
from monitor.slo.dashboards.annotations import alert_starts, maintenance
from monitor.slo.dashboards.model import NO_DATA, OBJECTIVE_PREFIX, Kind, Panel, Query, State, Variable
from monitor.slo.dashboards.palette import AMBER, GREEN, RED, UNKNOWN
from monitor.slo.dashboards.palette import CONDITIONS as CONDITION_COLOURS
from monitor.slo.dashboards.promql import (
    CONDITIONS,
    MONITOR,
    OWN,
    SELECTED_RELAYS,
    Subject,
    events_of_most,
    or_text,
    select,
    worst_condition,
    worst_state,
)
from monitor.vocabulary import Condition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.config import Config
    from monitor.scenarios import Scenario

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
_INSTALL: Final = 'install="$install"'


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


def location_label(config: Config) -> tuple[str, ...]:
    """Return the label of the location where there are several; one location is no news in a legend."""
    return ("location",) if len(config.locations) > 1 else ()


def legend(*labels: str) -> str:
    """Return the legend that shows these labels."""
    return " · ".join(f"{{{{{label}}}}}" for label in labels)


def page_url(config: Config) -> str:
    """Return the on-call page of the generating monitor, without a slash at its end."""
    url = config.alerts.external_url.rstrip("/")
    return url.replace("{location}", config.location).replace("{shard}", "0")


def relay_link(config: Config, relay: str = "${__field.labels.relay}") -> tuple[str, str]:
    """Return the link to the dashboard of a relay, whose name Grafana puts in."""
    uid = dashboard_uid(DETAIL_UID, config.install)
    url = f"/d/{uid}?var-install=${{install}}&var-relay={relay}"
    return "Relay detail", f"{url}&${{location:queryparam}}&${{datasource:queryparam}}&${{__url_time_range}}"


def relay_links(config: Config, relay: str = "${__data.fields.relay}") -> tuple[tuple[str, str], ...]:
    """Return the links of a relay: its dashboard, the on-call page at it, its incidents."""
    page = page_url(config)
    return (
        relay_link(config, relay),
        ("On-call page", f"{page}/?relay={relay}"),
        ("Incidents", f"{page}/incidents?relay={relay}"),
    )


RELAYS: Final = Variable(name="relay", label="Relay", source=select("relay_monitor_runs_total", MONITOR))
THIS_RELAY: Final = Variable(
    name="relay", label="Relay", source=select("relay_monitor_runs_total", MONITOR), several=False
)

ALERTS: Final = alert_starts(SELECTED_RELAYS)
MAINTENANCE: Final = maintenance(SELECTED_RELAYS)
NO_ALERT: Final = "no alert is firing"


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


def time_since_success(where: str, width: int = 4) -> Panel:
    """Return the panel of the longest time since a probe's last success."""
    return Panel(
        kind=Kind.STAT,
        title="Time since last success",
        description="Are the probes running, and do they succeed? Time since the last successful run of the probe "
        "for which it is longest, in units of its interval: 1 is on time, 3 is late.",
        queries=(Query(expr=f"max({intervals_since_success(where)})"),),
        unit="none",
        decimals=1,
        width=width,
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


CONDITION_TEXTS: Final = {
    Condition.UP: "up",
    Condition.DEGRADED: "degraded",
    Condition.UNKNOWN: "unknown",
    Condition.NOT_ACCEPTING: "NOT ACCEPTING",
    Condition.DOWN: "DOWN",
}
CONDITION_STATES: Final = (
    *(
        State(value=number, text=CONDITION_TEXTS[condition], colour=CONDITION_COLOURS[condition])
        for number, condition in enumerate(CONDITIONS)
    ),
    NO_DATA_STATE,
)


def relay_condition(subject: Subject, width: int = 4) -> Panel:
    """Return the panel of the worst condition of the selected relays."""
    return Panel(
        kind=Kind.STAT,
        title="Relay",
        description="Are messages delivered, and new connections accepted? The worst condition that a location "
        "reports.",
        queries=(Query(expr=f"max({worst_condition(subject.relay, ('relay',))})"),),
        unit="none",
        width=width,
        height=4,
        states=CONDITION_STATES,
    )


def relay_status(config: Config, width: int = 12, subject: Subject = SELECTED_RELAYS, height: int = 8) -> Panel:
    """Return the panel of the condition of relays over time."""
    labels = ("relay", *location_label(config))
    return Panel(
        kind=Kind.STATE_TIMELINE,
        title="Relay status",
        description="Which relay is down, accepts no new connections or is degraded, and since when? Unknown: nothing "
        "could be observed. Missing data is shown as no data.",
        queries=(Query(expr=worst_condition(subject.relay, labels), legend=legend(*labels)),),
        unit="none",
        width=width,
        height=height,
        states=CONDITION_STATES,
        link=relay_link(config),
    )


def causes(subject: Subject = SELECTED_RELAYS, by: Sequence[str] = ("relay", "location"), width: int = 12) -> Panel:
    """Return the table of the present causes of relays that are not up."""
    labels = (*by, "step", "reason", "status")
    series = select("relay_cause_info", subject.relay)
    return Panel(
        kind=Kind.TABLE,
        title="Present causes",
        description="Why is a relay not up? Step, reason and status of the latest attempt, while it is not up.",
        queries=(
            Query(
                expr=or_text(
                    f"max by ({', '.join(labels)}) ({series}) == 1",
                    select("relay_state", subject.relay),
                    by[0],
                    NO_DATA,
                ),
                column="now",
                unit="none",
                empty_reason="every relay is up",
                hidden=True,
            ),
        ),
        unit="none",
        width=width,
        height=8,
        labels=labels,
        no_value="every relay is up",
    )


def endpoint_failures(where: str, by: Sequence[str] = ("relay", "endpoint"), width: int = 12) -> Panel:
    """Return the panel of the failures of single endpoints."""
    return Panel(
        kind=Kind.TIME_SERIES,
        title="Failures by endpoint",
        description="Does one node fail? Attempts, connects and exchanges that failed at each endpoint of the relay; "
        "the ten endpoints with most of them.",
        queries=(
            Query(
                expr=or_text(
                    events_of_most(select("relay_endpoint_failures_total", where), by),
                    select("relay_state", where),
                    by[-1],
                    NO_DATA,
                ),
                legend=legend(*by),
                empty_reason="no endpoint fails",
            ),
        ),
        unit="short",
        width=width,
        height=8,
        bars=True,
        stacked=True,
        minimum=0,
        no_value="no endpoint fails",
    )


def probe_status(config: Config, where: str, width: int = 24, by: Sequence[str] = ("relay", "probe")) -> Panel:
    """Return the panel of the status of probes over time."""
    labels = (*by, *location_label(config))
    return Panel(
        kind=Kind.STATE_TIMELINE,
        title="Probe status",
        description="Which part is broken? A probe is down if its last two runs failed or the relay is down.",
        queries=(Query(expr=worst_state("relay_probe_up", where, labels), legend=legend(*labels)),),
        unit="none",
        width=width,
        height=8,
        states=UP_STATES,
        link=relay_link(config) if "relay" in by else None,
    )


def thresholds(subject: Subject = SELECTED_RELAYS, data: str = "", by: Sequence[str] = ("relay", "slo")) -> Query:
    """Return the query of the thresholds in force of latency SLOs.

    With `data`, an expression without labels, only of those that it comes near to: a line far above would press the
    data flat against the axis.
    """
    series = f"max by ({', '.join(by)}) ({select('relay_slo_threshold_seconds', subject.relay)})"
    return Query(
        expr=f"{series} <= {_NEAR} * scalar({data})" if data else series,
        legend=f"{OBJECTIVE_PREFIX} {legend(*by)}",
        empty_reason="the latency is far from its threshold" if data else "",
    )


_NEAR: Final = 4
"""A threshold is shown from a quarter of it on."""
