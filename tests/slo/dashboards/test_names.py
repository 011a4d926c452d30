"""Every metric and label that the dashboards use is declared, or exported by another known program."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from monitor.load.serving import load_name
from monitor.metrics.declared import DECLARED, PROBE
from monitor.slo.dashboards.model import Variable
from tests.slo.dashboards.promql import listed, selectors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.slo.dashboards.model import Dashboard

SCRAPED = {"job", "instance"}
OBJECTIVE = {"install", "slo", "relay", "probe", "location"}
RECORDED = (
    *(f"slo:sli_error:ratio_rate{window}" for window in ("5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d")),
    "slo:objective:ratio",
    "slo:error_budget:ratio",
    "slo:current_burn_rate:ratio",
    "slo:period_error_budget_remaining:ratio",
)
FOREIGN = {
    **dict.fromkeys(("up", "scrape_duration_seconds", "scrape_samples_scraped"), SCRAPED),
    **dict.fromkeys(
        ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds"), SCRAPED
    ),
    "ALERTS": OBJECTIVE | {"alertname", "alertstate", "severity", "service"},
    "ALERTS_FOR_STATE": OBJECTIVE | {"alertname", "severity", "service"},
    **dict.fromkeys(RECORDED, OBJECTIVE),
    "relay:maintenance": {"install", "relay"},
    **{
        f"centrifugo_{name}": SCRAPED | labels
        for name, labels in {
            "node_build": {"version"},
            "node_num_clients": set(),
            "node_num_nodes": set(),
            "node_pub_sub_lag_seconds_bucket": {"le"},
            "client_num_server_disconnects": {"code"},
            "client_num_server_unsubscribes": {"code"},
            "client_num_reply_errors": {"method", "code"},
            "client_recover": {"recovered"},
            "broker_redis_pub_sub_errors": {"error"},
            "broker_redis_pub_sub_dropped_messages": {"channel_type"},
            "broker_redis_pub_sub_buffered_messages": set[str](),
        }.items()
    },
}


LOAD_LABELS = {*PROBE, *SCRAPED}
OF_A_LOAD_TEST = {
    "relay_load_pairs": {"state"},
    "relay_load_connects_total": {"outcome"},
    "relay_load_errors_total": {"step", "reason"},
    "relay_load_latency_seconds": {"latency", "quantile"},
    "relay_load_latency_seconds_count": {"latency"},
    "relay_load_start_time_seconds": set[str](),
    "relay_load_planned_seconds": set[str](),
}


def known() -> dict[str, set[str]]:
    """Return every possible series with its labels."""
    series = dict(FOREIGN)
    for item in DECLARED:
        labels = set(item.labels) | SCRAPED
        if item.kind == "histogram":
            series |= {f"{item.name}_bucket": labels | {"le"}, f"{item.name}_sum": labels, f"{item.name}_count": labels}
        else:
            series[item.name] = labels
    load = {renamed: labels for name, labels in series.items() if (renamed := load_name(name)) is not None}
    return series | load | {name: LOAD_LABELS | labels for name, labels in OF_A_LOAD_TEST.items()}


def expressions(board: Dashboard) -> Iterator[str]:
    """Yield every expression of a dashboard."""
    yield from (query.expr for panel in board.panels for query in panel.queries)
    yield from (annotation.expr for annotation in board.annotations)
    yield from (variable.source for variable in board.variables)


def written(expr: str) -> set[str]:
    """Return the labels that an expression creates."""
    return set(re.findall(r'label_(?:join|replace)\([^"]*(?:"[^"]*"[^"]*)*?\}[^"]*"(\w+)"', expr))


def test_every_metric_exists_and_has_the_used_labels(models: tuple[Dashboard, ...]) -> None:
    series = known()
    wrong = []
    for board in models:
        for expr in expressions(board):
            found = list(selectors(expr))
            for selector in found:
                missing = {label for label, _, _ in selector.matchers} - series.get(selector.name, set())
                if selector.name not in series or missing:
                    wrong.append((board.title, selector.name, missing))
            possible = {label for selector in found for label in series.get(selector.name, ())} | written(expr)
            if listed(expr) - possible:
                wrong.append((board.title, expr, listed(expr) - possible))
    assert wrong == []


def test_legends_use_labels_of_the_result(models: tuple[Dashboard, ...]) -> None:
    wrong = []
    for board in models:
        for panel in board.panels:
            for query in panel.queries:
                asked = {part.split("}}")[0] for part in query.legend.split("{{")[1:]}
                left = listed(query.expr) or {"instance"}
                if asked - left:
                    wrong.append((board.title, panel.title, query.legend))
    assert wrong == []


@pytest.mark.parametrize("name", ["install", "job", "instance", "location", "relay", "probe"])
def test_every_variable_is_used(models: tuple[Dashboard, ...], name: str) -> None:
    for board in models:
        chosen = [variable for variable in board.variables if variable.name == name]
        used = [expr for expr in expressions(board) if f"${name}" in expr]
        assert bool(chosen) == bool(used), (board.title, name)
        assert all(isinstance(variable, Variable) for variable in chosen)


@pytest.mark.parametrize("name", ["relays-overview", "relay-detail", "monitor-health"])
def test_a_variable_with_one_value_is_matched_exactly(models: tuple[Dashboard, ...], name: str) -> None:
    """Grafana escapes only the values of a variable with several: `=~` would take `eu.1` for a pattern of `eu-1`."""
    (board,) = (board for board in models if board.file == f"{name}.json")
    several = {variable.name: variable.several for variable in board.variables if not variable.hidden}
    matchers = {
        (value[1:], how)
        for expr in expressions(board)
        for selector in selectors(expr)
        for _, how, value in selector.matchers
        if value.startswith("$")
    }
    wrong = {(variable, how) for variable, how in matchers if how != ("=~" if several[variable.rstrip("|")] else "=")}
    assert wrong == set()
    assert ("install", "=") in matchers
