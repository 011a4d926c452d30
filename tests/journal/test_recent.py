from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from monitor.journal import StoredRun, recent
from monitor.journal.recent import RecentRuns
from monitor.vocabulary import Outcome
from tests.journal.sample import START, run

if TYPE_CHECKING:
    import pytest


def everything(store: RecentRuns) -> list[StoredRun]:
    found = store.matching(None, None, None, datetime.fromtimestamp(0, UTC), datetime(9999, 1, 1, tzinfo=UTC))
    return sorted(found, key=lambda stored: stored.run.started_at, reverse=True)


def numbers(runs: list[StoredRun]) -> list[int]:
    return [int(found.run.id[-12:], 16) for found in runs]


class TestLimits:
    def test_failed_runs_are_kept_longer(self) -> None:
        store = RecentRuns()
        store.add(StoredRun(run(0, failed=True)))
        for number in range(1, 200):
            store.add(StoredRun(run(number)))
        assert numbers(everything(store)) == [*range(199, 199 - recent.RUNS_PER_PROBE, -1), 0]
        assert store.get(run(1).id) is None

    def test_failed_runs_have_their_own_limit(self) -> None:
        store = RecentRuns()
        for number in range(200):
            store.add(StoredRun(run(number, failed=True)))
        assert numbers(everything(store)) == list(range(199, 199 - recent.FAILED_RUNS_PER_PROBE, -1))

    def test_all_runs_have_a_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(recent, "MAX_RUNS", 10)
        store = RecentRuns()
        for number in range(100):
            store.add(StoredRun(run(number, probe=f"p{number % 30}", failed=number % 2 == 0)))
        assert numbers(everything(store)) == list(range(99, 89, -1))

    def test_runs_a_week_older_than_the_newest_are_removed(self) -> None:
        store = RecentRuns()
        store.add(StoredRun(run(1, probe="retired")))
        store.add(StoredRun(run(2, failed=True)))
        store.add(StoredRun(run(3, started_at=START + timedelta(days=7, minutes=2))))
        assert numbers(everything(store)) == [3, 2]

    def test_no_run_is_removed_when_the_clock_is_set_back(self) -> None:
        store = RecentRuns()
        store.add(StoredRun(run(2, started_at=START + timedelta(days=30))))
        store.add(StoredRun(run(1)))
        assert numbers(everything(store)) == [2, 1]


class TestLast:
    def test_the_last_run_and_the_last_good_one(self) -> None:
        store = RecentRuns()
        for number, failed in ((1, False), (2, True), (3, True)):
            store.add(StoredRun(run(number, failed=failed)))
        last, good = store.last("demo", "steady"), store.last_good_all()["demo", "steady"]
        assert last is not None
        assert numbers([last, good]) == [3, 1]

    def test_a_run_that_was_held_is_not_the_last_one(self) -> None:
        store = RecentRuns()
        store.add(StoredRun(run(5)))
        store.add(StoredRun(run(2, failed=True)))
        assert numbers(list(store.last_all().values())) == [5]

    def test_the_first_run_after_the_clock_was_set_back_is_the_last_one(self) -> None:
        store = RecentRuns()
        store.add(StoredRun(run(1, started_at=START + timedelta(hours=1))))
        store.add(StoredRun(run(2)))
        assert numbers(list(store.last_all().values())) == [2]

    def test_a_run_of_an_earlier_process_is_the_last_one_until_there_is_another(self) -> None:
        store = RecentRuns()
        store.load(StoredRun(run(7, outcome=Outcome.OK)))
        assert numbers(list(store.last_good_all().values())) == [7]
        store.add(StoredRun(run(8)))
        store.load(StoredRun(run(7)))
        assert numbers(list(store.last_all().values())) == [8]
