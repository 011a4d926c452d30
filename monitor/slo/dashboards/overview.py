"""The first screen: whether it is broken, which relay, since when, and whether to trust the monitor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.scenarios import Scenario
from monitor.slo.dashboards import parts
from monitor.slo.dashboards.model import AMBER, GREEN, RED, Board, Kind, Panel, Query, Row
from monitor.slo.dashboards.promql import (
    RELAY,
    add,
    increase,
    quantile,
    rate,
    recorded,
    select,
    share,
)

if TYPE_CHECKING:
    from monitor.config import Config

UID: Final = "relay-monitor-overview"


def overview(config: Config) -> Board:
    """The dashboard of all relays."""
    return Board(
        uid=UID,
        file="relays-overview.json",
        title="Relays overview",
        description="Is it broken, which relay, since when, and can I trust the monitor?",
        variables=(*parts.MONITORS, parts.RELAYS),
        events=(parts.ALERTS, parts.MAINTENANCE),
        rows=(_now(config), parts.objectives(config), _speed(config), _traffic(config)),
        scrape_interval=config.prometheus.scrape_interval,
        external_url=config.alerts.external_url,
        runbook_base_url=config.alerts.runbook_base_url,
    )


def _now(config: Config) -> Row:
    up = select("relay_up", RELAY)
    seconds = "relay_probe_pair_seconds_total"
    return Row(
        title="Now",
        panels=(
            parts.alerts_firing(),
            Panel(
                kind=Kind.STAT,
                title="Relays down",
                description="How many relays are down, as at least one location sees them?",
                queries=(Query(expr=f"count(min by (relay) ({up}) == 0) or 0 * count({up})"),),
                unit="none",
                width=4,
                height=4,
                steps=((0, GREEN), (1, RED)),
            ),
            Panel(
                kind=Kind.STAT,
                title="Standing pairs connected",
                description="Do quiet connections last? Of the time that standing pairs and connections should have "
                "been connected, the part that they were.",
                queries=(
                    Query(
                        expr=share(rate(select(seconds, RELAY, 'state="connected"')), rate(select(seconds, RELAY))),
                    ),
                ),
                unit="percentunit",
                width=4,
                height=4,
            ),
            Panel(
                kind=Kind.STAT,
                title="Least budget left",
                description="What is left of the error budget that is nearest to its end? Below 0 an objective is "
                "missed.",
                queries=(Query(expr=f"min({recorded('slo:period_error_budget_remaining:ratio')})"),),
                unit="percentunit",
                width=4,
                height=4,
                steps=((-1e9, RED), (0, AMBER), (0.25, GREEN)),
            ),
            parts.oldest_run(RELAY),
            parts.trust(),
            parts.relay_states(),
            parts.alert_table(config),
            parts.probe_states(RELAY),
        ),
    )


def _speed(config: Config) -> Row:
    trips = "relay_probe_round_trip_seconds"
    steady = 'scenario="steady-messaging"'
    return Row(
        title="Speed",
        panels=(
            Panel(
                kind=Kind.LINES,
                title="Round trip of standing pairs",
                description="Is it slow? Half of the round trips (P50) and nine of ten (P90) are faster than this; the "
                "points are single runs and lead to their timelines. The P99 needs a hundred round trips and is drawn "
                "over as long as that takes.",
                queries=(
                    *(
                        Query(
                            expr=quantile(q, trips, RELAY, steady, by=("relay",)),
                            legend=f"p{round(q * 100)} {{{{relay}}}}",
                            window=window,
                            exemplars=q == 0.9,  # noqa: PLR2004 - once is enough
                        )
                        for q, window in ((0.5, 60.0), (0.9, 60.0), (0.99, parts.hundred(config, *_STEADY)))
                    ),
                    parts.threshold(),
                ),
                unit="s",
                least=0,
            ),
            Panel(
                kind=Kind.LINES,
                title="Recovery of absent wallets",
                description="How long does a wallet that was away wait for what was sent meanwhile? P90, from resuming "
                "to the last message.",
                queries=(
                    Query(
                        expr=quantile(0.9, "relay_probe_recovery_seconds", RELAY, by=("relay", "probe")),
                        legend="p90 {{relay}} · {{probe}}",
                        window=parts.sparse(config, Scenario.ASYNC_DELIVERY),
                        exemplars=True,
                    ),
                ),
                unit="s",
                least=0,
            ),
        ),
    )


_STEADY: Final = (Scenario.STEADY_MESSAGING,)


def _traffic(config: Config) -> Row:
    exchanges = "relay_probe_exchanges_total"
    messages = "relay_probe_messages_total"
    window = parts.sparse(config, *Scenario)
    return Row(
        title="What was tried, and what came of it",
        panels=(
            Panel(
                kind=Kind.LINES,
                title="Failed exchanges",
                description="How much fails, and where? Failed exchanges of each relay.",
                queries=(
                    Query(
                        expr=add(increase(select(exchanges, RELAY, 'outcome="failed"')), ("relay",)),
                        legend="{{relay}}",
                        window=window,
                    ),
                ),
                unit="short",
                width=8,
                bars=True,
                stacked=True,
                least=0,
            ),
            Panel(
                kind=Kind.LINES,
                title="Exchanges that do not count",
                description="Is something missing from the figures? Exchanges that the monitor gave up itself "
                "(aborted) or that fell into maintenance (excluded).",
                queries=(
                    Query(
                        expr=add(
                            increase(select(exchanges, RELAY, 'outcome=~"aborted|excluded"')), ("relay", "outcome")
                        ),
                        legend="{{outcome}} {{relay}}",
                        window=window,
                    ),
                ),
                unit="short",
                width=8,
                bars=True,
                stacked=True,
                least=0,
            ),
            Panel(
                kind=Kind.LINES,
                title="Messages that did not arrive as sent",
                description="Are messages lost, late, corrupted, misrouted, doubled or out of order?",
                queries=(
                    Query(
                        expr=add(increase(select(messages, RELAY, 'verdict!="delivered"')), ("relay", "verdict")),
                        legend="{{verdict}} {{relay}}",
                        window=window,
                    ),
                ),
                unit="short",
                width=8,
                bars=True,
                stacked=True,
                least=0,
            ),
        ),
    )
