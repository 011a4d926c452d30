"""Sums of what was added: cells, latencies, failures by cause, SLO events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from monitor.config import parse
from monitor.journal import Cell, Journal
from monitor.results import Exchange, Failure, MessageFate, MessagesJudged, PairTime, Run
from monitor.vocabulary import Outcome, Reason, Step, Verdict
from tests.journal.sample import failed_at, run
from tests.journal.writing import CONFIG

pytestmark = pytest.mark.unit

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
KEY = ("demo", "steady")


class WallClock:
    """A wall clock that the test sets; the monotonic clock goes with it."""

    def __init__(self) -> None:
        self.now = NOON.timestamp()

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


def journal(clock: WallClock | None = None) -> Journal:
    made = Journal(clock=clock or WallClock())
    made.configure(parse(CONFIG, "config.yaml", {}))
    return made


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def with_round_trips(number: int, minutes: float, *seconds: float) -> Run:
    exchanges = tuple(Exchange(outcome=Outcome.OK, round_trip=value) for value in seconds)
    return run(number, started_at=at(minutes), exchanges=exchanges)


class TestCells:
    def test_a_minute_has_its_outcomes_its_losses_and_its_worst_run(self) -> None:
        store = journal()
        store.add(run(1, started_at=at(0)))
        store.add(run(2, started_at=at(0.2), failed=True))
        store.add(run(3, started_at=at(0.4)))
        store.report(MessagesJudged(*KEY, "", Verdict.LOST, messages=2))
        store.add(run(4, started_at=at(2)))
        assert store.flush(30)
        assert store.cells(NOON, at(10), 60) == {
            KEY: [
                Cell(start=NOON, ok=2, failed=1, lost=2, worst=Outcome.FAILED, run_id=run(2).id),
                Cell(start=at(2), ok=1, worst=Outcome.OK, run_id=run(4).id),
            ]
        }
        assert store.cells(NOON, at(10), 60, "other") == {}
        assert store.cells(NOON, at(10), 60, "demo") == store.cells(NOON, at(10), 60)

    @pytest.mark.parametrize("cell", [60, 300, 900, 1_800, 3_600])
    def test_cells_of_any_length_add_up_to_the_same(self, cell: int) -> None:
        store = journal()
        for number in range(180):
            store.add(run(number, started_at=at(number), failed=number % 7 == 0))
        assert store.flush(30)
        (found,) = store.cells(NOON, at(180), cell).values()
        assert [each.start for each in found] == [at(start / 60) for start in range(0, 180 * 60, cell)]
        assert sum(each.ok for each in found) == 154
        assert sum(each.failed for each in found) == 26
        if cell >= 900:
            assert {each.worst for each in found} == {Outcome.FAILED}

    def test_later_additions_change_cells_that_were_read_before(self) -> None:
        store = journal()
        for number in range(60):
            store.add(run(number, started_at=at(number)))
        assert store.flush(30)
        assert len(store.cells(NOON, at(60), 60)[KEY]) == 60
        store.add(run(100, started_at=at(56), failed=True))  # held for four minutes
        store.add(run(101, started_at=at(60)))
        assert store.flush(30)
        found = store.cells(at(1), at(61), 60)[KEY]
        assert [each.start for each in found] == [at(minute) for minute in range(1, 61)]
        assert (found[55].ok, found[55].failed, found[55].worst) == (1, 1, Outcome.FAILED)

    def test_a_fault_falls_into_the_cell_in_which_it_was(self) -> None:
        store = journal()
        failure = Failure(step=Step.HOLD, reason=Reason.DISCONNECTED)
        exchange = Exchange(outcome=Outcome.FAILED, failure=failure, ended=29.0)
        store.add(run(1, failed=True, started_at=at(0.75), failure=failure, exchanges=(exchange,)))
        assert store.flush(30)
        assert [each.start for each in store.cells(NOON, at(5), 60)[KEY]] == [at(1)]

    def test_attempts_are_stored_and_not_counted(self) -> None:
        store = journal()
        store.add(run(1, failed=True, probe="(attempt)"))
        assert store.flush(30)
        assert (store.cells(NOON, at(60), 60), store.failures(NOON, 10), store.last_all()) == ({}, [], {})
        assert store.run(run(1).id) is not None


class TestLatency:
    def test_round_trips_by_span(self) -> None:
        store = journal()
        for number in range(10):
            store.add(with_round_trips(number, number, 0.1, 0.3))
        assert store.flush(30)
        found = store.latency_cells(NOON, at(60), 300)[KEY]
        assert [(start, histogram.total) for start, histogram in found] == [(NOON, 10), (at(5), 10)]
        assert found[0][1].quantile(0.5) == pytest.approx(0.1)


class TestFailures:
    def test_failures_of_one_cause_are_a_group_until_a_pause(self) -> None:
        store = journal()
        for number, minutes in enumerate([0, 1, 14, 16, 30, 90, 91]):
            store.add(failed_at(run(number).id, at(minutes), f"detail {number}"))
        assert store.flush(30)
        found = [(each.count, each.first, each.last, each.detail) for each in store.failures(NOON, 10)]
        assert found == [(2, at(90), at(91), "detail 6"), (5, at(0), at(30), "detail 4")]
        assert store.failures(at(60), 10) == store.failures(NOON, 10)[:1]
        assert store.failures(NOON, 10, "other") == []


class TestEvents:
    def test_events_are_counted_by_the_rule_of_the_metrics(self) -> None:
        clock = WallClock()
        store = journal(clock)
        for number in range(50):  # two days and two hours
            clock.now = at(number * 60 + 20).timestamp()
            store.add(run(number, started_at=at(number * 60 + 20), failed=number % 10 == 0))
            store.report(PairTime(*KEY, "", connected=True, seconds=3.0))
        assert store.flush(30)
        found = store.events(at(-60), at(3_000))["demo", "delivery"]
        assert (found.good, found.bad, found.since) == (45.0, 5.0, at(20))
        found = store.events(at(25 * 60 + 20), at(3_000))["demo", "delivery"]
        assert (found.good, found.bad, found.since) == (23.0, 2.0, at(25 * 60))

    def test_a_probe_without_slos_has_none(self) -> None:
        store = journal()
        store.add(run(1, probe="idle"))
        assert store.flush(30)
        assert store.events(NOON, at(60)) == {}


@pytest.mark.parametrize("written", [True, False])
def test_a_verdict_that_comes_after_its_run(written: bool) -> None:
    store = journal()
    store.add(run(1, failed=True, messages=(MessageFate("request", 1, None), MessageFate("response", 2, None))))
    if written:
        assert store.flush(30)
    store.judged(run(1).id, "request", 1, Verdict.LOST, "not in the history")
    assert store.flush(30)
    for _ in range(2):
        stored = store.run(run(1).id)
        assert stored is not None
        assert [(fate.verdict, fate.note) for fate in stored.run.messages] == [
            (Verdict.LOST, "not in the history"),
            (None, ""),
        ]
        store._recent._by_id.clear()  # then from the database
        store._recent._last.clear()
