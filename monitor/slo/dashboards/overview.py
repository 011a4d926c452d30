"""The dashboard of all relays: what is broken, since when, and whether the monitor can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.slo.dashboard_uid import dashboard_uid
from monitor.slo.dashboards import alert_panels, shared_panels
from monitor.slo.dashboards import annotations as marks
from monitor.slo.dashboards.model import NO_DATA, Dashboard, Kind, Legend, Panel, Query, Row, State
from monitor.slo.dashboards.palette import AMBER, GREEN, RED, UNKNOWN, VERDICTS, by_word, failures, of_names
from monitor.slo.dashboards.promql import (
    MONITOR,
    RELAY,
    SELECTED_RELAYS,
    WATCHDOG,
    condition,
    events_of_most,
    firing_count,
    not_up_longest,
    or_nothing,
    or_text,
    quantile,
    select,
    sum_by,
    worst_condition,
)
from monitor.slo.dashboards.relay_table import relay_table
from monitor.slo.dashboards.slo_panels import (
    BUDGET_STATES,
    BUDGET_STEPS,
    burn_down,
    burn_rates,
    lowest_budget,
    slo_status,
)

if TYPE_CHECKING:
    from monitor.config import Config

UID: Final = "relay-monitor-overview"
MAX_LINES: Final = 8
"""Most relays or SLOs of a graph: the ones with the worst values."""

MAX_TIMELINES: Final = 12
MAX_DEPLOY_RELAYS: Final = 20
"""Most relays with a `centrifugo_selector` whose deploys the overview shows: one part of a query for each."""


def overview(config: Config) -> Dashboard:
    """Return the dashboard of all relays."""
    selectors = marks.centrifugo_selectors(config)
    few = sum(len(names) for names in selectors.values()) <= MAX_DEPLOY_RELAYS
    return Dashboard(
        uid=dashboard_uid(UID, config.install),
        file="relays-overview.json",
        title=shared_panels.titled(config, "Relays overview"),
        description="Is a relay down, which one, since when, and can the monitor be trusted?",
        variables=(*shared_panels.monitors(config), shared_panels.RELAYS),
        annotations=(
            marks.alert_starts(SELECTED_RELAYS),
            marks.maintenance(SELECTED_RELAYS),
            *(marks.deploys(config, SELECTED_RELAYS) if few else ()),
            marks.monitor_deploys(),
        ),
        rows=(
            Row(title="", panels=_first_screen(config)),
            _history(config),
            Row(title="SLOs", panels=_slos(config), collapsed=True),
        ),
        scrape_interval=config.prometheus.scrape_interval,
        external_url=shared_panels.page_url(config),
        runbook_base_url=config.alerts.runbook_base_url,
    )


def _first_screen(config: Config) -> tuple[Panel, ...]:
    alerts = alert_panels.firing_alerts(config, width=14)
    return (*_numbers(config), relay_table(config), alerts, _not_up(config))


def _numbers(config: Config) -> tuple[Panel, ...]:
    """Return the five numbers of the first line."""
    worst = condition(RELAY, ("relay",))
    budget, relay = shared_panels.short_names(config, lowest_budget(SELECTED_RELAYS, f"max({worst})"))
    return (
        _number(
            "Relays down",
            "Is a relay broken? Relays that are down or accept no new connections at one location or more.",
            (Query(expr=or_nothing(f"count({worst} >= 3) or 0 * count({worst})")),),
            RED,
        ),
        _number(
            "Relays degraded or unknown",
            "Does a relay work in part? Relays that lose or delay messages, and relays that are not observed.",
            (Query(expr=or_nothing(f"count({worst} > 0 < 3) or 0 * count({worst})")),),
            AMBER,
        ),
        Panel(
            kind=Kind.STAT,
            title="Alerts firing",
            description="Who is woken, and what waits? Firing alerts, each once for a relay and an SLO, without those "
            "of relays in maintenance. None is shown only while Prometheus evaluates the rules. Silences are known to "
            "Alertmanager alone.",
            queries=tuple(
                Query(
                    expr=or_nothing(firing_count(SELECTED_RELAYS, severity, *worse)),
                    legend=severity,
                    steps=((0, GREEN), (1, colour)),
                )
                for severity, colour, worse in (("critical", RED, ()), ("warning", AMBER, ("critical",)))
            ),
            unit="none",
            width=5,
            height=4,
            states=(State(value=0, text="none", colour=GREEN),),
            steps=((0, GREEN), (1, RED)),
            sparkline=True,
            named=True,
        ),
        Panel(
            kind=Kind.STAT,
            title="Lowest error budget",
            description="What remains of the error budget that is closest to exhaustion, and whose is it? At 0 an "
            "objective is missed.",
            queries=(Query(expr=budget, legend=f"{relay} · {{{{slo}}}}"),),
            unit="percentunit",
            decimals=1,
            width=5,
            height=4,
            states=BUDGET_STATES,
            steps=BUDGET_STEPS,
            sparkline=True,
            named=True,
        ),
        _monitor_health(),
    )


def _number(title: str, description: str, queries: tuple[Query, ...], colour: str) -> Panel:
    return Panel(
        kind=Kind.STAT,
        title=title,
        description=description,
        queries=queries,
        unit="none",
        width=5,
        height=4,
        states=(State(value=0, text="none", colour=GREEN),),
        steps=((0, GREEN), (1, colour)),
        minimum=0,
        sparkline=True,
    )


def _monitor_health() -> Panel:
    """Return the panel of what makes the other numbers trustworthy: healthy monitors and evaluated rules."""
    healthy = f"min({select('relay_monitor_healthy', MONITOR)})"
    return Panel(
        kind=Kind.STAT,
        title="Monitor",
        description="Can the monitor be trusted? Unhealthy: it is overloaded or has lost its network; its verdicts are "
        "suspended. No rules: Prometheus does not evaluate the rules, so that nobody is paged. No data: Prometheus "
        "does not scrape it.",
        queries=(Query(expr=or_nothing(f"{healthy} and on () max({WATCHDOG}) or -1 + 0 * {healthy}")),),
        unit="none",
        width=4,
        height=4,
        states=(
            State(value=1, text="healthy", colour=GREEN),
            State(value=0, text="UNHEALTHY", colour=RED),
            State(value=-1, text="no rules", colour=UNKNOWN),
        ),
        sparkline=True,
    )


def _history(config: Config) -> Row:
    return Row(
        title="History",
        panels=(
            burn_down(
                ("relay", "slo"),
                width=12,
                colours=_colours(config),
                only=f"and on (relay, slo) bottomk({MAX_LINES}, {_budgets_at_the_end()})",
            ),
            _latency(config),
            *_failures(config),
        ),
    )


def _budgets_at_the_end() -> str:
    series = select("slo:period_error_budget_remaining:ratio", SELECTED_RELAYS.recorded)
    return f"min by (relay, slo) (last_over_time({series}[5m] @ end()))"


def _colours(config: Config) -> tuple[tuple[str, str], ...]:
    return of_names([relay.name for relay in config.relays])


def _legend(config: Config) -> Legend:
    # At the right, one name has one line.
    return Legend.RIGHT if shared_panels.has_long_names(config) else Legend.BOTTOM


def _not_up(config: Config) -> Panel:
    expr = f"({worst_condition(RELAY, ('relay',))}) and on (relay) {not_up_longest(RELAY, MAX_TIMELINES)}"
    conditions = or_text(expr, select("relay_state", RELAY), "relay", "no relay is observed", value=-1)
    named, relay = shared_panels.short_names(config, conditions)
    return Panel(
        kind=Kind.STATE_TIMELINE,
        title="Relays that are or were not up",
        description="Since when is a relay not up, and was it so before? Relays that are not up, or were not in the "
        f"selected range: the {MAX_TIMELINES} that were not up for the longest time. Unknown: nothing is observed.",
        queries=(
            Query(
                expr=named,
                legend=relay,
                empty_reason="every relay was up",
            ),
        ),
        unit="none",
        width=10,
        states=shared_panels.CONDITION_STATES,
        link=shared_panels.relay_link(config),
        no_value="every relay was up in the selected range",
    )


def _latency(config: Config) -> Panel:
    trips, messaging = "relay_probe_round_trip_seconds", 'scenario="steady-messaging"'
    buckets = f"increase({select(f'{trips}_bucket', RELAY, messaging)}[$__range] @ end())"
    slowest = f"topk({MAX_LINES}, histogram_quantile(0.9, {sum_by(buckets, ('le', 'relay'))}))"
    expr = f"{quantile(0.9, trips, RELAY, messaging, by=('relay',))} and on (relay) {slowest}"
    named, relay = shared_panels.short_names(config, expr)
    return Panel(
        kind=Kind.TIME_SERIES,
        title="Round-trip latency (P90)",
        description=f"Which relay is slow? P90 of the round trips of persistent pairs, of the {MAX_LINES} slowest "
        "relays of the selected range. A threshold is drawn if the latency comes near to it. The detail of a relay has "
        "its single runs.",
        queries=(
            Query(expr=named, legend=relay, window=60.0),
            shared_panels.thresholds(data=f"max({slowest})", by=("slo",)),
        ),
        unit="s",
        minimum=0,
        colours=of_names([shared_panels.short_name(relay.name) for relay in config.relays]),
        legend=_legend(config),
    )


def _failures(config: Config) -> tuple[Panel, ...]:
    failed = select("relay_probe_exchanges_total", RELAY, 'outcome="failed"')
    errors = select("relay_probe_messages_total", RELAY, 'verdict!="delivered"')
    causes = select("relay_probe_failures_total", RELAY)
    return (
        _bars(
            "Failed exchanges",
            f"How many exchanges fail, and on which relay? The {MAX_LINES} relays with most failures.",
            failed,
            ("relay",),
            "no exchange failed",
            colours=_colours(config),
        ),
        _bars(
            "Failures by step and reason",
            "At which step of the protocol do exchanges fail, and why? First cause of each failed exchange.",
            causes,
            ("step", "reason"),
            "no exchange failed",
            colours=failures(),
        ),
        _bars(
            "Message errors by verdict",
            "Are messages lost, late, corrupted, misrouted, duplicated or out of order?",
            errors,
            ("verdict",),
            "no message error",
            colours=by_word(VERDICTS),
        ),
    )


def _bars(
    title: str,
    description: str,
    series: str,
    by: tuple[str, ...],
    empty: str,
    colours: tuple[tuple[str, str], ...] = (),
) -> Panel:
    return Panel(
        kind=Kind.TIME_SERIES,
        title=title,
        description=description,
        queries=(
            Query(
                expr=or_text(events_of_most(series, by, MAX_LINES), select("relay_state", RELAY), by[-1], NO_DATA),
                legend=" ".join(f"{{{{{label}}}}}" for label in by),
                empty_reason=empty,
            ),
        ),
        unit="short",
        width=8,
        bars=True,
        stacked=True,
        minimum=0,
        colours=colours,
        no_value=empty,
    )


def _slos(config: Config) -> tuple[Panel, ...]:
    rates = f"max by (relay, slo) ({select('slo:current_burn_rate:ratio', SELECTED_RELAYS.recorded)} @ end())"
    return (
        slo_status(config),
        burn_rates(config, ("relay", "slo"), width=24, only=f"and on (relay, slo) topk({MAX_LINES}, {rates} > 0.01)"),
    )
