"""Counters that appear when they are first needed: at 0, so that `rate()` sees their first increment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monitor.metrics import Metrics
from monitor.metrics.failures import MAX_CODES, MAX_FAILURES
from monitor.results import Disconnected, EndpointFailed
from monitor.scenarios import SPECS, Scenario
from monitor.vocabulary import Outcome
from tests.metrics.sample import (
    CONFIG,
    OPENMETRICS,
    RUN_ID,
    config,
    exchange,
    failure,
    of_relay,
    rendered,
    run,
    series,
    value,
)

if TYPE_CHECKING:
    from monitor.vocabulary import Reason, Step

SCRAPE = 15.0


class ManualClock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1.7e9 + self.now


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def metrics(clock: ManualClock) -> Metrics:
    return Metrics(config(), version="1", clock=clock)


def fail(metrics: Metrics, step: Step, reason: Reason) -> None:
    metrics.publish(run(exchange(Outcome.FAILED, failure=failure(step, reason))))


def infrequent() -> list[tuple[Step, Reason]]:
    """Pairs of step and reason that have no series from the start."""
    known = {
        (labels["step"], labels["reason"])
        for _, pairs in series(Metrics(config(), version="1"), "relay_probe_failures_total")
        if (labels := dict(pairs))["probe"] == "steady"
    }
    return [pair for pair in SPECS[Scenario.STEADY_MESSAGING].failure_labels if (*pair,) not in known]


def test_a_rare_failure_shows_0_for_two_scrapes_and_then_every_increment(metrics: Metrics, clock: ManualClock) -> None:
    step, reason = infrequent()[0]
    labels = {"step": step.value, "reason": reason.value}
    assert value(metrics, "relay_probe_failures_total", **labels) is None
    fail(metrics, step, reason)
    seen = []
    for _ in range(4):
        seen.append(value(metrics, "relay_probe_failures_total", **labels))
        clock.now += SCRAPE
        fail(metrics, step, reason)
    # One failure at once and one before each scrape: those of the first two scrapes wait.
    assert seen == [0, 0, 3, 4]


def test_it_shows_0_for_two_evaluations_if_these_are_rarer_than_scrapes(clock: ManualClock) -> None:
    metrics = Metrics(config(CONFIG + "prometheus: {evaluation_interval: 60s}\n"), version="1", clock=clock)
    metrics.publish(Disconnected("alpha", "steady", RUN_ID, 3005))
    for elapsed, shown in ((0, 0), (60, 0), (60, 1)):
        clock.now += elapsed
        metrics.observe_loop_lag(0.0)
        assert value(metrics, "relay_probe_disconnects_total", code="3005") == shown


def test_the_failed_exchange_itself_is_counted_at_once(metrics: Metrics) -> None:
    fail(metrics, *infrequent()[0])
    assert value(metrics, "relay_probe_exchanges_total", outcome="failed") == 1


def test_a_usual_failure_is_counted_at_once(metrics: Metrics) -> None:
    metrics.publish(run(exchange(Outcome.FAILED)))
    assert value(metrics, "relay_probe_failures_total", step="deliver", reason="lost") == 1


def test_a_probe_never_has_more_pairs_than_the_limit(metrics: Metrics, clock: ManualClock) -> None:
    pairs = SPECS[Scenario.STEADY_MESSAGING].failure_labels
    for _ in range(2):
        for step, reason in pairs:
            fail(metrics, step, reason)
        metrics.flush()
        clock.now += 3 * SCRAPE
    fail(metrics, *pairs[0])
    found = {
        (labels["step"], labels["reason"]): count
        for (_, found_labels), count in series(metrics, "relay_probe_failures_total").items()
        if (labels := dict(found_labels))["probe"] == "steady" and labels["relay"] == "alpha"
    }
    assert len(found) == MAX_FAILURES + 1 <= 45
    assert sum(found.values()) == 2 * len(pairs) + 1
    assert found["other", "other"] == 2 * (len(pairs) - MAX_FAILURES)


def test_a_probe_never_has_more_codes_than_the_limit(metrics: Metrics, clock: ManualClock) -> None:
    codes = [1000, 1001, 1002, 1003, 1006, 1009, 3000, 3001, 3004, 3005, 3008, 3009, 3010, 3011, 3012, 3500, 3501, None]
    for code in codes:
        metrics.publish(Disconnected("alpha", "steady", RUN_ID, code))
    metrics.flush()
    clock.now += 3 * SCRAPE
    metrics.observe_loop_lag(0.0)
    found = {
        dict(labels)["code"]: count
        for (_, labels), count in series(metrics, "relay_probe_disconnects_total").items()
        if ("probe", "steady") in labels and ("relay", "alpha") in labels
    }
    assert len(found) == MAX_CODES + 1
    assert sum(found.values()) == len(codes)
    assert found["none"] == found["3001"] == 1


def test_sixteen_endpoints_have_names_and_the_rest_is_other(metrics: Metrics, clock: ManualClock) -> None:
    for _ in range(2):
        for number in range(20):
            metrics.publish(EndpointFailed("alpha", "steady", RUN_ID, f"10.0.0.{number}:443"))
    metrics.flush()
    clock.now += 3 * SCRAPE
    metrics.observe_loop_lag(0.0)
    found = {dict(labels)["endpoint"]: count for (_, labels), count in series(metrics, ENDPOINTS).items()}
    assert len(found) == 17
    assert found["10.0.0.15:443"] == 2
    assert found["other"] == 8


ENDPOINTS = "relay_endpoint_failures_total"


def test_a_task_that_fails_is_counted(metrics: Metrics, clock: ManualClock) -> None:
    for _ in range(3):
        metrics.count_task_failure("schedule")
    clock.now += 3 * SCRAPE
    metrics.observe_loop_lag(0.0)
    labels = frozenset({("install", "default"), ("location", "here"), ("task", "schedule")})
    assert series(metrics)["relay_monitor_task_failures_total", labels] == 3


def test_a_task_that_fails_before_anything_else_happens_shows_0_first(metrics: Metrics, clock: ManualClock) -> None:
    """The wait began at 0 of the clock, so that the first measurement of the loop's lag ended it."""
    metrics.count_task_failure("journal")
    metrics.observe_loop_lag(0.0)
    labels = frozenset({("install", "default"), ("location", "here"), ("task", "journal")})
    assert series(metrics)["relay_monitor_task_failures_total", labels] == 0
    clock.now += 3 * SCRAPE
    metrics.observe_loop_lag(0.0)
    assert series(metrics)["relay_monitor_task_failures_total", labels] == 1


