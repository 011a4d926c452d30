"""One relay: what fails there, at which step, for which reason; how fast it is, and which part of it is slow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.config import show_duration
from monitor.scenarios import Scenario
from monitor.slo.dashboards import centrifugo, parts
from monitor.slo.dashboards.failing import failures
from monitor.slo.dashboards.model import AMBER, GREEN, RED, Board, Kind, Panel, Query, Row, Variable
from monitor.slo.dashboards.promql import (
    MONITOR,
    PROBE,
    RELAY,
    add,
    increase,
    quantile,
    select,
    share,
)
from monitor.slo.dashboards.speed import speed
from monitor.slo.rules.certificate import EXPIRY, MIN_VALIDITY, handshake_window

if TYPE_CHECKING:
    from monitor.config import Config

UID: Final = "relay-monitor-relay"


def detail(config: Config) -> Board:
    """The dashboard of one relay."""
    return Board(
        uid=UID,
        file="relay-detail.json",
        title="Relay in detail",
        description="What fails at this relay, at which step and why; how fast it is, and which part of it is slow.",
        variables=(
            *parts.MONITORS,
            Variable(name="relay", label="Relay", source=select("relay_monitor_runs_total", MONITOR), several=False),
            Variable(name="probe", label="Probe", source=select("relay_monitor_runs_total", RELAY)),
        ),
        events=(parts.ALERTS, parts.MAINTENANCE, *centrifugo.deploys(config)),
        rows=(
            _now(config),
            failures(config),
            speed(config),
            parts.objectives(config),
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
        title="Now",
        panels=(
            parts.alerts_firing(),
            Panel(
                kind=Kind.STAT,
                title="Relay",
                description="Does a message cross this relay, as every location sees it?",
                queries=(Query(expr=f"min({select('relay_up', RELAY)})"),),
                unit="none",
                width=4,
                height=4,
                states=parts.UP[:2],
            ),
            Panel(
                kind=Kind.STAT,
                title="Exchanges that succeeded",
                description="How much of what users do works, over the range shown?",
                queries=(
                    Query(
                        expr=share(
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
                description="How many messages were never delivered, over the range shown?",
                queries=(Query(expr=add(increase(select(messages, PROBE, 'verdict="lost"'), "$__range"))),),
                unit="short",
                decimals=0,
                width=4,
                height=4,
                steps=((0, GREEN), (0.5, RED)),
            ),
            parts.oldest_run(PROBE),
            parts.trust(),
            parts.relay_states(),
            parts.alert_table(config),
            parts.probe_states(PROBE),
        ),
    )


def _connections(config: Config) -> Row:
    seconds = "relay_probe_pair_seconds_total"
    expiry = f"min_over_time({select(EXPIRY, RELAY)}[{show_duration(handshake_window(config))}])"
    window = parts.sparse(config, *Scenario)
    return Row(
        title="Connections",
        panels=(
            Panel(
                kind=Kind.LINES,
                title="Standing pairs connected",
                description="Do quiet connections last? The part of the time that they were connected, by probe: the "
                "idle ones show what a load balancer's time-out cuts.",
                queries=(
                    Query(
                        expr=share(
                            increase(select(seconds, PROBE, 'state="connected"')),
                            increase(select(seconds, PROBE)),
                            ("probe",),
                        ),
                        legend="{{probe}}",
                    ),
                ),
                unit="percentunit",
                width=8,
                most=1,
            ),
            Panel(
                kind=Kind.LINES,
                title="Disconnects by code",
                description="Who ends the connections, and why? Close and unsubscribe codes of standing connections; "
                "3001 is a shutdown, 2500 a lost position, none a connection that broke.",
                queries=(
                    Query(
                        expr=f"{add(increase(select('relay_probe_disconnects_total', PROBE)), ('code',))} > 0",
                        legend="{{code}}",
                        quiet="no standing connection is taken away",
                    ),
                    Query(expr=add(increase(select("relay_probe_disconnects_total", PROBE))), legend="all"),
                ),
                width=8,
                bars=True,
                least=0,
            ),
            Panel(
                kind=Kind.LINES,
                title="Time to reconnect",
                description="How long is a standing pair gone once it drops?",
                queries=tuple(
                    Query(
                        expr=quantile(q, "relay_probe_reconnect_seconds", PROBE, by=("probe",)),
                        legend=f"p{round(q * 100)} {{{{probe}}}}",
                        window=300,
                        quiet="no standing connection drops",
                    )
                    for q in (0.5, 0.9)
                ),
                unit="s",
                width=8,
                least=0,
            ),
            Panel(
                kind=Kind.LINES,
                title="Addresses that could not be reached",
                description="Is it one address family? Failed attempts to connect, by family.",
                queries=(
                    Query(
                        expr=add(increase(select("relay_probe_address_failures_total", PROBE)), ("family",)),
                        legend="{{family}}",
                        window=window,
                    ),
                ),
                width=8,
                bars=True,
                least=0,
            ),
            Panel(
                kind=Kind.STAT,
                title="Certificate expires in",
                description="When does the relay's certificate chain break? The earliest expiry in it, of all that "
                "handshakes saw lately; only for wss.",
                queries=(Query(expr=f"min({expiry}) - time()", quiet="the relay is reached without TLS"),),
                unit="dtdurations",
                width=8,
                steps=((-1e9, RED), (MIN_VALIDITY["critical"], AMBER), (MIN_VALIDITY["warning"], GREEN)),
            ),
            Panel(
                kind=Kind.TABLE,
                title="What is known of it",
                description="Whose is it, and how loud may it be? The relay's labels, as configured.",
                queries=(Query(expr=select("relay_probe_relay_info", RELAY), column="info", unit="none"),),
                width=8,
                labels=(),
            ),
        ),
    )
