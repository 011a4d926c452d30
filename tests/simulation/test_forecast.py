from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from monitor.cli import app
from monitor.config import Config, parse
from monitor.config.traffic import rate, sources
from monitor.errors import ConfigError
from monitor.simulation.forecast import UP, Forecast, forecast, slow_ratio
from monitor.simulation.nodes import bad_node_odds
from monitor.simulation.verdict_faults import VerdictTimes, verdict_times
from monitor.slo.alertmanager import alertmanager_file

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

TEXT = """
relays: [{name: demo, url: embedded}]
probes:
  - {name: steady, scenario: steady-messaging}
  - {name: idle, scenario: steady-state}
  - {name: offline, scenario: async-delivery, schedule: {every: 1m}, delay: 30s}
slos:
  - {name: round-trip, probe: steady, sli: latency, threshold: 400ms, objective: 99%}
  - {name: delivery, probe: steady, sli: availability, objective: 99.9%}
  - {name: stability, probe: [steady, idle], sli: stability, objective: 99.9%}
  - {name: recovery, probe: offline, sli: availability, objective: 100%}
  - {name: pairing, probe: steady, sli: pairing, objective: 99%}
  - {name: trend, probe: steady, sli: trend}
"""


def of_slos(*names: str) -> str:
    """Return the same with these SLOs only, for a shorter forecast."""
    lines = TEXT.splitlines(keepends=True)
    return "".join(line for line in lines if "sli:" not in line or any(f"name: {name}," in line for name in names))


DELIVERY = of_slos("delivery")


@pytest.fixture(scope="module")
def config() -> Config:
    return parse(TEXT, "config.yaml", {})


@pytest.fixture(scope="module")
def found(config: Config) -> Forecast:
    return forecast(config, seed=1, trials=10, noise=[0.0001], months=1)


def test_events_a_minute_of_the_schedule(config: Config) -> None:
    """Two pairs with an exchange every 10.5 s, an offline delivery a minute, seconds of two pairs and connections."""
    per_minute = {slo.name: rate(sources(config, slo, "demo")) * 60 for slo in config.slos[:-1]}
    assert per_minute == pytest.approx(
        {"round-trip": 11.43, "delivery": 11.43, "stability": 240, "recovery": 1, "pairing": 2 / 15}, rel=1e-3
    )


@pytest.fixture(scope="module")
def outages(config: Config) -> dict[str, VerdictTimes]:
    times = verdict_times(config, config.relays[0], 40, np.random.default_rng(1))
    return {each.fault: each for each in times}


@pytest.mark.parametrize(
    ("fault", "least", "most"),
    [
        # A round of attempts, `page_after`, a scrape, an evaluation and Alertmanager's wait.
        ("killed", 15.0, 90.0),
        ("silent", 20.0, 90.0),
        ("unavailable, 503", 15.0, 90.0),
        # Three attempts that are 20 s apart: 40.3 s to the verdict. Then a scrape and an evaluation, 15 s each,
        # `page_after`, 30 s, and Alertmanager's wait, 10 s: 110.3 s at most.
        ("asks for less, 429", 50.0, 111.0),
    ],
)
def test_each_outage_pages_in_time(outages: dict[str, VerdictTimes], fault: str, least: float, most: float) -> None:
    times = outages[fault].times
    assert least < times.min() < times.max() <= most


@pytest.mark.parametrize(
    ("confirm", "killed", "silent"),
    [
        # Three attempts begin together instead of 2 s apart, and each may take 2 s instead of 5.
        ("within: 2s", -4.0, -7.0),
        # Seven more attempts, 2 s apart.
        ("attempts: 10, within: 30s", 14.0, 14.0),
    ],
)
def test_a_round_with_other_settings_pages_at_another_time(
    outages: dict[str, VerdictTimes], confirm: str, killed: float, silent: float
) -> None:
    """The mean of 40 trials, since scrapes and evaluations are 15 s apart."""
    changed = parse(TEXT.replace("url: embedded", f"url: embedded, confirm: {{{confirm}}}"), "config.yaml", {})
    times = {each.fault: each for each in verdict_times(changed, changed.relays[0], 40, np.random.default_rng(1))}
    later = {fault: times[fault].times.mean() - outages[fault].times.mean() for fault in ("killed", "silent")}
    assert later == pytest.approx({"killed": killed, "silent": silent}, abs=1.5)