def test_a_change_of_detail_keeps_endpoints_and_codes_with_what_waits_for_them(
    metrics: Metrics, clock: ManualClock
) -> None:
    """They were removed, and what waited was lost."""
    metrics.publish(EndpointFailed("alpha", "steady", RUN_ID, "10.0.0.1:443"))
    metrics.publish(Disconnected("alpha", "steady", RUN_ID, 3005))
    for text in (CONFIG + "metrics: {detail: lean}\n", CONFIG):
        metrics.reconfigure(config(text))
        assert of_relay(metrics, ENDPOINTS, endpoint="10.0.0.1:443") == 0
        assert value(metrics, "relay_probe_disconnects_total", code="3005") == 0
    clock.now += 3 * SCRAPE
    metrics.publish(EndpointFailed("alpha", "steady", RUN_ID, "10.0.0.1:443"))
    metrics.flush()
    assert of_relay(metrics, ENDPOINTS, endpoint="10.0.0.1:443") == 2
    assert value(metrics, "relay_probe_disconnects_total", code="3005") == 1


def test_a_relay_with_another_address_has_room_for_its_own_endpoints(metrics: Metrics) -> None:
    """Those of the address before kept the sixteen names."""
    for number in range(20):
        metrics.publish(EndpointFailed("alpha", "steady", RUN_ID, f"10.0.0.{number}:443"))
    metrics.forget({"alpha"})
    assert series(metrics, ENDPOINTS) == {}
    metrics.publish(EndpointFailed("alpha", "steady", RUN_ID, "10.0.1.1:443"))
    assert [dict(labels)["endpoint"] for _, labels in series(metrics, ENDPOINTS)] == ["10.0.1.1:443"]


def test_a_removed_relay_takes_its_endpoints_with_it(metrics: Metrics) -> None:
    metrics.publish(EndpointFailed("alpha", "steady", RUN_ID, "10.0.0.1:443"))
    assert of_relay(metrics, ENDPOINTS, endpoint="10.0.0.1:443") == 0
    left = "relays: [{name: beta, url: embedded}]\nprobes: [{name: steady, scenario: steady-messaging}]\nlocation: here"
    metrics.reconfigure(config(left))
    assert series(metrics, ENDPOINTS) == {}


def test_an_exemplar_has_the_time_of_its_exchange(metrics: Metrics, clock: ManualClock) -> None:
    """Not that of its booking, which is up to a scrape later, and later still if a verdict is awaited."""
    first, second = exchange(round_trip=0.1, ended=2.0), exchange(round_trip=0.7)
    done = run(first, second, duration=30.0)
    metrics.publish(done)
    fail(metrics, *infrequent()[0])
    metrics.flush()
    clock.now += 300.0
    metrics.observe_loop_lag(0.0)
    found = rendered(metrics, OPENMETRICS)
    started = done.started_at.timestamp()
    trips = found["relay_probe_round_trip_seconds"].samples
    times = [float(sample.exemplar.timestamp or 0) for sample in trips if sample.exemplar]
    assert sorted(times) == [started + 2.0, started + 30.0]
    (failed,) = (sample.exemplar for sample in found["relay_probe_failures"].samples if sample.exemplar)
    assert float(failed.timestamp or 0) == started + 0.5
