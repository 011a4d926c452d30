"""Panels, annotations and variables that several dashboards have."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from monitor.burn_rate import REFERENCE_WINDOW, burn_conditions
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
    Row,
    State,
    Variable,
)
from monitor.slo.dashboards.promql import (
    ALERT,
    BUDGET_LABELS,
    MONITOR,
    RECORDED,
    RELAY,
    burn_rate,
    firing_count,
    recorded,
    select,
    worst_state,
)
from monitor.slo.rules.recorded import budgeted, ratio_name

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

RELAY_LINK: Final = (
    "Relay detail",
    "/d/relay-monitor-relay?var-relay=${__field.labels.relay}&${datasource:queryparam}&${__url_time_range}",
)
RELAY_LINK_OF_ROW: Final = (
    "Relay detail",
    "/d/relay-monitor-relay?var-relay=${__data.fields.relay}&${datasource:queryparam}&${__url_time_range}",
)

_BUILD_INFO: Final = "relay_monitor_build_info"
_OWN: Final = 'job=~"$job", instance=~"$instance"'
MONITORS: Final = (
    Variable(name="job", label="Job", source=_BUILD_INFO),
    Variable(name="instance", label="Instance", source=select(_BUILD_INFO, 'job=~"$job"')),
    Variable(name="location", label="Location", source=select(_BUILD_INFO, _OWN)),
)
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
    expr=f"max by (relay) ({select('relay_probe_maintenance', RELAY)}) > 0",
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


def relay_status(width: int = 12) -> Panel:
    """Return the panel of the status of relays over time."""
    return Panel(
        kind=Kind.STATE_TIMELINE,
        title="Relay status",
        description="Which relay is down, and since when? A relay is down once confirmation attempts have failed, "
        "and up again with the first delivered message. Missing data is shown as no data.",
        queries=(Query(expr=worst_state("relay_up", RELAY, ("relay", "location")), legend="{{relay}} · {{location}}"),),
        unit="none",
        width=width,
        height=8,
        states=UP_STATES,
        link=RELAY_LINK,
    )


def probe_status(where: str, width: int = 24) -> Panel:
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
        link=RELAY_LINK,
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


def sli_over_window(config: Config) -> str:
    """Return the ratio of good events of each SLO over its own window."""
    windows = sorted({slo.window for slo in budgeted(config)}) or [REFERENCE_WINDOW]
    parts = [select(ratio_name(window), RECORDED) for window in windows]
    if len(windows) > 1:
        own = f"on (relay, slo, location) {select('relay_slo_window_seconds', RELAY)}"
        parts = [f"{part} and {own} == {window:.0f}" for part, window in zip(parts, windows, strict=True)]
    return f"1 - max by ({', '.join(BUDGET_LABELS)}) ({' or '.join(parts)})"


def slo_row(config: Config) -> Row:
    """Return the row of SLOs, for one relay or several."""
    factors = sorted({float(condition.factor) for condition in burn_conditions(REFERENCE_WINDOW, 15.0)})
    colours = (BLUE, AMBER, AMBER, RED)
    legend = "{{relay}} · {{slo}} · {{location}}"
    target = select("relay_slo_objective_ratio", RELAY)
    return Row(
        title="SLOs",
        panels=(
            Panel(
                kind=Kind.TABLE,
                title="SLO status",
                description="Are the objectives met? Objective, SLI over the SLO's window, remaining error budget "
                "and current burn rate.",
                queries=(
                    Query(expr=recorded("slo:objective:ratio"), column="objective", unit="percentunit"),
                    Query(expr=sli_over_window(config), column="SLI", unit="percentunit"),
                    Query(
                        expr=recorded("slo:period_error_budget_remaining:ratio"),
                        column="remaining budget",
                        unit="percentunit",
                        steps=((-1e9, RED), (0, AMBER), (0.25, GREEN)),
                    ),
                    Query(expr=recorded("slo:current_burn_rate:ratio"), column="burn rate", unit="none"),
                ),
                width=24,
                height=8,
                labels=BUDGET_LABELS,
                link=RELAY_LINK_OF_ROW,
            ),
            Panel(
                kind=Kind.TIME_SERIES,
                title="Remaining error budget",
                description="How much of the error budget of the SLO's window remains? Below 0 the objective is "
                "missed.",
                queries=(Query(expr=recorded("slo:period_error_budget_remaining:ratio"), legend=legend),),
                unit="percentunit",
                width=8,
                threshold_lines=((0, RED),),
                maximum=1,
            ),
            Panel(
                kind=Kind.TIME_SERIES,
                title="Burn rate over 1 h",
                description="How urgent is it? At a burn rate of 1 the error budget lasts exactly the SLO's window. "
                f"Sustained burn rates above the lines warn ({factors[0]:g}, {factors[1]:g}) and page "
                f"({factors[2]:g}, {factors[3]:g}).",
                queries=(Query(expr=burn_rate("1h"), legend=legend),),
                unit="none",
                width=8,
                threshold_lines=tuple(zip(factors, colours, strict=True)),
                minimum=0,
            ),
            Panel(
                kind=Kind.TIME_SERIES,
                title="SLI over 1 h and objective",
                description="How many of the events are good, and how many must be? Ratio of good events, and the "
                "objective in force.",
                queries=(
                    Query(expr=f"1 - {recorded('slo:sli_error:ratio_rate1h')}", legend=legend),
                    Query(
                        expr=f"max by (relay, slo) ({target})", legend=f"{OBJECTIVE_PREFIX} {{{{relay}}}} · {{{{slo}}}}"
                    ),
                ),
                unit="percentunit",
                width=8,
                maximum=1,
            ),
        ),
    )


def thresholds() -> Query:
    """Return the query of the thresholds in force of latency SLOs."""
    series = select("relay_slo_threshold_seconds", RELAY)
    return Query(expr=f"max by (relay, slo) ({series})", legend=f"{OBJECTIVE_PREFIX} {{{{relay}}}} · {{{{slo}}}}")