def test_attempts_have_the_timeout_of_the_first_probe(outages: dict[str, VerdictTimes]) -> None:
    """That of the shortest was taken, and the time to the page of a silent relay was too short."""
    quick = "  - {name: quick, scenario: steady-state, timeout: 1s}\nslos:"
    changed = parse(TEXT.replace("slos:", quick), "config.yaml", {})
    times = {each.fault: each for each in verdict_times(changed, changed.relays[0], 40, np.random.default_rng(1))}
    assert times["silent"].times.mean() == pytest.approx(outages["silent"].times.mean(), abs=1.5)


def test_every_slo_with_an_objective_is_forecast_for_both_severities(found: Forecast) -> None:
    found_for = {(row.slo, row.severity) for row in found.rows if row.slo not in {"", "trend"}}
    assert found_for == {
        (slo, severity)
        for slo in ("round-trip", "delivery", "stability", "recovery", "pairing")
        for severity in ("critical", "warning")
    }


def test_max_severity_warning_is_forecast_as_warnings() -> None:
    text = of_slos("round-trip").replace("url: embedded", "url: embedded, max_severity: warning")
    found = forecast(parse(text, "config.yaml", {}), seed=1, trials=10, noise=[0.0001], months=1)
    assert {row.severity for row in found.rows} == {item.severity for item in found.noise} == {"warning"}
    # As early as the page would fire, not after the warning's own 45 minutes.
    (spread,) = (row.spread for row in found.rows if (row.slo, row.fault) == ("round-trip", UP))
    assert spread is not None
    assert spread.high < 660


def test_a_trend_fires_for_slower_round_trips(found: Forecast) -> None:
    """After some minutes of its hour, and ten minutes pending."""
    (row,) = (row for row in found.rows if row.slo == "trend")
    assert (row.alert, row.severity, row.fault) == ("RelayLatencyTrend", "warning", "latency ×2")
    assert row.spread is not None
    assert (row.spread.paged, 600 < row.spread.low < row.spread.high < 3600) == (1.0, True)


def test_a_trend_hardly_fires_for_round_trips_that_only_vary(config: Config) -> None:
    """The P99 of an hour depends on seven round trips; the P90 prevents most false alerts."""
    noise = forecast(config, seed=1, trials=10, noise=[], months=3).noise
    assert [(item.slo, item.severity, item.ratio) for item in noise] == [("trend", "warning", 0.0)]
    assert noise[0].pages_a_month < 1


def test_a_trend_of_too_few_round_trips_is_refused() -> None:
    text = TEXT.replace("scenario: steady-messaging}", "scenario: steady-messaging, message_interval: 1m, pairs: 1}")
    with pytest.raises(ConfigError, match="a trend needs more than 100"):
        parse(text, "config.yaml", {})


@pytest.mark.parametrize(("severity", "least"), [("critical", 10.0), ("warning", 30.0)])
def test_the_group_wait_is_that_of_the_route(severity: str, least: float) -> None:
    text = DELIVERY.replace("url: embedded", f"url: embedded, max_severity: {severity}")
    config = parse(text, "config.yaml", {})
    found = forecast(config, seed=1, trials=10, noise=[], months=1)
    (row,) = (row for row in found.rows if row.fault == "killed")
    assert row.severity == severity
    assert row.spread is not None
    assert row.spread.low > least + 4.0
    routes = yaml.safe_load(alertmanager_file(config))["route"]
    waits = {route["receiver"]: route["group_wait"] for route in (routes, *routes["routes"]) if "group_wait" in route}
    assert waits["pages" if severity == "critical" else "tickets"] == f"{least:.0f}s"


