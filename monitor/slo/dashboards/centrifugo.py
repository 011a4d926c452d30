"""The relay's own view, from the metrics of its Centrifugo: a row for each that `centrifugo_selector` finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.slo.dashboards.model import BLUE, Event, Kind, Panel, Query, Row
from monitor.slo.dashboards.promql import add, increase, rate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.config import Config

REDIS: Final = "there is no Redis behind this relay"


def _selectors(config: Config) -> Mapping[str, Sequence[str]]:
    """The relays of each selector: several names may lead to one cluster."""
    found: dict[str, list[str]] = {}
    for relay in config.relays:
        if relay.centrifugo_selector is not None:
            found.setdefault(relay.centrifugo_selector.strip(), []).append(relay.name)
    return found


def rows(config: Config) -> tuple[Row, ...]:
    """A collapsed row for each Centrifugo."""
    return tuple(_row(selector, ", ".join(names)) for selector, names in _selectors(config).items())


def deploys(config: Config) -> tuple[Event, ...]:
    """A mark where a version of a Centrifugo comes up that was not there five minutes before."""
    return tuple(
        Event(
            name=f"Deploys of {', '.join(names)}",
            expr=f"count by (version) (centrifugo_node_build{{{selector}}}) unless "
            f"count by (version) (centrifugo_node_build{{{selector}}} offset 5m)",
            title=f"{', '.join(names)}: version {{{{version}}}}",
            text="First nodes of this version.",
            colour=BLUE,
            quiet="no other version of it has come up for five minutes",
        )
        for selector, names in _selectors(config).items()
    )


def _row(selector: str, names: str) -> Row:
    def counted(name: str, by: Sequence[str]) -> str:
        return add(increase(f"centrifugo_{name}{{{selector}}}"), by)

    def lines(
        title: str, description: str, *queries: Query, unit: str = "short", bars: bool = False, width: int = 8
    ) -> Panel:
        return Panel(
            kind=Kind.LINES,
            title=f"{title} ({names})",
            description=description,
            queries=queries,
            unit=unit,
            width=width,
            bars=bars,
            stacked=bars,
            least=0,
        )

    nodes, lag = f"centrifugo_node_num_nodes{{{selector}}}", f"centrifugo_node_pub_sub_lag_seconds_bucket{{{selector}}}"
    delayed = f"centrifugo_broker_redis_pub_sub_buffered_messages{{{selector}}}"
    return Row(
        title=f"The relay's own view: {names}",
        collapsed=True,
        panels=(
            lines(
                "Clients of each node",
                "Is the load spread, and did clients leave? Connections of each node, as it counts them.",
                Query(expr=f"sum by (instance) (centrifugo_node_num_clients{{{selector}}})", legend="{{instance}}"),
            ),
            lines(
                "Nodes, as each node counts them",
                "Is the cluster split? All nodes see the same number, or some do not see the others.",
                Query(expr=f"min({nodes})", legend="least"),
                Query(expr=f"max({nodes})", legend="most"),
            ),
            lines(
                "Lag between nodes",
                "Is it the broker? P90 of the time from one node's publishing to another's receiving.",
                Query(
                    expr=f"histogram_quantile(0.9, {add(rate(lag), ('le', 'instance'))})",
                    legend="p90 {{instance}}",
                    window=300,
                    quiet="there is one node: nothing goes from one to another",
                ),
                unit="s",
            ),
            lines(
                "Disconnects by the server",
                "Whom does the server send away, and why?",
                Query(expr=counted("client_num_server_disconnects", ("code",)), legend="{{code}}", quiet=_NOBODY),
                bars=True,
            ),
            lines(
                "Unsubscribes by the server",
                "Who loses a subscription, and why? 2500 is a lost position: a message may be lost between nodes.",
                Query(expr=counted("client_num_server_unsubscribes", ("code",)), legend="{{code}}", quiet=_NOBODY),
                bars=True,
            ),
            lines(
                "Error replies",
                "Which commands fail at the server, and with which code?",
                Query(
                    expr=counted("client_num_reply_errors", ("method", "code")),
                    legend="{{method}}: {{code}}",
                    quiet="no command fails",
                ),
                bars=True,
            ),
            lines(
                "Recoveries",
                "Do clients that come back get what they missed?",
                Query(
                    expr=counted("client_recover", ("recovered",)),
                    legend="recovered: {{recovered}}",
                    quiet="no client comes back with a position",
                ),
                bars=True,
            ),
            lines(
                "Trouble with Redis",
                "Does the broker break off, or drop messages?",
                Query(expr=counted("broker_redis_pub_sub_errors", ("error",)), legend="error {{error}}", quiet=REDIS),
                Query(
                    expr=counted("broker_redis_pub_sub_dropped_messages", ("channel_type",)),
                    legend="dropped {{channel_type}}",
                ),
                bars=True,
            ),
            lines(
                "Messages waiting for a node",
                "Does a node keep up with the broker? Messages in its buffers.",
                Query(expr=f"sum by (instance) ({delayed})", legend="{{instance}}", quiet=REDIS),
            ),
        ),
    )


_NOBODY: Final = "the server sends nobody away"
