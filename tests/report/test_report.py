"""A report of a month whose every sample is known, from a real Prometheus."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.cli.commands import monitor
from tests.dashboards import backfill
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STEP = 300.0
"""Seconds between two scrapes."""

START, END = (datetime(2026, number, 1, tzinfo=UTC).timestamp() for number in (2, 3))

pytestmark = pytest.mark.integration

CONFIG = """
locations: [local]
prometheus: {scrape_interval: 5m, evaluation_interval: 5m}
relays: [{name: good, url: embedded}, {name: bad, url: embedded}, {name: new, url: embedded}]
probes: [{name: steady, scenario: steady-messaging}]
slos: [{name: delivery, probe: steady, sli: availability, objective: 99.9%}]
"""


def counter(name: str, start: float, per_step: float, **labels: str) -> Iterator[tuple[backfill.Key, backfill.Samples]]:
    """Yield a counter that is 0 at `start` and grows until the end of the month."""
    steps = int((END - start) // STEP)
    series = name, tuple(sorted({"install": "default", "probe": "steady", **labels}.items()))
    yield series, [(start + number * STEP, number * per_step) for number in range(steps + 1)]


def month() -> Iterator[tuple[backfill.Key, backfill.Samples]]:
    """Yield the series of three relays; `new` is watched for the last half of the month only."""
    for relay, start, bad in (("good", START, 0.0), ("bad", START, 1.0), ("new", (START + END) / 2, 0.0)):
        own = {"relay": relay, "location": "local"}
        yield from counter("relay_slo_events_total", start, 50 - bad, slo="delivery", outcome="good", **own)
        yield from counter("relay_slo_events_total", start, bad, slo="delivery", outcome="bad", **own)
        yield from counter("relay_monitor_runs_total", start, 49, result="started", **own)
        yield from counter("relay_monitor_runs_total", start, 1, result="missed", **own)
        for outcome, count in (("ok", 45), ("failed", 2), ("excluded", 2), ("aborted", 1)):
            yield from counter("relay_probe_exchanges_total", start, count, outcome=outcome, **own)


@pytest.mark.required_counterpart("prometheus")
async def test_a_month_of_known_events(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    backfill.write(dict(month()), tmp_path, block_hours=768)
    async with backfill.opened(tmp_path) as prometheus:
        arguments = ("report", "--config", config, "--month", "2026-02", "--prometheus", prometheus.url, "--format")
        table = monitor(*arguments, "csv")
        markdown = monitor(*arguments, "markdown")
        values = json.loads(monitor(*arguments, "json").stdout)
    assert (table.returncode, table.stderr) == (1, "")  # an objective was missed
    rows = {row["relay"]: row for row in csv.DictReader(io.StringIO(table.stdout))}
    events = 50 * (END - START) / STEP
    assert {relay: row["verdict"] for relay, row in rows.items()} == {
        "good": "met",
        "bad": "missed",
        "new": "insufficient data",
    }
    assert float(rows["bad"]["attainment"]) == pytest.approx(0.98, abs=1e-6)
    assert float(rows["bad"]["good"]) + float(rows["bad"]["bad"]) == pytest.approx(events, rel=1e-3)
    assert float(rows["bad"]["budget_left"]) == pytest.approx(-19, rel=1e-3)
    assert float(rows["good"]["coverage"]) == pytest.approx(0.98, abs=1e-3)  # one run in fifty was missed
    assert float(rows["new"]["coverage"]) == pytest.approx(0.49, abs=1e-3)
    assert "| `bad` | delivery | 99.9% | 98.0000% | -1900.0% |" in markdown.stdout
    assert markdown.stdout.splitlines()[0] == "# Service levels of default, 2026-02"
    assert "| 4.00% | 2.00% |" in markdown.stdout
    assert values["exchanges"]["good"]["ok"] == pytest.approx(0.9 * events, rel=1e-3)
    assert values["incidents"] is None


def test_a_prometheus_that_cannot_be_reached_is_an_error_with_its_address(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    url = f"http://127.0.0.1:{closed_port()}"
    done = monitor("report", "--config", config, "--prometheus", url)
    assert (done.returncode, done.stderr) == (2, f"relay-monitor: {url}: Connection refused\n")


def test_without_a_prometheus_the_option_is_named(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    done = monitor("report", "--config", config)
    assert done.returncode == 2
    assert "--prometheus" in done.stderr
    done = monitor("report", "--config", config, "--month", "2026-1")
    assert "'2026-1' is not a month; expected YYYY-MM" in done.stderr
