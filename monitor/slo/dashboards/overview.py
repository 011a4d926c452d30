"""The dashboard of all relays: status, SLOs, latency, exchanges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.scenarios import Scenario
from monitor.slo.dashboard_uid import dashboard_uid
from monitor.slo.dashboards import shared_panels
from monitor.slo.dashboards.model import AMBER, GREEN, RED, Dashboard, Kind, Panel, Query, Row
from monitor.slo.dashboards.promql import (
    RELAY,
    events,
    quantile,
    rate,
    ratio_of,
    recorded,
    select,
)
from monitor.slo.dashboards.slo_panels import slo_row

if TYPE_CHECKING:
    from monitor.config import Config

UID: Final = "relay-monitor-overview"


def overview(config: Config) -> Dashboard:
    """Return the dashboard of all relays."""
    return Dashboard(
        uid=dashboard_uid(UID, config.install),
        file="relays-overview.json",
        title=shared_panels.titled(config, "Relays overview"),
        description="Is a relay down, which one, since when, and can the monitor be trusted?",
        variables=(*shared_panels.monitors(config), shared_panels.RELAYS),
        annotations=(shared_panels.ALERTS, shared_panels.MAINTENANCE),
        rows=(_now(config), slo_row(config), _speed(config), _traffic(config)),
        scrape_interval=config.prometheus.scrape_interval,
        external_url=shared_panels.page_url(config),
        runbook_base_url=config.alerts.runbook_base_url,
    )


def _now(config: Config) -> Row:
    up = select("relay_up", RELAY)
    seconds = "relay_probe_pair_seconds_total"
    return Row(
        title="Overview",
        panels=(
            shared_panels.alerts_firing(),
            Panel(
                kind=Kind.STAT,
                title="Relays down",
                description="How many relays are down at one location or more?",
                queries=(Query(expr=f"count(min by (relay) ({up}) == 0) or 0 * count({up})"),),
                unit="none",
                width=4,
                height=4,
                steps=((0, GREEN), (1, RED)),
            ),
            Panel(
                kind=Kind.STAT,
                title="Persistent pairs connected",
                description="Are persistent connections stable? Share of the time that persistent pairs and "
                "connections were connected.",
                queries=(
                    Query(
                        expr=ratio_of(rate(select(seconds, RELAY, 'state="connected"')), rate(select(seconds, RELAY))),
                    ),
                ),
                unit="percentunit",
                width=4,
                height=4,
            ),
            Panel(
                kind=Kind.STAT,
                title="Lowest error budget",
                description="What remains of the error budget that is closest to exhaustion? Below 0 an objective "
                "is missed.",
                queries=(Query(expr=f"min({recorded('slo:period_error_budget_remaining:ratio')})"),),
                unit="percentunit",
                width=4,
                height=4,
                steps=((-1e9, RED), (0, AMBER), (0.25, GREEN)),
            ),
            shared_panels.time_since_success(RELAY),
            shared_panels.monitor_health(),
            shared_panels.relay_status(config),
            shared_panels.firing_alerts(config),
            shared_panels.probe_status(config, RELAY),
            shared_panels.causes(),
            shared_panels.endpoint_failures(RELAY),
        ),
    )


def _speed(config: Config) -> Row:
    trips = "relay_probe_round_trip_seconds"
    messaging = 'scenario="steady-messaging"'
    return Row(
        title="Latency",
        panels=(
            Panel(
                kind=Kind.TIME_SERIES,
                title="Round-trip latency",
                description="How fast are exchanges? Quantiles of the round trips of persistent pairs; the points "
                "are single runs and link to their timelines. The P99 is calculated over the time in which 100 "
                "round trips are made.",
                queries=(
                    *(
                        Query(
                            expr=quantile(q, trips, RELAY, messaging, by=("relay",)),
                            legend=f"p{round(q * 100)} {{{{relay}}}}",
                            window=window,
                            exemplars=q == 0.9,  # noqa: PLR2004 - one quantile has exemplars
                        )
                        for q, window in (
                            (0.5, 60.0),
                            (0.9, 60.0),
                            (0.99, shared_panels.window_of_100_exchanges(config, *_MESSAGING)),
                        )
                    ),
                    shared_panels.thresholds(),
                ),
                unit="s",
                minimum=0,
            ),
            Panel(
                kind=Kind.TIME_SERIES,
                title="Offline recovery time",
                description="How long does a wallet that was offline wait for the messages sent meanwhile? P90, "
                "from reconnecting to the last message.",
                queries=(
                    Query(
                        expr=quantile(0.9, "relay_probe_recovery_seconds", RELAY, by=("relay", "probe")),
                        legend="p90 {{relay}} · {{probe}}",
                        window=shared_panels.window_of_five_runs(config, Scenario.ASYNC_DELIVERY),
                        exemplars=True,
                    ),
                ),
                unit="s",
                minimum=0,
            ),
        ),
    )


_MESSAGING: Final = (Scenario.STEADY_MESSAGING,)


def _traffic(config: Config) -> Row:
    exchanges = "relay_probe_exchanges_total"
    messages = "relay_probe_messages_total"
    window = shared_panels.window_of_five_runs(config, *Scenario)
    return Row(
        title="Exchanges and messages",
        panels=(
            Panel(
                kind=Kind.TIME_SERIES,
                title="Failed exchanges",
                description="How many exchanges fail, and on which relay?",
                queries=(
                    Query(
                        expr=events(select(exchanges, RELAY, 'outcome="failed"'), ("relay",)),
                        legend="{{relay}}",
                        window=window,
                    ),
                ),
                unit="short",
                width=8,
                bars=True,
                stacked=True,
                minimum=0,
            ),
            Panel(
                kind=Kind.TIME_SERIES,
                title="Aborted and excluded exchanges",
                description="Which exchanges count for no SLO? Aborted: the monitor stopped them. Excluded: a "
                "maintenance window was open.",
                queries=(
                    Query(
                        expr=events(select(exchanges, RELAY, 'outcome=~"aborted|excluded"'), ("relay", "outcome")),
                        legend="{{outcome}} {{relay}}",
                        window=window,
                    ),
                ),
                unit="short",
                width=8,
                bars=True,
                stacked=True,
                minimum=0,
            ),
            Panel(
                kind=Kind.TIME_SERIES,
                title="Message errors by verdict",
                description="Are messages lost, late, corrupted, misrouted, duplicated or out of order?",
                queries=(
                    Query(
                        expr=events(select(messages, RELAY, 'verdict!="delivered"'), ("relay", "verdict")),
                        legend="{{verdict}} {{relay}}",
                        window=window,
                    ),
                ),
                unit="short",
                width=8,
                bars=True,
                stacked=True,
                minimum=0,
            ),
        ),
    )
