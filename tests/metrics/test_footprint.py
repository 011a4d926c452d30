"""The cost of series that `check` prints."""

from __future__ import annotations

import pytest

from monitor.config import Config, parse, shard_of
from monitor.metrics import Metrics
from monitor.metrics.footprint import series_cost
from tests.metrics.sample import config, exchange, run, series, status
from tests.relays import ROOT


def shipped(relays: int = 1, *, detail: str = "standard", more: str = "") -> Config:
    """The shipped configuration with so many relays."""
    text = (ROOT / "config.yaml").read_text("utf-8").replace("{detail: standard}", f"{{detail: {detail}}}")
    start, end = text.index("relays:\n  - name: demo"), text.index("\nprobes:")
    names = "".join(f"  - {{name: relay-{number}, url: embedded}}\n" for number in range(relays))
    return parse(more + text[:start] + f"relays:\n{names}" + text[end:], "config.yaml", {})


def counted(parsed: Config) -> int:
    """The samples of a page without those of the process."""
    metrics = Metrics(parsed, version="1").registry.collect()
    return sum(not sample.name.startswith("process_") for metric in metrics for sample in metric.samples)


def process_series(parsed: Config) -> int:
    metrics = Metrics(parsed, version="1").registry.collect()
    return sum(sample.name.startswith("process_") for metric in metrics for sample in metric.samples)


def test_a_relay_has_at_most_600_series_with_the_shipped_configuration() -> None:
    """2,002 before, 957 of them buckets of phases."""
    assert 400 < series_cost(shipped()).of_relay <= 600


def test_lean_has_at_most_100() -> None:
    assert 60 < series_cost(shipped(detail="lean")).of_relay <= 100


@pytest.mark.parametrize(("detail", "most"), [("standard", 600), ("lean", 100)])
def test_that_holds_for_a_relay_that_is_up(detail: str, most: int) -> None:
    """Verdicts and the time of the last success have series only then; `lean` had 104."""
    parsed = shipped(detail=detail)
    metrics = Metrics(parsed, version="1")
    metrics.set_relay_status(status("relay-0", up=True))
    for probe in parsed.probes:
        metrics.publish(run(exchange(), probe=probe.name, relay="relay-0"))
    found = [labels for _, labels in series(metrics) if ("relay", "relay-0") in labels]
    assert series_cost(parsed).of_relay < len(found) <= most


def test_the_number_is_that_of_the_page() -> None:
    for parsed in (config(), shipped(3), shipped(2, detail="lean")):
        assert series_cost(parsed).of_process == counted(parsed) + process_series(parsed)


def test_shards_and_locations_share_and_multiply() -> None:
    parsed = shipped(20).model_copy(update={"locations": ("local", "eu", "us"), "shards": 4})
    cost = series_cost(parsed)
    parts = [counted(shard_of(parsed, number, 4)) + process_series(parsed) for number in range(4)]
    assert cost.of_process == max(parts)
    assert cost.of_all == 3 * sum(parts)
    assert cost.interval == 15.0
