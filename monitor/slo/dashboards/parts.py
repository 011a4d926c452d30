"""What several dashboards share: the verdict on relays and probes, the objectives, the choices at the top."""

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
    Event,
    Kind,
    Panel,
    Query,
    Row,
    State,
    Variable,
)
from monitor.slo.dashboards.promql import (
    ALERT,
    MONITOR,
    OBJECTIVE,
    RECORDED,
    RELAY,
    burning,
    firing,
    recorded,
    select,
    state,
)
from monitor.slo.rules.recorded import budgeted, ratio_name

if TYPE_CHECKING:
    from monitor.config import Config
    from monitor.scenarios import Scenario

LIMIT: Final = "objective"
"""The word that the legends of objectives and thresholds begin with."""

GONE: Final = State(value=-1, word="no data", colour=UNKNOWN)
UP: Final = (State(value=1, word="up", colour=GREEN), State(value=0, word="DOWN", colour=RED), GONE)
TRUST: Final = (State(value=1, word="healthy", colour=GREEN), State(value=0, word="UNHEALTHY", colour=RED), GONE)

DETAIL: Final = (
    "This relay in detail",
    "/d/relay-monitor-relay?var-relay=${__field.labels.relay}&${datasource:queryparam}&${__url_time_range}",
)
DETAIL_OF_ROW: Final = (
    "This relay in detail",
    "/d/relay-monitor-relay?var-relay=${__data.fields.relay}&${datasource:queryparam}&${__url_time_range}",
)

_PULSE: Final = "relay_monitor_build_info"
_OWN: Final = 'job=~"$job", instance=~"$instance"'
MONITORS: Final = (
    Variable(name="job", label="Job", source=_PULSE),
    Variable(name="instance", label="Instance", source=select(_PULSE, 'job=~"$job"')),
    Variable(name="location", label="Location", source=select(_PULSE, _OWN)),
)
RELAYS: Final = Variable(name="relay", label="Relay", source=select("relay_monitor_runs_total", MONITOR))

NO_ALERT: Final = "no alert fires"

ALERTS: Final = Event(
    name="Alerts",
    expr=select("ALERTS", ALERT, 'alertstate="firing"'),
    title="{{alertname}}",
    text="{{severity}} {{relay}} {{slo}} {{location}}",
    colour=RED,
    quiet=NO_ALERT,
)
MAINTENANCE: Final = Event(
    name="Maintenance",
    expr=f"max by (relay) ({select('relay_probe_maintenance', RELAY)}) > 0",
    title="Maintenance of {{relay}}",
    text="Runs go on and count for nothing.",
    colour=BLUE,
    quiet="no maintenance window is open",
)


def age(where: str) -> str:
    """How long ago a probe's last good run was, in units of the time between its runs."""
    last = select("relay_probe_last_success_timestamp_seconds", where)
    return f"(time() - {last}) / {select('relay_probe_interval_seconds', where)}"


def sparse(config: Config, *scenarios: Scenario) -> float:
    """Seconds that hold five runs of the rarest probe of these scenarios; 0 where all of them are continuous."""
    return max((5 * (probe.period or 0.0) for probe in config.probes if probe.scenario in scenarios), default=0.0)


def hundred(config: Config, *scenarios: Scenario) -> float:
    """Seconds in which the rarest continuous probe of these scenarios makes the hundred exchanges that a P99 needs."""
    waits = [
        100 * probe.cycle / probe.pairs
        for probe in config.probes
        if probe.scenario in scenarios and probe.is_continuous
    ]
    return 60.0 * math.ceil(max(waits, default=0.0) / 60)


def alerts_firing() -> Panel:
    """How many alerts fire."""
    return Panel(
        kind=Kind.STAT,
        title="Alerts firing",
        description="Is it broken? The alerts that fire now. 0 is shown only while the rules are evaluated.",
        queries=(Query(expr=firing()),),
        unit="none",
        width=4,
        height=4,
        steps=((0, GREEN), (1, RED)),
    )


def oldest_run(where: str) -> Panel:
    """The age of the oldest last good run."""
    return Panel(
        kind=Kind.STAT,
        title="Oldest last good run",
        description="Is it still looked at, and is it good? The age of the last good run of the probe that waits "
        "longest for one, in units of the time between its runs: 1 is on time, 3 is late.",
        queries=(Query(expr=f"max({age(where)})"),),
        unit="none",
        decimals=1,
        width=4,
        height=4,
        steps=((0, GREEN), (2.5, AMBER), (4, RED)),
    )


def trust(width: int = 4) -> Panel:
    """Whether the monitor trusts itself."""
    return Panel(
        kind=Kind.STAT,
        title="Monitor",
        description="Can I trust the monitor? Unhealthy: it is overloaded or cut off itself, holds back its verdicts "
        "and blames no relay. No data: it is not scraped.",
        queries=(Query(expr=f"min({select('relay_monitor_healthy', MONITOR)})"),),
        unit="none",
        width=width,
        height=4,
        states=TRUST[:2],
    )


def relay_states(width: int = 12) -> Panel:
    """Which relay is down, and since when."""
    return Panel(
        kind=Kind.STATES,
        title="Relays, as each location sees them",
        description="Which relay, and since when? Down is a failure that fresh attempts have confirmed; up again with "
        "the first message that crosses. A gap in time is shown as such.",
        queries=(Query(expr=state("relay_up", RELAY, ("relay", "location")), legend="{{relay}} · {{location}}"),),
        unit="none",
        width=width,
        height=8,
        states=UP,
        link=DETAIL,
    )


