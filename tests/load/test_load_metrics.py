"""The series of a load test that a monitor does not have."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from monitor.load.load_metrics import LoadCollector
from monitor.load.plan import Plan
from monitor.load.statistics import LoadStatistics
from monitor.results import Exchange, Failure, Pairing, Run
from monitor.scenarios import Scenario
from monitor.vocabulary import Outcome, Reason, Step
from tests.metrics.sample import run


@dataclass
class SetClock:
    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1e9 + self.now


def plan(**settings: object) -> Plan:
    usual = {"target": "embedded", "scenario": Scenario.STEADY_MESSAGING, "connection_pairs": 10, "ramp_up": 5.0}
    return Plan(**(usual | settings))  # type: ignore[arg-type]  # by name


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def statistics(clock: SetClock) -> LoadStatistics:
    return LoadStatistics(Scenario.STEADY_MESSAGING, clock)


@pytest.fixture
def collector(clock: SetClock, statistics: LoadStatistics) -> LoadCollector:
    return LoadCollector(plan(), statistics, clock, {"relay": "target"})


def values(collector: LoadCollector, name: str, label: str) -> dict[str, float]:
    return {
        sample.labels.get(label, ""): sample.value
        for metric in collector.collect()
        for sample in metric.samples
        if sample.name == name
    }


def failed(step: Step, reason: Reason) -> Run:
    return run(Exchange(Outcome.FAILED, Failure(step=step, reason=reason)))


def test_the_ramp_up_is_shown_as_planned_due_started_and_open(
    collector: LoadCollector, statistics: LoadStatistics, clock: SetClock
) -> None:
    clock.now += 2.0
    for _ in range(3):
        statistics.record_start()
    statistics.active = 2
    shown = values(collector, "relay_load_pairs", "state")
    assert shown == {"planned": 10, "due": 5, "started": 3, "open": 2}


@pytest.mark.parametrize(
    ("worker", "elapsed", "due"),
    [((0, 1), 0.0, 1), ((0, 1), 0.49, 1), ((0, 1), 0.5, 2), ((0, 1), 99.0, 10), ((1, 3), 0.5, 1), ((1, 3), 99.0, 3)],
)
def test_due_are_those_that_should_have_started(worker: tuple[int, int], elapsed: float, due: int) -> None:
    made = plan(worker=worker)
    assert made.due(elapsed) == due == sum(made.start_of(number) <= elapsed for number in made.numbers)


def test_everything_is_due_at_once_without_a_ramp_up() -> None:
    assert plan(ramp_up=0.0).due(0.0) == 10


def test_connects_are_counted_by_outcome(collector: LoadCollector, statistics: LoadStatistics) -> None:
    statistics.record_pairing(Pairing(outcome=Outcome.OK, wallet_seconds=0.25))
    statistics.record_pairing(Pairing(outcome=Outcome.FAILED, failure=Failure(step=Step.TCP, reason=Reason.REFUSED)))
    statistics.record_connect(0.1, retries=2)
    assert values(collector, "relay_load_connects_total", "outcome") == {"immediate": 1, "recovered": 1, "failed": 1}
    assert values(collector, "relay_load_connect_retries_total", "") == {"": 2}


def test_a_new_failure_is_shown_at_0_first(collector: LoadCollector, statistics: LoadStatistics) -> None:
    """`increase` sees a counter's first value only if it was 0 before."""
    for _ in range(3):
        statistics.record(failed(Step.DELIVER, Reason.LOST))
    assert values(collector, "relay_load_errors_total", "reason") == {"lost": 0}
    statistics.record(failed(Step.ANSWER, Reason.SILENT))
    assert values(collector, "relay_load_errors_total", "reason") == {"lost": 3, "silent": 0}
    assert values(collector, "relay_load_errors_total", "step") == {"deliver": 3, "answer": 1}


def test_latencies_have_the_quantiles_of_the_report(collector: LoadCollector, statistics: LoadStatistics) -> None:
    for milliseconds in range(1, 1001):
        statistics.record(run(Exchange(Outcome.OK, round_trip=milliseconds / 1000)))
    found = {
        sample.labels["quantile"]: sample.value
        for metric in collector.collect()
        for sample in metric.samples
        if sample.name == "relay_load_latency_seconds" and sample.labels["latency"] == "round trip"
    }
    expected = {"0": 0.001, "0.5": 0.5, "0.9": 0.9, "0.95": 0.95, "0.99": 0.99, "0.999": 0.999, "1": 1.0}
    assert found == pytest.approx(expected, rel=1e-3)
    assert values(collector, "relay_load_latency_seconds_count", "latency")["round trip"] == 1000


def test_a_latency_that_was_not_measured_has_no_quantiles(collector: LoadCollector) -> None:
    assert values(collector, "relay_load_latency_seconds", "latency") == {}


def test_the_times_of_the_test_are_shown(collector: LoadCollector, clock: SetClock) -> None:
    clock.now += 7.0
    assert values(collector, "relay_load_start_time_seconds", "") == {"": 1e9 + 1000}
    assert values(collector, "relay_load_planned_seconds", "") == {"": plan().seconds}
