"""The collapsed row with the metrics of the selected relay's own Centrifugo, and annotations for its deploys.

A hidden variable has the relay's `centrifugo_selector`, which the monitor exports as a label of
`relay_probe_relay_info`, and every selector of the row contains it: the row follows the variable `relay`. The variable
of a relay without a selector is empty, and the selectors would then match every Centrifugo; `_of_relay` excludes that.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from monitor.slo.dashboards.annotations import NO_DEPLOY
from monitor.slo.dashboards.failures import FEW_EVENTS
from monitor.slo.dashboards.model import NO_DATA, Annotation, Kind, Panel, Query, Row, Variable
from monitor.slo.dashboards.palette import DEPLOY, NEUTRAL, ORANGE
from monitor.slo.dashboards.promql import THIS_RELAY, events_of_most, first_seen, rate, select, sum_by

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.config import Config

SELECTOR: Final = "centrifugo_selector"
_INFO: Final = "relay_probe_relay_info"
_SELECTED: Final = f"${{{SELECTOR}:raw}}"

NO_REDIS_ERROR: Final = "no Redis error"
SINGLE_NODE: Final = "the relay has a single node"
NO_DISCONNECT: Final = "the server disconnects no client"
NO_ERROR: Final = "no command fails, and no client recovers"
SCRAPED: Final = "the relay's Centrifugo is scraped"


def variables(config: Config) -> tuple[Variable, ...]:
    """Return the hidden variable of the selector; none if no relay has one."""
    if not _configured(config):
        return ()
    return (Variable(name=SELECTOR, label="Centrifugo", source=select(_INFO, THIS_RELAY), several=False, hidden=True),)


def rows(config: Config) -> tuple[Row, ...]:
    """Return the collapsed row; none if no relay has a selector."""
    if not _configured(config):
        return ()
    return (Row(title="Centrifugo of $relay", collapsed=True, panels=(*_node_panels(), *_event_panels())),)


def deploys(config: Config) -> tuple[Annotation, ...]:
    """Return the annotation of the first nodes of another version; none if no relay has a selector."""
    if not _configured(config):
        return ()
    return (
        Annotation(
            name="Deploys of Centrifugo",
            expr=_of_relay(first_seen(_series("node_build"), ("version",))),
            title="Centrifugo {{version}}",
            text="First nodes of this version.",
            colour=DEPLOY,
            empty_reason=NO_DEPLOY,
        ),
    )


def _configured(config: Config) -> bool:
    return any(relay.centrifugo_selector is not None for relay in config.relays)


def _series(name: str) -> str:
    return f"centrifugo_{name}{{{_SELECTED}}}"


def _of_relay(expr: str) -> str:
    """Return the expression without a result for a relay that has no selector."""
    having = f'{SELECTOR}!=""'
    return f"({expr}) and on () {select(_INFO, THIS_RELAY, having)}"


def _counted(name: str, by: Sequence[str]) -> str:
    return _of_relay(events_of_most(_series(name), by, target=_SELECTED))


def _no_data() -> Query:
    """Return the query that has a result only if the relay's Centrifugo is not scraped, or not known."""
    having = select(_INFO, THIS_RELAY, f'{SELECTOR}!=""')
    scraped = f"{_series('node_num_clients')} @ end() and on () {having} @ end()"
    return Query(expr=f"0 * absent({scraped})", legend=NO_DATA, empty_reason=SCRAPED)


def _graph(
    title: str, description: str, *queries: Query, unit: str = "short", colours: tuple[tuple[str, str], ...] = ()
) -> Panel:
    return Panel(
        kind=Kind.TIME_SERIES,
        title=title,
        description=description,
        queries=queries,
        unit=unit,
        colours=colours,
        width=8,
        height=7,
        minimum=0,
    )


def _bars(title: str, description: str, nothing: str, *queries: Query) -> Panel:
    return Panel(
        kind=Kind.TIME_SERIES,
        title=title,
        description=description,
        queries=(_no_data(), *(replace(query, empty_reason=nothing) for query in queries)),
        width=8,
        height=7,
        bars=True,
        stacked=True,
        minimum=0,
        soft_maximum=FEW_EVENTS,
        no_value=nothing,
    )


def _node_panels() -> tuple[Panel, ...]:
    """Return the panels of gauges."""
    nodes = _series("node_num_nodes")
    lag = sum_by(rate(_series("node_pub_sub_lag_seconds_bucket")), ("le", "instance"))
    return (
        _graph(
            "Clients by node",
            "Is the load balanced, and did clients disconnect? Connections of each node.",
            Query(expr=_of_relay(f"sum by (instance) ({_series('node_num_clients')})"), legend="{{instance}}"),
        ),
        _graph(
            "Nodes seen by each node",
            "Is the cluster split? If some nodes do not see the others, fewest is below most.",
            Query(expr=_of_relay(f"min({nodes})"), legend="fewest", colour=ORANGE),
            Query(expr=_of_relay(f"max({nodes})"), legend="most", colour=NEUTRAL),
        ),
        _graph(
            "Pub/sub lag between nodes",
            "Is the broker slow? P90 of the time from publishing at one node to receiving at another.",
            Query(
                expr=_of_relay(f"histogram_quantile(0.9, {lag})"),
                legend="{{instance}}",
                window=300,
                empty_reason=SINGLE_NODE,
            ),
            unit="s",
        ),
    )


def _event_panels() -> tuple[Panel, ...]:
    """Return the panels of counters."""
    return (
        _bars(
            "Disconnects and unsubscribes by the server",
            "Which clients does the server disconnect or unsubscribe, and why? By code: 3001 is a shutdown; "
            "unsubscribes with 2500 are insufficient state, where messages may have been lost between nodes.",
            NO_DISCONNECT,
            Query(expr=_counted("client_num_server_disconnects", ("code",)), legend="disconnect {{code}}"),
            Query(expr=_counted("client_num_server_unsubscribes", ("code",)), legend="unsubscribe {{code}}"),
        ),
        _bars(
            "Error replies and recoveries",
            "Which commands fail, and with which code? Do reconnecting clients recover missed messages?",
            NO_ERROR,
            Query(expr=_counted("client_num_reply_errors", ("method", "code")), legend="{{method}}: {{code}}"),
            Query(expr=_counted("client_recover", ("recovered",)), legend="recovered: {{recovered}}"),
        ),
        _bars(
            "Redis errors and dropped messages",
            "Does the broker disconnect, or drop messages?",
            NO_REDIS_ERROR,
            Query(expr=_counted("broker_redis_pub_sub_errors", ("error",)), legend="error {{error}}"),
            Query(
                expr=_counted("broker_redis_pub_sub_dropped_messages", ("channel_type",)),
                legend="dropped {{channel_type}}",
            ),
        ),
    )