def test_faults_that_never_page_are_listed(found: Forecast) -> None:
    """2 % of errors at 99 % are a burn rate of 2: a warning after hours, and no page."""
    assert {(row.slo, row.severity, row.fault) for row in found.never if row.slo} == {
        ("round-trip", "critical", "2 % errors")
    } | {(row.slo, row.severity, row.fault) for row in found.never if row.slo == "pairing"}


def test_a_loss_warns_and_pages_two_timeouts_after_the_message() -> None:
    """The run fails after one, and the message is late until another one has passed."""
    medians = []
    for timeout in (2, 5):
        changed = of_slos("recovery").replace("delay: 30s", f"delay: 30s, timeout: {timeout}s")
        rows = forecast(parse(changed, "config.yaml", {}), seed=1, trials=10, noise=[], months=1).rows
        medians.append({row.severity: row.spread.median for row in rows if row.fault == UP and row.spread is not None})
    later = {severity: medians[1][severity] - medians[0][severity] for severity in medians[0]}
    assert later == pytest.approx({"warning": 6.0, "critical": 6.0})


def test_more_errors_page_sooner(found: Forecast) -> None:
    for slo in ("delivery", "stability", "recovery"):
        medians = [
            row.spread.median
            for fault in (UP, "10 % errors", "2 % errors")
            for row in found.rows
            if (row.slo, row.fault, row.severity) == (slo, fault, "warning") and row.spread is not None
        ]
        assert medians == sorted(medians)
        assert len(medians) == 3


def test_noise_within_the_error_budget_does_not_page(found: Forecast) -> None:
    assert {item.pages_a_month for item in found.noise if item.severity == "critical"} == {0.0}


def test_slow_ratio_of_a_relay_that_just_meets_its_objective() -> None:
    assert slow_ratio(0.01, 1.0) == pytest.approx(0.01)
    assert slow_ratio(0.01, 2.0) == pytest.approx(0.1738, abs=1e-3)


def test_odds_of_hitting_one_bad_node_of_three(config: Config) -> None:
    """A pair misses it with a probability of (2/3)², two persistent pairs with (2/3)⁴."""
    met = bad_node_odds(config.probes, 3)
    assert met.at_once == pytest.approx(1 - (2 / 3) ** 4)
    assert met.half == 0.0
    assert 60 < met.nearly < 100
    assert bad_node_odds(config.probes, 1).at_once == 1.0
    assert bad_node_odds(config.probes[1:2], 3).nearly == float("inf")


def test_the_command_prints_tables_or_json_and_plots(tmp_path: Path) -> None:
    folder = tmp_path
    (folder / "config.yaml").write_text(of_slos("delivery", "recovery", "trend"), encoding="utf-8")
    plot = folder / "forecast.svg"
    few = ("--trials", "10", "--months", "1", "--noise", "0.001", "--nodes", "3")
    arguments = ["simulate", "--config", str(folder / "config.yaml"), *few]
    done = CliRunner().invoke(app, [*arguments, "--output", "json", "--plot", str(plot)])
    assert done.exit_code == 0
    document = json.loads(done.stdout)
    alerts = {"RelayDown", "RelayErrorBudgetBurn", "RelayMessagesLost", "RelayLatencyTrend"}
    assert {row["alert"] for row in document["rows"]} >= alerts
    assert document["attempts"][0]["every"] == 30.0
    assert document["nodes"]["demo"]["nodes"] == 3
    assert plot.read_text("utf-8").lstrip().startswith("<?xml")
    (folder / "config.yaml").write_text(DELIVERY, encoding="utf-8")
    text = CliRunner().invoke(app, arguments)
    rows = text.stdout.splitlines()
    killed = rows.index("RelayDown") + 1
    assert re.match(r"  killed +\d+ s \(\d+–\d+ s\) +–$", rows[killed])
    assert "SLO delivery: RelayErrorBudgetBurn" in rows
    assert re.match(r"demo +3 +\d+%", rows[-1])
    assert "|" not in text.stdout
