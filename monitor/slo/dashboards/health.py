"""The dashboard of the monitors: health, configuration, schedule, resources."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from monitor.slo.dashboard_uid import dashboard_uid
from monitor.slo.dashboards import alert_panels, palette, shared_panels
from monitor.slo.dashboards.annotations import alert_starts, configuration_changes, monitor_deploys
from monitor.slo.dashboards.connections import ON_TIME
from monitor.slo.dashboards.failures import bars
from monitor.slo.dashboards.model import (
    Between,
    Column,
    Dashboard,
    Kind,
    Panel,
    Query,
    Row,
    State,
)
from monitor.slo.dashboards.promql import (
    MONITOR,
    MONITORS,
    RELAY,
    WATCHDOG,
    select,
    worst_state,
)
from monitor.slo.dashboards.resources import resource_row

if TYPE_CHECKING:
    from monitor.config import Config

UID: Final = "relay-monitor-health"
ALL_HEALTHY: Final = "no self-check fails"
ALL_COUNT: Final = "every exchange counts"
_CHECK_FAILED: Final = State(value=2, text="check failed", colour=palette.ORANGE)
_TEXT_SIZE: Final = 28
"""Pixels of the texts of the first line, which would fill their panels otherwise."""

_FEW_MONITORS: Final = 4
_DRILL_FAILED: Final = -1
_NO_DRILL: Final = -2
_OVERDUE: Final = 20
"""Probes in the table of the longest time since a success."""


def health(config: Config) -> Dashboard:
    """Return the dashboard of the monitors."""
    return Dashboard(
        uid=dashboard_uid(UID, config.install),
        file="monitor-health.json",
        title=shared_panels.titled(config, "Monitor health"),
        description="Can the monitor be trusted? Is it running, on schedule, and with enough resources?",
        variables=(*shared_panels.monitors(config), shared_panels.RELAYS),
        annotations=(
            alert_starts(MONITORS),
            monitor_deploys(),
            configuration_changes(),
        ),
        rows=(_status(config), _schedule(config), resource_row(config)),
        scrape_interval=config.prometheus.scrape_interval,
        external_url=shared_panels.page_url(config),
        runbook_base_url=config.alerts.runbook_base_url,
    )


def _status(config: Config) -> Row:
    height = 6 if len(config.locations) * config.shards <= _FEW_MONITORS else 7
    return Row(
        title="",
        panels=(
            *_numbers(config),
            replace(_monitors(config), height=height),
            alert_panels.firing_alerts(config, width=9, subject=MONITORS, height=height),
            _timeline(config),
        ),
    )


def _stat(
    title: str,
    description: str,
    expr: str,
    *,
    unit: str = "none",
    states: tuple[State | Between, ...] = (),
    steps: tuple[tuple[float, str], ...] = (),
) -> Panel:
    return Panel(
        kind=Kind.STAT,
        title=title,
        description=description,
        queries=(Query(expr=expr),),
        unit=unit,
        width=3,
        height=3,
        size=_TEXT_SIZE,
        states=states,
        steps=steps,
    )


def _numbers(config: Config) -> tuple[Panel, ...]:
    """Return the line of numbers."""
    expected = len(config.locations) * config.shards
    drift = f'ALERTS{{{MONITORS.alerts}, alertname="RelayMonitorRulesDrift", alertstate="firing"}}'
    return (
        _stat(
            "Health",
            "Can the monitor be trusted? Unhealthy: it is overloaded or has lost its network; its verdicts are "
            "suspended. No data: Prometheus does not scrape it.",
            f"min({select('relay_monitor_healthy', MONITOR)})",
            states=shared_panels.HEALTH_STATES[:2],
        ),
        _stat(
            "Monitors scraped",
            f"Is there a monitor of every location and shard? {expected} expected.",
            f"count(count by (location, shard) ({select('relay_monitor_shard_info', MONITOR)}))",
            steps=((0, palette.RED), (expected, palette.GREEN)),
        ),
        _stat(
            "Rule evaluation",
            "Does alerting work? The Watchdog fires while Prometheus evaluates the rules.",
            f"count({WATCHDOG})",
            states=(Between(first=1, text="evaluated", colour=palette.GREEN),),
        ),
        replace(
            _stat(
                "Rules and configuration",
                "Are the rules those of the monitors' configuration? If they differ, new relays and objectives are not "
                "guarded: run `relay-monitor generate` and deploy the rules.",
                f"count({drift}) or 0 * max({WATCHDOG})",
                states=(
                    State(value=0, text="agree", colour=palette.GREEN),
                    Between(first=1, text="DIFFER", colour=palette.AMBER),
                ),
            ),
            width=4,
        ),
        replace(
            _good_or_failed(
                "Configuration reload",
                "Did the last reload succeed? After a failed reload the monitor continues with its previous "
                "configuration.",
                "relay_monitor_config_last_reload_successful",
                "reloaded",
            ),
            width=4,
        ),
        _good_or_failed(
            "Journal",
            "Can runs and incidents be stored? While the journal cannot be written, they are lost at the next restart.",
            "relay_monitor_journal_healthy",
            "written",
        ),
        _drill(),
    )


def _good_or_failed(title: str, description: str, gauge: str, good: str) -> Panel:
    """Return the panel of a gauge that is 1 at every monitor while all is well."""
    states = (
        State(value=1, text=good, colour=palette.GREEN),
        State(value=0, text="FAILED", colour=palette.AMBER),
    )
    return _stat(title, description, f"min({select(gauge, MONITOR)})", states=states)


def _drill() -> Panel:
    """Return the panel of the last drill of the page chain."""
    failed = f"max({select('relay_monitor_drill_last_successful', MONITOR)} == 0)"
    passed = f"max({select('relay_monitor_drill_page_seconds', MONITOR)})"
    states = (
        State(value=_DRILL_FAILED, text="FAILED", colour=palette.RED),
        State(value=_NO_DRILL, text="none yet", colour=palette.NEUTRAL),
    )
    panel = _stat(
        "Last page drill",
        "Does a page arrive? Time of the last successful drill, from its start to the receipt of its notification; "
        "`relay-monitor drill` makes one.",
        f"{_DRILL_FAILED} + 0 * {failed} or {passed} "
        f"or {_NO_DRILL} + 0 * max({select('relay_monitor_healthy', MONITOR)})",
        unit="s",
        states=states,
        steps=((0, palette.GREEN),),
    )
    return replace(panel, width=4)


def _monitors(config: Config) -> Panel:
    """Return the table of monitors."""
    labels, wrap = ("location", "shard", "instance", "version"), shared_panels.has_long_names(config)
    infos = " ".join(
        (
            select("relay_monitor_shard_info", MONITOR),
            f"* on (job, instance) group_left (version) {select('relay_monitor_build_info', MONITOR)}",
        )
    )

    def of_each(name: str) -> str:
        return f"max by ({', '.join(labels)}) ({infos} * on (job, instance) group_left () {select(name, MONITOR)})"

    started, loaded = (
        "relay_monitor_start_time_seconds", "relay_monitor_config_last_reload_success_timestamp_seconds",
    )  # fmt: skip
    return Panel(
        kind=Kind.TABLE,
        title="Monitors",
        description="Which version runs where, and since when? Configured: the last successful reload.",
        queries=(
            Query(
                expr=of_each("relay_monitor_healthy"),
                column="health",
                unit="none",
                states=shared_panels.HEALTH_STATES,
                width=110,
            ),
            Query(expr=f"1000 * {of_each(started)}", column="started", unit="dateTimeFromNow", width=130),
            Query(expr=f"1000 * {of_each(loaded)}", column="configured", unit="dateTimeFromNow", width=130),
        ),
        labels=(
            Column(label="location", wrap=wrap),
            Column(label="shard", width=70, hidden=config.shards == 1),
            Column(label="instance", wrap=wrap),
            Column(label="version", width=90),
        ),
        sort=("health", "location", "shard"),
        width=15,
        height=6,
    )


def _timeline(config: Config) -> Panel:
    """Return the panel of health and failed self-checks over time."""
    by = ("location",) if config.shards == 1 else ("location", "instance")
    is_single = len(config.locations) == 1 and config.shards == 1
    checks = f"max by (location, check) ({select('relay_monitor_failed_check', MONITOR)})"
    return Panel(
        kind=Kind.STATE_TIMELINE,
        title="Health and failed self-checks",
        description="When was a monitor unhealthy, and why? Meanwhile its verdicts are suspended and its runs aborted. "
        "Self-checks are shown if they failed in the selected time range. Missing data is shown as no data.",
        queries=(
            Query(
                expr=worst_state("relay_monitor_healthy", MONITOR, by),
                legend="health" if is_single else " · ".join(f"{{{{{label}}}}}" for label in by),
            ),
            Query(
                expr=f"2 * ({checks} == 1)",
                legend="{{check}}" if is_single else "{{location}}: {{check}}",
                empty_reason=ALL_HEALTHY,
            ),
        ),
        unit="none",
        width=24,
        height=5,
        states=(*shared_panels.HEALTH_STATES, _CHECK_FAILED),
    )


def _schedule(config: Config) -> Row:
    """Return the row of runs and exchanges that do not count."""
    single = len(config.locations) == 1
    wrap = shared_panels.has_long_names(config)
    overdue = f"max by (relay, probe, location) ({shared_panels.intervals_since_success(RELAY)})"
    return Row(
        title="Schedule",
        panels=(
            bars(
                "Missed and skipped runs",
                "Which runs did not start? Missed: the monitor was late. Skipped: the previous run had not ended, or "
                "the relay's rate limits left no room.",
                select("relay_monitor_runs_total", RELAY, 'result=~"missed|skipped"'),
                ("result", "location"),
                where=RELAY,
                nothing=ON_TIME,
                colours=palette.RUNS,
            ),
            bars(
                "Aborted and excluded exchanges",
                "Which exchanges count for no SLO? Aborted: the monitor stopped them. Excluded: a maintenance window "
                "was open.",
                select("relay_probe_exchanges_total", RELAY, 'outcome=~"aborted|excluded"'),
                ("outcome", "location"),
                where=RELAY,
                nothing=ALL_COUNT,
                colours=palette.OUTCOMES,
            ),
            Panel(
                kind=Kind.TABLE,
                title="Time since last success (intervals)",
                description=f"Which probes have not succeeded recently? The {_OVERDUE} with the longest time since "
                "their last success, in units of their interval: 1 is on time, 3 is late.",
                queries=(
                    Query(
                        expr=f"topk({_OVERDUE}, {overdue})",
                        column="intervals",
                        unit="none",
                        decimals=1,
                        steps=((0, palette.GREEN), (2.5, palette.AMBER), (4, palette.RED)),
                        width=80,
                    ),
                ),
                labels=(
                    Column(label="relay", wrap=wrap),
                    Column(label="probe", width=120, wrap=wrap),
                    Column(label="location", width=110, hidden=single, wrap=wrap),
                ),
                sort=("-intervals",),
                width=8,
                height=7,
            ),
        ),
    )
