"""The building blocks of the expressions, evaluated by promtool over series that are written out."""

from __future__ import annotations

from string import Template
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from monitor.config import parse
from monitor.slo.dashboards.promql import MONITORS, SELECTED_RELAYS, WATCHDOG, Subject, events, firing_count
from monitor.slo.dashboards.shared_panels import LONG_NAME, short_name, short_names
from tests.e2e.programs import PROMTOOL, find
from tests.slo.rules.promtool import run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.required_counterpart("promtool")

SCRAPE = 10
"""Seconds between two samples."""

COUNTER, TARGET = 'errors_total{job="a", instance="b"}', 'up{job="a", instance="b"}'
UNTIL = 12 * SCRAPE
"""Seconds after which the last interval of each length has ended."""


def filled(expr: str, install: str = "default", interval: str = "10s") -> str:
    """Return an expression as Grafana sends it, with all values selected."""
    everything = dict.fromkeys(("job", "instance", "location", "relay"), ".+")
    return Template(expr).substitute(everything, install=install, __interval=interval)


def evaluate(folder: Path, series: Mapping[str, str], expected: Mapping[str, float | None]) -> None:
    """Let promtool compare the values of expressions at `UNTIL`; None: there is no value."""
    test: dict[str, Any] = {
        "interval": f"{SCRAPE}s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": expr,
                "eval_time": f"{UNTIL}s",
                "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
            }
            for expr, value in expected.items()
        ],
    }
    file = folder / "expressions_test.yml"
    file.write_text(yaml.safe_dump({"evaluation_interval": f"{SCRAPE}s", "tests": [test]}), "utf-8")
    run(find(PROMTOOL), "test", "rules", file, timeout=30)


@pytest.mark.parametrize(
    ("samples", "up", "counted"),
    [
        ("0 10 20 30 40 60 70 80", "1 1 1 1 1 1 1 1", 80),
        # A failed scrape, of which Prometheus writes that the series are stale.
        ("0 10 20 30 stale 60 70 80", "1 1 1 1 0 1 1 1", 80),
        # A restart that costs a scrape: 30 before it, 25 after it, in an old series and in a new one.
        ("0 10 20 30 stale 5 15 25", "1 1 1 1 0 1 1 1", 55),
        ("_ _ _ _ _ 7 9 9", "1 1 1 1 0 1 1 1", 9),
        # A process that Prometheus did not know before: nobody knows when it counted the first 100.
        ("_ _ _ _ _ _ 100 120", "_ _ _ _ _ _ 1 1", 20),
    ],
)
def test_bars_count_each_event_once(samples: str, up: str, counted: float, tmp_path: Path) -> None:
    """At each zoom."""
    expected = {
        f"sum_over_time(({filled(events(COUNTER), interval=step)})[{UNTIL}s:{step}])": counted
        for step in ("10s", "20s", "30s")
    }
    last = samples.rsplit(maxsplit=1)[-1]
    evaluate(tmp_path, {COUNTER: f"{samples} {last}x9", TARGET: f"{up} 1x19"}, expected)


def test_a_process_that_starts_with_its_first_scrape_counts_from_0(tmp_path: Path) -> None:
    bars = filled(events(COUNTER, target=None))
    evaluate(tmp_path, {COUNTER: "_ _ _ _ _ 5 7 9x9"}, {f"sum_over_time(({bars})[{UNTIL}s:10s])": 9})


@pytest.mark.parametrize("subject", [SELECTED_RELAYS, MONITORS])
def test_the_rules_of_another_install_vouch_for_no_alert(subject: Subject, tmp_path: Path) -> None:
    """The Watchdog of an install fires while its own rules are evaluated: without it no number of alerts is known."""
    watchdog = 'ALERTS{service="relay-monitor", install="other", alertname="Watchdog", alertstate="firing"}'
    expected = {
        filled(firing_count(subject, "critical"), "other"): 0.0,
        filled(firing_count(subject, "critical"), "default"): None,
        f"count({filled(WATCHDOG, 'default')})": None,
    }
    evaluate(tmp_path, {watchdog: "1x19"}, expected)


def test_an_alert_of_two_severities_counts_as_the_worse_one(tmp_path: Path) -> None:
    """As it is one row of the table: a budget that burns fast also burns slowly."""
    labels = 'service="relay-monitor", install="default", alertstate="firing"'
    budget = f'{labels}, alertname="RelayErrorBudgetBurn", relay="one"'
    series = {
        f'ALERTS{{{labels}, alertname="Watchdog", severity="none"}}': "1x19",
        f'ALERTS{{{budget}, slo="delivery", severity="critical", long_window="1h"}}': "1x19",
        f'ALERTS{{{budget}, slo="delivery", severity="warning", long_window="1d"}}': "1x19",
        f'ALERTS{{{budget}, slo="stability", severity="warning", long_window="1d"}}': "1x19",
        f'ALERTS{{{budget}, slo="stability", severity="warning", long_window="3d"}}': "1x19",
    }
    expected = {
        filled(firing_count(SELECTED_RELAYS, "critical")): 1.0,
        filled(firing_count(SELECTED_RELAYS, "warning", "critical")): 1.0,
        filled(firing_count(SELECTED_RELAYS, "warning")): 2.0,
    }
    evaluate(tmp_path, series, expected)


def test_long_names_keep_their_beginning_and_their_end(tmp_path: Path) -> None:
    """Where a panel has room for one of the two only, names that differ in the other would look the same."""
    long, other = f"production-{'x' * 50}-a", f"production-{'x' * 50}-b"
    relays = ", ".join(f"{{name: {name}, url: embedded}}" for name in (long, other, "short"))
    text = f"relays: [{relays}]\nprobes: [{{name: idle, scenario: steady-state}}]"
    expr, legend = short_names(parse(text, "config.yaml", {}), "max by (relay) (seen)")
    assert legend == "{{name}}"
    series = {f'seen{{relay="{name}"}}': "1x12" for name in (long, other, "short")}

    def named(name: str) -> str:
        return f'count({expr} and on (name) label_replace(vector(1), "name", "{name}", "", ""))'

    wanted = ("production-…xxxxxxxxxx-a", "production-…xxxxxxxxxx-b", "short")
    evaluate(tmp_path, series, {named(name): 1 for name in wanted})
    assert all(len(name) <= LONG_NAME for name in wanted)
    assert tuple(map(short_name, (long, other, "short"))) == wanted


def test_usual_names_are_shown_as_they_are() -> None:
    config = parse("relays: [{name: eu-1, url: embedded}]\nprobes: [{name: idle, scenario: steady-state}]", "x", {})
    assert short_names(config, "seen") == ("seen", "{{relay}}")
