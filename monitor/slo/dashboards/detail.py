"""The dashboard of one relay: status, failures, latency, connections, probes, SLOs, and its Centrifugo's metrics."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from monitor.slo.dashboard_uid import dashboard_uid
from monitor.slo.dashboards import alert_panels, centrifugo, palette, shared_panels, slo_panels
from monitor.slo.dashboards.annotations import NO_MAINTENANCE, alert_starts, maintenance
from monitor.slo.dashboards.connections import connection_row, schedule_row
from monitor.slo.dashboards.failures import failure_row, failures_by_step
from monitor.slo.dashboards.latency import MESSAGING, TRIPS, latency_row
from monitor.slo.dashboards.model import Column, Dashboard, Kind, Panel, Query, Row, State, Variable
from monitor.slo.dashboards.promql import (
    CONDITIONS,
    MONITOR,
    ONE_RELAY,
    THIS_PROBE,
    THIS_RELAY,
    increase,
    ratio_of,
    recorded,
    select,
    sum_by,
    worst_condition,
)
from monitor.vocabulary import Verdict

if TYPE_CHECKING:
    from monitor.config import Config

UID: Final = shared_panels.DETAIL_UID
MONITOR_HEALTHY: Final = "the monitor is healthy"
_MAINTENANCE: Final = State(value=len(CONDITIONS), text="maintenance", colour=palette.BLUE)
_UNHEALTHY: Final = State(value=len(CONDITIONS) + 1, text="monitor unhealthy", colour=palette.UNKNOWN)
_FEW_LOCATIONS: Final = 3
_TEXT_SIZE: Final = 28
_SMALL_TEXT: Final = 22
"""Pixels of the numbers of the first line, which would fill their panels otherwise."""

_SINCE: Final = "relay_state_since_timestamp_seconds"
_CAUSE: Final = {"step": 90, "reason": 120, "status": 70}
"""Labels of a cause, and the widths of their columns."""


def detail(config: Config) -> Dashboard:
    """Return the dashboard of one relay."""
    return Dashboard(
        uid=dashboard_uid(UID, config.install),
        file="relay-detail.json",
        title=shared_panels.titled(config, "Relay detail"),
        description="Is this relay broken, since when and why? At which step does it fail, and which part is slow?",
        variables=(
            *shared_panels.monitors(config),
            shared_panels.THIS_RELAY,
            Variable(name="probe", label="Probe", source=select("relay_monitor_runs_total", THIS_RELAY)),
            *centrifugo.variables(config),
        ),
        annotations=(
            alert_starts(ONE_RELAY),
            maintenance(ONE_RELAY),
            *centrifugo.deploys(config),
        ),
        rows=(
            _status(config),
            latency_row(config),
            failure_row(),
            connection_row(config),
            schedule_row(config),
            _slo_row(config),
            *centrifugo.rows(config),
        ),
        scrape_interval=config.prometheus.scrape_interval,
        external_url=shared_panels.page_url(config),
        runbook_base_url=config.alerts.runbook_base_url,
    )


def _status(config: Config) -> Row:
    """Return the first screen: 21 lines of the grid at most."""
    if len(config.locations) == 1:
        # The line of numbers has all that a table of one location would have.
        rows: tuple[Panel, ...] = (
            replace(_timeline(config), width=14, height=6),
            alert_panels.firing_alerts(config, width=10, subject=ONE_RELAY, height=6),
        )
        failures = 9
    else:
        table, timeline, failures = (7, 5, 6) if len(config.locations) > _FEW_LOCATIONS else (6, 4, 8)
        rows = (
            replace(_by_location(), height=table),
            alert_panels.firing_alerts(config, width=10, subject=ONE_RELAY, height=table),
            replace(_timeline(config), height=timeline),
        )
    return Row(
        title="",
        panels=(
            *_numbers(),
            *rows,
            failures_by_step(config, width=14, height=failures),
            replace(_budgets(config), height=failures),
        ),
    )


def _numbers() -> tuple[Panel, ...]:
    """Return the line of numbers."""
    exchanges = "relay_probe_exchanges_total"
    state = f"({worst_condition(THIS_RELAY, ('location',))})"
    return (
        _stat(
            "State",
            "Is it broken? The worst state of all locations.",
            Query(expr=f"max({state})"),
            states=shared_panels.CONDITION_STATES,
        ),
        _stat(
            "In this state since",
            "Since when? The earliest of the locations that report this state.",
            Query(expr=f"1000 * min({_since()} and on (location) ({state} == on () group_left () max({state})))"),
            unit="dateTimeFromNow",
        ),
        _cause(),
        _stat(
            "Success rate",
            "What share of the exchanges succeeded in the selected time range?",
            Query(
                expr=ratio_of(
                    increase(select(exchanges, THIS_PROBE, 'outcome="ok"'), "$__range"),
                    increase(select(exchanges, THIS_PROBE, 'outcome=~"ok|failed"'), "$__range"),
                )
            ),
            unit="percentunit",
            decimals=3,
            width=3,
        ),
        _round_trip(),
        _undelivered(),
    )


def _cause() -> Panel:
    """Return the panel of the cause that most locations report."""
    labels = ", ".join(_CAUSE)
    causes = f"topk(1, count by ({labels}) ({select('relay_cause_info', THIS_RELAY)} == 1))"
    nothing = f"count({select('relay_state', THIS_RELAY)})"
    return Panel(
        kind=Kind.STAT,
        title="Cause",
        description="Why is it not up? Step, reason and status of the latest attempt; of several causes the one that "
        "most locations report.",
        queries=(
            Query(
                expr=f'{causes} or label_replace({nothing}, "reason", "none", "", "") unless on () {causes}',
                legend="{{step}} {{reason}} {{status}}",
            ),
        ),
        unit="none",
        text=True,
        size=_SMALL_TEXT,
        width=5,
        height=3,
    )


def _stat(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str = "none",
    decimals: int | None = None,
    states: tuple[State, ...] = (),
    width: int = 4,
) -> Panel:
    return Panel(
        kind=Kind.STAT,
        title=title,
        description=description,
        queries=(query,),
        unit=unit,
        decimals=decimals,
        states=states,
        size=_TEXT_SIZE,
        width=width,
        height=3,
    )


def _round_trip() -> Panel:
    """Return the panel of two quantiles beside the threshold in force."""
    trips = select(f"{TRIPS}_bucket", THIS_PROBE, MESSAGING)
    counts = sum_by(increase(trips, "$__range"), ("le",))
    enough = f"{sum_by(increase(select(f'{TRIPS}_count', THIS_PROBE, MESSAGING), '$__range'))} >= 100"
    return Panel(
        kind=Kind.STAT,
        title="Round trip",
        description="How fast is it? Median and P99 of the round trips of persistent pairs in the selected time range, "
        "beside the lowest threshold in force. A P99 needs 100 round trips.",
        queries=(
            Query(expr=f"histogram_quantile(0.5, {counts})", legend="P50"),
            Query(expr=f"histogram_quantile(0.99, {counts}) and {enough}", legend="P99"),
            Query(expr=f"min({select('relay_slo_threshold_seconds', THIS_RELAY)})", legend="threshold"),
        ),
        unit="s",
        named=True,
        size=_SMALL_TEXT,
        width=5,
        height=3,
    )


def _since() -> str:
    return f"max by (location) ({select(_SINCE, THIS_RELAY)})"


def _undelivered() -> Panel:
    """Return the panel of messages that did not arrive."""

    def number(verdict: Verdict) -> Query:
        messages = select("relay_probe_messages_total", THIS_PROBE, f'verdict="{verdict}"')
        return Query(expr=f"round({sum_by(increase(messages, '$__range'))})", legend=str(verdict))

    return Panel(
        kind=Kind.STAT,
        title="Not delivered",
        description="How many messages did not arrive in the selected time range? Lost: the relay does not have them. "
        "Unrecovered: it has them, or nobody could ask it.",
        queries=(number(Verdict.LOST), number(Verdict.UNRECOVERED)),
        unit="short",
        decimals=0,
        steps=((0, palette.GREEN), (0.5, palette.RED)),
        named=True,
        quiet=True,
        size=_SMALL_TEXT,
        width=3,
        height=3,
    )


def _with_cause(expr: str) -> str:
    """Return values by location with the labels of the location's present cause, where it has one."""
    labels = ", ".join(_CAUSE)
    causes = f"max by (location, {labels}) ({select('relay_cause_info', THIS_RELAY)}) == 1"
    # A monitor that replaces another one at a location may report another cause for a while.
    cause = f"topk by (location) (1, {causes})"
    return f"({expr}) * on (location) group_left ({labels}) {cause} or ({expr}) unless on (location) {cause}"