def probe_states(where: str, width: int = 24) -> Panel:
    """Which of the probes fail."""
    by = ("relay", "probe", "location")
    return Panel(
        kind=Kind.STATES,
        title="Probes",
        description="What part of it is broken? A probe is down when its last two runs failed, or the relay is down.",
        queries=(Query(expr=state("relay_probe_up", where, by), legend="{{relay}} · {{probe}} · {{location}}"),),
        unit="none",
        width=width,
        height=8,
        states=UP,
        link=DETAIL,
    )


def alert_table(config: Config, width: int = 12) -> Panel:
    """The alerts that fire, with the time each began."""
    labels = ("alertname", "severity", "relay", "slo", "probe", "location")
    since = select("ALERTS_FOR_STATE", ALERT)
    now = select("ALERTS", ALERT, 'alertstate="firing"')
    runbooks = config.alerts.runbook_base_url.rstrip("/")
    return Panel(
        kind=Kind.TABLE,
        title="What fires, and since when",
        description="Which alerts fire, since when, and what is to be done? A row opens the runbook of its alert.",
        queries=(
            Query(
                expr=f"1000 * max by ({', '.join(labels)}) ({since} and ignoring (alertstate) {now})",
                column="since",
                unit="dateTimeFromNow",
                quiet=NO_ALERT,
            ),
        ),
        unit="none",
        width=width,
        height=8,
        labels=labels,
        link=("Runbook", f"{runbooks}/${{__data.fields.alertname}}"),
    )


def kept(config: Config) -> str:
    """The good events as a part of all, of each SLO over its own window."""
    windows = sorted({slo.window for slo in budgeted(config)}) or [REFERENCE_WINDOW]
    parts = [select(ratio_name(window), RECORDED) for window in windows]
    if len(windows) > 1:
        own = f"on (relay, slo, location) {select('relay_slo_window_seconds', RELAY)}"
        parts = [f"{part} and {own} == {window:.0f}" for part, window in zip(parts, windows, strict=True)]
    return f"1 - max by ({', '.join(OBJECTIVE)}) ({' or '.join(parts)})"


def objectives(config: Config) -> Row:
    """How the objectives stand, the same for one relay and for many."""
    factors = sorted({float(burn.factor) for burn in burn_conditions(REFERENCE_WINDOW, 15.0)})
    colours = (BLUE, AMBER, AMBER, RED)
    legend = "{{relay}} · {{slo}} · {{location}}"
    target = select("relay_slo_objective_ratio", RELAY)
    return Row(
        title="Objectives",
        panels=(
            Panel(
                kind=Kind.TABLE,
                title="How the objectives stand",
                description="How does each objective stand? What was promised, what was kept over its window, what is "
                "left of the error budget, and how many times too fast it burns now.",
                queries=(
                    Query(expr=recorded("slo:objective:ratio"), column="objective", unit="percentunit"),
                    Query(expr=kept(config), column="kept", unit="percentunit"),
                    Query(
                        expr=recorded("slo:period_error_budget_remaining:ratio"),
                        column="budget left",
                        unit="percentunit",
                        steps=((-1e9, RED), (0, AMBER), (0.25, GREEN)),
                    ),
                    Query(expr=recorded("slo:current_burn_rate:ratio"), column="burns now", unit="none"),
                ),
                width=24,
                height=8,
                labels=OBJECTIVE,
                link=DETAIL_OF_ROW,
            ),
            Panel(
                kind=Kind.LINES,
                title="Error budget left",
                description="Can we afford more of this? The part of the budget of each objective's window that is "
                "left; below 0 the objective is missed.",
                queries=(Query(expr=recorded("slo:period_error_budget_remaining:ratio"), legend=legend),),
                unit="percentunit",
                width=8,
                rules=((0, RED),),
                most=1,
            ),
            Panel(
                kind=Kind.LINES,
                title="Burn rate over 1 h",
                description="Is it urgent? How many times too fast the budget burns: at 1 it lasts exactly its window. "
                f"The lines are where warnings ({factors[0]:g}, {factors[1]:g}) and pages ({factors[2]:g}, "
                f"{factors[3]:g}) begin, if it goes on for long enough.",
                queries=(Query(expr=burning("1h"), legend=legend),),
                unit="none",
                width=8,
                rules=tuple(zip(factors, colours, strict=True)),
                least=0,
            ),
            Panel(
                kind=Kind.LINES,
                title="Good events over 1 h, against the objective",
                description="How good is it, and how good must it be? Good events as a part of all, and the objective "
                "that is in force.",
                queries=(
                    Query(expr=f"1 - {recorded('slo:sli_error:ratio_rate1h')}", legend=legend),
                    Query(expr=f"max by (relay, slo) ({target})", legend=f"{LIMIT} {{{{relay}}}} · {{{{slo}}}}"),
                ),
                unit="percentunit",
                width=8,
                most=1,
            ),
        ),
    )


def threshold() -> Query:
    """The thresholds of latency objectives that are in force."""
    series = select("relay_slo_threshold_seconds", RELAY)
    return Query(expr=f"max by (relay, slo) ({series})", legend=f"{LIMIT} {{{{relay}}}} · {{{{slo}}}}")
