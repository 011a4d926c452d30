"""The dashboard of one relay: status, failures, latency, SLOs, connections, and its Centrifugo's metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.config import show_duration
from monitor.scenarios import Scenario
from monitor.slo.dashboard_uid import dashboard_uid
from monitor.slo.dashboards import centrifugo, shared_panels
from monitor.slo.dashboards.failures import failure_row
from monitor.slo.dashboards.latency import latency_row
from monitor.slo.dashboards.model import AMBER, GREEN, RED, Dashboard, Kind, Panel, Query, Row, Variable
from monitor.slo.dashboards.promql import (
    MONITOR,
    PROBE,
    RELAY,
    increase,
    quantile,
    ratio_of,
    select,
    sum_by,
)
from monitor.slo.dashboards.slo_panels import slo_row
from monitor.slo.rules.certificate import EXPIRY, MIN_VALIDITY, handshake_window

if TYPE_CHECKING:
    from monitor.config import Config

UID: Final = shared_panels.DETAIL_UID


def detail(config: Config) -> Dashboard:
    """Return the dashboard of one relay."""
    return Dashboard(
        uid=dashboard_uid(UID, config.install),
        file="relay-detail.json",
        title=shared_panels.titled(config, "Relay detail"),
        description="What fails on this relay, at which step and why? How fast is it, and which part is slow?",
        variables=(
            *shared_panels.monitors(config),
            Variable(name="relay", label="Relay", source=select("relay_monitor_runs_total", MONITOR), several=False),
            Variable(name="probe", label="Probe", source=select("relay_monitor_runs_total", RELAY)),
        ),
        annotations=(shared_panels.ALERTS, shared_panels.MAINTENANCE, *centrifugo.deploys(config)),
        rows=(
            _now(config),
            failure_row(config),
            latency_row(config),
            slo_row(config),
            _connections(config),
            *centrifugo.rows(config),
        ),
        scrape_interval=config.prometheus.scrape_interval,
        external_url=config.alerts.external_url,
        runbook_base_url=config.alerts.runbook_base_url,
    )


def _now(config: Config) -> Row:
    exchanges, messages = "relay_probe_exchanges_total", "relay_probe_messages_total"
    return Row(
        title="Overview",
        panels=(
            shared_panels.alerts_firing(),
            Panel(
                kind=Kind.STAT,
                title="Relay",
                description="Are messages delivered, and new connections accepted, at every location?",
                queries=(Query(expr=f"min({select('relay_accepting', RELAY)})"),),
                unit="none",
                width=4,
                height=4,
                states=shared_panels.UP_STATES[:2],
            ),
            Panel(
                kind=Kind.STAT,
                title="Success rate",
                description="What share of the exchanges succeeded in the selected time range?",
                queries=(
                    Query(
                        expr=ratio_of(
                            increase(select(exchanges, PROBE, 'outcome="ok"'), "$__range"),
                            increase(select(exchanges, PROBE, 'outcome=~"ok|failed"'), "$__range"),
                        )
                    ),
                ),
                unit="percentunit",
                decimals=3,
                width=4,
                height=4,
            ),
            Panel(
                kind=Kind.STAT,
                title="Messages lost",
                description="How many messages were lost in the selected time range?",
                queries=(Query(expr=sum_by(increase(select(messages, PROBE, 'verdict="lost"'), "$__range"))),),
                unit="short",
                decimals=0,
                width=4,
                height=4,
                steps=((0, GREEN), (0.5, RED)),
            ),
            shared_panels.time_since_success(PROBE),
            shared_panels.monitor_health(),
            shared_panels.relay_status(config),
            shared_panels.firing_alerts(config),
            shared_panels.probe_status(config, PROBE),
        ),
    )


def _connections(config: Config) -> Row:
    return Row(title="Connections", panels=(*_connection_panels(), *_address_panels(config)))


def _connection_panels() -> tuple[Panel, ...]:
    """Return the panels of persistent connections."""
    seconds = "relay_probe_pair_seconds_total"
    return (
        Panel(
            kind=Kind.TIME_SERIES,
            title="Persistent pairs connected",
            description="Are persistent connections stable? Share of the time that they were connected, by "
            "probe; the idle ones show idle timeouts of a load balancer.",
            queries=(
                Query(
                    expr=ratio_of(
                        increase(select(seconds, PROBE, 'state="connected"')),
                        increase(select(seconds, PROBE)),
                        ("probe",),
                    ),
                    legend="{{probe}}",
                ),
            ),
            unit="percentunit",
            width=8,
            maximum=1,
        ),
        Panel(
            kind=Kind.TIME_SERIES,
            title="Disconnects by code",
            description="Who closes the connections, and why? Close and unsubscribe codes of persistent "
            "connections: 3001 is a shutdown, 2500 insufficient state, none a connection closed without a close "
            "frame.",
            queries=(
                Query(
                    expr=f"{sum_by(increase(select('relay_probe_disconnects_total', PROBE)), ('code',))} > 0",
                    legend="{{code}}",
                    empty_reason="no persistent connection is closed",
                ),
                Query(expr=sum_by(increase(select("relay_probe_disconnects_total", PROBE))), legend="all"),
            ),
            width=8,
            bars=True,
            minimum=0,
        ),
        Panel(
            kind=Kind.TIME_SERIES,
            title="Reconnect time",
            description="How long is a persistent pair disconnected?",
            queries=tuple(
                Query(
                    expr=quantile(q, "relay_probe_reconnect_seconds", PROBE, by=("probe",)),
                    legend=f"p{round(q * 100)} {{{{probe}}}}",
                    window=300,
                    empty_reason="no persistent connection reconnects",
                )
                for q in (0.5, 0.9)
            ),
            unit="s",
            width=8,
            minimum=0,
        ),
    )


def _address_panels(config: Config) -> tuple[Panel, ...]:
    """Return the panels of addresses, certificate and labels."""
    expiry = f"min_over_time({select(EXPIRY, RELAY)}[{show_duration(handshake_window(config))}])"
    window = shared_panels.window_of_five_runs(config, *Scenario)
    return (
        Panel(
            kind=Kind.TIME_SERIES,
            title="Connect failures by IP family",
            description="Does one IP family fail? Failed connection attempts by family.",
            queries=(
                Query(
                    expr=sum_by(increase(select("relay_probe_address_failures_total", PROBE)), ("family",)),
                    legend="{{family}}",
                    window=window,
                ),
            ),
            width=8,
            bars=True,
            minimum=0,
        ),
        Panel(
            kind=Kind.STAT,
            title="TLS certificate expires in",
            description="When does the first certificate of the relay's chain expire? The earliest expiry that "
            "recent handshakes received; wss only.",
            queries=(Query(expr=f"min({expiry}) - time()", empty_reason="the relay is connected without TLS"),),
            unit="dtdurations",
            width=8,
            steps=((-1e9, RED), (MIN_VALIDITY["critical"], AMBER), (MIN_VALIDITY["warning"], GREEN)),
        ),
        Panel(
            kind=Kind.TABLE,
            title="Relay info",
            description="Who owns the relay, and what is its highest severity? The relay's labels, as configured.",
            queries=(Query(expr=select("relay_probe_relay_info", RELAY), column="info", unit="none"),),
            width=8,
            labels=(),
        ),
    )