def _by_location() -> Panel:
    """Return the table of the relay's state at each location."""
    healthy = f"min by (location) ({select('relay_monitor_healthy', MONITOR)})"
    return Panel(
        kind=Kind.TABLE,
        title="State by location",
        description="Which locations agree, since when, and why? The present cause is that of the latest attempt. The "
        "verdicts of an unhealthy monitor are suspended.",
        queries=(
            Query(
                expr=_with_cause(worst_condition(THIS_RELAY, ("location",))),
                column="state",
                unit="none",
                states=shared_panels.CONDITION_STATES,
                filled=True,
                width=130,
            ),
            Query(
                expr=_with_cause(f"1000 * {_since()}"),
                column="since",
                unit="dateTimeFromNow",
                width=130,
            ),
            Query(
                expr=_with_cause(healthy), column="monitor", unit="none", states=shared_panels.HEALTH_STATES, width=110
            ),
        ),
        labels=(
            "location",
            "state",
            "since",
            *(Column(label=label, width=width) for label, width in _CAUSE.items()),
            "monitor",
        ),
        sort=("-state", "location"),
        width=14,
    )


def _timeline(config: Config) -> Panel:
    """Return the panel of states and maintenance over time."""
    where, state = ("{{location}}: ", "{{location}}") if len(config.locations) > 1 else ("", "state")
    unhealthy = f"{_UNHEALTHY.value} + 0 * (min by (location) ({select('relay_monitor_healthy', MONITOR)}) == 0)"
    windows = f"{len(CONDITIONS)} * (max by (location) ({select('relay_maintenance', THIS_RELAY)}) == 1)"
    return Panel(
        kind=Kind.STATE_TIMELINE,
        title="State and maintenance",
        description="When was it down, not accepting new connections, degraded or in maintenance? Unknown: nothing "
        "could be observed. While a monitor is unhealthy its verdicts are suspended. Missing data is shown as no data.",
        queries=(
            Query(expr=worst_condition(THIS_RELAY, ("location",)), legend=state),
            Query(
                expr=windows,
                legend=f"{where}maintenance",
                empty_reason=NO_MAINTENANCE,
            ),
            Query(expr=unhealthy, legend=f"{where}monitor", empty_reason=MONITOR_HEALTHY),
        ),
        unit="none",
        width=24,
        states=(*shared_panels.CONDITION_STATES, _MAINTENANCE, _UNHEALTHY),
    )


