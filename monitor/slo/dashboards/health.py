"""The dashboard of the monitors: health, schedule, resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.scenarios import Scenario
from monitor.slo.dashboard_uid import dashboard_uid
from monitor.slo.dashboards import shared_panels
from monitor.slo.dashboards.model import (
    BLUE,
    GREEN,
    OBJECTIVE_PREFIX,
    RED,
    Annotation,
    Dashboard,
    Kind,
    Panel,
    Query,
    Row,
    State,
)
from monitor.slo.dashboards.promql import (
    MONITOR,
    OWN,
    RELAY,
    WATCHDOG,
    buckets,
    increase,
    quantile,
    rate,
    select,
    sum_by,
    worst_state,
)

if TYPE_CHECKING:
    from monitor.config import Config

UID: Final = "relay-monitor-health"
_LAG: Final = "relay_monitor_event_loop_lag_seconds"


def health(config: Config) -> Dashboard:
    """Return the dashboard of the monitors."""
    version = f"count by (version, location) ({select('relay_monitor_build_info', MONITOR)}"
    return Dashboard(
        uid=dashboard_uid(UID, config.install),
        file="monitor-health.json",
        title=shared_panels.titled(config, "Monitor health"),
        description="Can the monitor be trusted? Is it running, on schedule, and with enough resources?",
        variables=(*shared_panels.monitors(config), shared_panels.RELAYS),
        annotations=(
            shared_panels.ALERTS,
            Annotation(
                name="Deploys of the monitor",
                expr=f"{version}) unless {version} offset 5m)",
                title="Monitor {{version}} at {{location}}",
                text="First start of this version at this location.",
                colour=BLUE,
                empty_reason="no monitor of another version has started within five minutes",
            ),
        ),
        rows=(_now(), _schedule(config), _resources()),
        scrape_interval=config.prometheus.scrape_interval,
        external_url=config.alerts.external_url,
        runbook_base_url=config.alerts.runbook_base_url,
    )


def _stat(
    title: str, description: str, expr: str, *, unit: str = "none", states: tuple[State, ...] = (), minimum: float = 0
) -> Panel:
    """A number that is green from `minimum` on, or the text of its state."""
    return Panel(
        kind=Kind.STAT,
        title=title,
        description=description,
        queries=(Query(expr=expr),),
        unit=unit,
        width=4,
        height=4,
        states=states,
        steps=((minimum, GREEN),),
    )


def _now() -> Row:
    reload = "relay_monitor_config_last_reload_successful"
    return Row(
        title="Overview",
        panels=(
            shared_panels.monitor_health(),
            _stat(
                "Monitors scraped",
                "Is there a monitor at every location? Number of monitors that Prometheus scrapes.",
                f"count({select('up', OWN)} == 1)",
                minimum=1,
            ),
            _stat(
                "Rule evaluation",
                "Does alerting work? The Watchdog fires while Prometheus evaluates the rules.",
                f"count({WATCHDOG})",
                states=(State(value=1, text="evaluated", colour=GREEN),),
            ),
            _stat(
                "Configuration reload",
                "Did the last reload succeed? After a failed reload the monitor continues with its previous "
                "configuration.",
                f"min({select(reload, MONITOR)})",
                states=(
                    State(value=1, text="reloaded", colour=GREEN),
                    State(value=0, text="FAILED", colour=RED),
                ),
            ),
            _stat(
                "Configuration loaded",
                "Since when is the configuration in force?",
                f"1000 * min({select('relay_monitor_config_last_reload_success_timestamp_seconds', MONITOR)})",
                unit="dateTimeFromNow",
            ),
            shared_panels.time_since_success(RELAY),
            Panel(
                kind=Kind.STATE_TIMELINE,
                title="Monitor health",
                description="When was a monitor unhealthy? Meanwhile its verdicts are suspended and its runs "
                "aborted. Missing data is shown as no data.",
                queries=(
                    Query(
                        expr=worst_state("relay_monitor_healthy", MONITOR, ("location", "instance")),
                        legend="{{location}} · {{instance}}",
                    ),
                ),
                unit="none",
                states=shared_panels.HEALTH_STATES,
            ),
            Panel(
                kind=Kind.TABLE,
                title="Monitor versions",
                description="Which version runs where? Version, Python version and shard of each monitor.",
                queries=(
                    Query(
                        expr=f"{select('relay_monitor_build_info', MONITOR)} * on (job, instance, location) "
                        f"group_left (shard) {select('relay_monitor_shard_info', MONITOR)}",
                        column="runs",
                        unit="none",
                    ),
                ),
                unit="none",
                labels=("location", "instance", "version", "python", "shard"),
            ),
        ),
    )


def _schedule(config: Config) -> Row:
    return Row(title="Schedule", panels=(*_run_panels(config), *_accounting_panels(config)))


def _run_panels(config: Config) -> tuple[Panel, ...]:
    """Return the panels of runs."""
    runs = "relay_monitor_runs_total"
    window = shared_panels.window_of_five_runs(config, *Scenario)
    return (
        Panel(
            kind=Kind.TIME_SERIES,
            title="Missed and skipped runs",
            description="Which runs did not start? Missed: the monitor was late. Skipped: the previous run had "
            "not ended, or the relay's rate limits left no room.",
            queries=(
                Query(
                    expr=sum_by(increase(select(runs, RELAY, 'result=~"missed|skipped"')), ("result", "probe")),
                    legend="{{result}} {{probe}}",
                    window=window,
                ),
            ),
            width=8,
            bars=True,
            stacked=True,
            minimum=0,
        ),
        Panel(
            kind=Kind.TIME_SERIES,
            title="Runs started",
            description="Do the probes run? Runs of each probe.",
            queries=(
                Query(
                    expr=sum_by(increase(select(runs, RELAY, 'result="started"')), ("relay", "probe")),
                    legend="{{relay}} · {{probe}}",
                    window=window,
                ),
            ),
            width=8,
            bars=True,
            stacked=True,
            minimum=0,
        ),
        Panel(
            kind=Kind.TIME_SERIES,
            title="Time since last success by probe",
            description="Which probe has not succeeded recently? In units of its interval.",
            queries=(
                Query(
                    expr=f"max by (relay, probe, location) ({shared_panels.intervals_since_success(RELAY)})",
                    legend="{{relay}} · {{probe}} · {{location}}",
                ),
            ),
            unit="none",
            width=8,
            minimum=0,
        ),
    )


def _accounting_panels(config: Config) -> tuple[Panel, ...]:
    """Return the panels of exchanges and messages that are not counted yet or not at all."""
    window = shared_panels.window_of_five_runs(config, *Scenario)
    return (
        Panel(
            kind=Kind.TIME_SERIES,
            title="Aborted and excluded exchanges",
            description="Which exchanges count for no SLO? Aborted: the monitor stopped them. Excluded: a "
            "maintenance window was open.",
            queries=(
                Query(
                    expr=sum_by(
                        increase(select("relay_probe_exchanges_total", RELAY, 'outcome=~"aborted|excluded"')),
                        ("outcome", "location"),
                    ),
                    legend="{{outcome}} {{location}}",
                    window=window,
                ),
            ),
            bars=True,
            stacked=True,
            minimum=0,
        ),
        Panel(
            kind=Kind.TIME_SERIES,
            title="Pending messages",
            description="How many messages have no verdict yet? Sent, and neither delivered nor lost.",
            queries=(
                Query(
                    expr=f"sum by (relay, location) ({select('relay_probe_messages_pending', RELAY)})",
                    legend="{{relay}} · {{location}}",
                ),
            ),
            minimum=0,
        ),
    )


def _resources() -> Row:
    memory, cpu = "process_resident_memory_bytes", "process_cpu_seconds_total"
    return Row(
        title="Resources",
        panels=(
            Panel(
                kind=Kind.TIME_SERIES,
                title="Event-loop lag",
                description="Are latencies measured exactly? Delay of scheduled callbacks of the event loop.",
                queries=tuple(
                    Query(
                        expr=quantile(q, _LAG, MONITOR, by=("location",)),
                        legend=f"p{round(q * 100)} {{{{location}}}}",
                    )
                    for q in (0.5, 0.99)
                ),
                unit="s",
                minimum=0,
            ),
            Panel(
                kind=Kind.HEATMAP,
                title="Event-loop lag distribution",
                description="Is the event loop always late, or now and then? Number of measurements by delay.",
                queries=(Query(expr=buckets(_LAG, MONITOR), legend="{{le}}"),),
                unit="s",
            ),
            Panel(
                kind=Kind.TIME_SERIES,
                title="CPU",
                description="Is its single core overloaded?",
                queries=(Query(expr=rate(select(cpu, OWN)), legend="{{instance}}"),),
                unit="percentunit",
                width=6,
                minimum=0,
            ),
            Panel(
                kind=Kind.TIME_SERIES,
                title="Memory",
                description="Does memory grow? Resident set size.",
                queries=(Query(expr=select(memory, OWN), legend="{{instance}}"),),
                unit="bytes",
                width=6,
                minimum=0,
            ),
            Panel(
                kind=Kind.TIME_SERIES,
                title="File descriptors",
                description="Are there enough file descriptors? Open descriptors, and their limit.",
                queries=(
                    Query(expr=select("process_open_fds", OWN), legend="{{instance}}"),
                    Query(
                        expr=select("process_max_fds", OWN),
                        legend=f"{OBJECTIVE_PREFIX} {{{{instance}}}}",
                    ),
                ),
                unit="short",
                width=6,
                minimum=0,
            ),
            Panel(
                kind=Kind.TIME_SERIES,
                title="Scrape duration",
                description="How long does a scrape take?",
                queries=(Query(expr=select("scrape_duration_seconds", OWN), legend="{{instance}}"),),
                unit="s",
                width=6,
                minimum=0,
            ),
        ),
    )
