"""A collapsed row for each Centrifugo that a `centrifugo_selector` selects, and annotations for its deploys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.slo.dashboards.model import BLUE, Annotation, Kind, Panel, Query, Row
from monitor.slo.dashboards.promql import increase, rate, sum_by

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.config import Config

NO_REDIS: Final = "the relay has no Redis"


def _selectors(config: Config) -> Mapping[str, Sequence[str]]:
    """Return the relays of each selector: several relays may be one cluster."""
    found: dict[str, list[str]] = {}
    for relay in config.relays:
        if relay.centrifugo_selector is not None:
            found.setdefault(relay.centrifugo_selector.strip(), []).append(relay.name)
    return found


def rows(config: Config) -> tuple[Row, ...]:
    """Return a collapsed row for each Centrifugo."""
    return tuple(_row(selector, ", ".join(names)) for selector, names in _selectors(config).items())


def deploys(config: Config) -> tuple[Annotation, ...]:
    """Return an annotation for each Centrifugo, where a version appears that did not exist five minutes before."""
    return tuple(
        Annotation(
            name=f"Deploys of {', '.join(names)}",
            expr=f"count by (version) (centrifugo_node_build{{{selector}}}) unless "
            f"count by (version) (centrifugo_node_build{{{selector}}} offset 5m)",
            title=f"{', '.join(names)}: version {{{{version}}}}",
            text="First nodes of this version.",
            colour=BLUE,
            empty_reason="no node of another version has started within five minutes",
        )
        for selector, names in _selectors(config).items()
    )


def _row(selector: str, names: str) -> Row:
    def counted(name: str, by: Sequence[str]) -> str:
        return sum_by(increase(f"centrifugo_{name}{{{selector}}}"), by)

    def lines(
        title: str, description: str, *queries: Query, unit: str = "short", bars: bool = False, width: int = 8
    ) -> Panel:
        return Panel(
            kind=Kind.TIME_SERIES,
            title=f"{title} ({names})",
            description=description,
            queries=queries,
            unit=unit,
            width=width,
            bars=bars,
            stacked=bars,
            minimum=0,
        )

    nodes, lag = f"centrifugo_node_num_nodes{{{selector}}}", f"centrifugo_node_pub_sub_lag_seconds_bucket{{{selector}}}"
    delayed = f"centrifugo_broker_redis_pub_sub_buffered_messages{{{selector}}}"
    return Row(
        title=f"Centrifugo metrics: {names}",
        collapsed=True,
        panels=(
            lines(
                "Clients by node",
                "Is the load balanced, and did clients disconnect? Connections of each node.",
                Query(expr=f"sum by (instance) (centrifugo_node_num_clients{{{selector}}})", legend="{{instance}}"),
            ),
            lines(
                "Nodes seen by each node",
                "Is the cluster split? All nodes see the same number of nodes, unless some do not see the others.",
                Query(expr=f"min({nodes})", legend="min"),
                Query(expr=f"max({nodes})", legend="max"),
            ),
            lines(
                "Pub/sub lag between nodes",
                "Is the broker slow? P90 of the time from publishing at one node to receiving at another.",
                Query(
                    expr=f"histogram_quantile(0.9, {sum_by(rate(lag), ('le', 'instance'))})",
                    legend="p90 {{instance}}",
                    window=300,
                    empty_reason="the relay has a single node",
                ),
                unit="s",
            ),
            lines(
                "Disconnects by the server",
                "Which clients does the server disconnect, and why? By code.",
                Query(
                    expr=counted("client_num_server_disconnects", ("code",)),
                    legend="{{code}}",
                    empty_reason=_NO_DISCONNECT,
                ),
                bars=True,
            ),
            lines(
                "Unsubscribes by the server",
                "Why does the server end subscriptions? 2500 is insufficient state: messages may have been lost "
                "between nodes.",
                Query(
                    expr=counted("client_num_server_unsubscribes", ("code",)),
                    legend="{{code}}",
                    empty_reason=_NO_DISCONNECT,
                ),
                bars=True,
            ),
            lines(
                "Error replies",
                "Which commands fail, and with which code?",
                Query(
                    expr=counted("client_num_reply_errors", ("method", "code")),
                    legend="{{method}}: {{code}}",
                    empty_reason="no command fails",
                ),
                bars=True,
            ),
            lines(
                "Recoveries",
                "Do reconnecting clients recover missed messages?",
                Query(
                    expr=counted("client_recover", ("recovered",)),
                    legend="recovered: {{recovered}}",
                    empty_reason="no client reconnects with a stream position",
                ),
                bars=True,
            ),
            lines(
                "Redis errors",
                "Does the broker disconnect, or drop messages?",
                Query(
                    expr=counted("broker_redis_pub_sub_errors", ("error",)),
                    legend="error {{error}}",
                    empty_reason=NO_REDIS,
                ),
                Query(
                    expr=counted("broker_redis_pub_sub_dropped_messages", ("channel_type",)),
                    legend="dropped {{channel_type}}",
                ),
                bars=True,
            ),
            lines(
                "Buffered broker messages",
                "Can each node keep up with the broker? Messages in its buffers.",
                Query(expr=f"sum by (instance) ({delayed})", legend="{{instance}}", empty_reason=NO_REDIS),
            ),
        ),
    )


_NO_DISCONNECT: Final = "the server disconnects no client"