def _budgets(config: Config) -> Panel:
    """Return the table of the relay's SLOs, the lowest budget first."""
    by = ("slo",)
    return Panel(
        kind=Kind.TABLE,
        title="Error budgets",
        description="Which objective is in danger? The lowest remaining budget and the highest burn rate of all "
        "locations and probes of each SLO; the row SLOs has them one by one. An objective of 100 % has no budget.",
        queries=(
            Query(
                expr=slo_panels.budget_or_none(ONE_RELAY, by),
                column="budget left",
                unit="percentunit",
                decimals=1,
                steps=slo_panels.BUDGET_STEPS,
                states=slo_panels.BUDGET_STATES,
                empty_text=slo_panels.NONE,
                width=110,
            ),
            Query(
                expr=recorded("slo:current_burn_rate:ratio", ONE_RELAY, by),
                column="burn rate",
                unit="suffix:×",
                decimals=1,
                steps=slo_panels.burn_steps(config),
                empty_text=slo_panels.NONE,
                width=90,
            ),
            Query(
                expr=slo_panels.or_rules_missing(recorded("slo:objective:ratio", ONE_RELAY, by), ONE_RELAY, "slo"),
                column="objective",
                unit="percentunit",
                decimals=3,
                width=100,
            ),
        ),
        labels=(Column(label="slo", title="SLO"), "objective", "budget left", "burn rate"),
        sort=("budget left",),
        width=10,
    )


def _slo_row(config: Config) -> Row:
    """Return the collapsed row of each SLO's budget: the table has those of each location and probe."""
    by = ("slo",)
    return Row(
        title="SLOs",
        panels=(
            slo_panels.slo_status(config, ONE_RELAY),
            slo_panels.burn_down(by, ONE_RELAY, width=12),
            slo_panels.burn_rates(config, by, ONE_RELAY, width=12),
        ),
        collapsed=True,
    )
