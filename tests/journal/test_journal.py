from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.journal import Journal
from monitor.results import Exchange, Mark, MessageFate
from monitor.state import StateFolder
from monitor.vocabulary import Outcome, Step
from tests.journal.sample import LOST, run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from monitor.journal import StoredRun


def numbers(runs: list[StoredRun]) -> list[int]:
    return [int(found.run.id[-12:], 16) for found in runs]


class TestQueries:
    def test_the_newest_run_is_first(self) -> None:
        store = Journal()
        for number in (1, 3, 2):
            store.add(run(number, failed=number == 2))
        assert numbers(store.runs()) == [3, 2, 1]
        assert numbers(store.runs(limit=2)) == [3, 2]

    def test_runs_by_relay_probe_and_outcome(self) -> None:
        store = Journal()
        store.add(run(1))
        store.add(run(2, relay="other"))
        store.add(run(3, probe="idle"))
        store.add(run(4, failed=True))
        store.add(run(5, outcome=Outcome.ABORTED))
        assert numbers(store.runs(relay="demo")) == [5, 4, 3, 1]
        assert numbers(store.runs(probe="idle")) == [3]
        assert numbers(store.runs(outcome="failed")) == [4]
        assert numbers(store.runs(outcome="aborted")) == [5]
        assert numbers(store.runs(relay="demo", probe="steady", outcome="ok")) == [1]
        assert store.runs(relay="nobody") == []

    def test_a_run_by_its_id(self) -> None:
        store = Journal()
        store.add(run(1))
        found = store.run(run(1).id)
        assert found is not None
        assert found.run == run(1)
        assert store.run("nobody") is None

    def test_the_last_run_of_a_probe_of_any_outcome(self) -> None:
        store = Journal()
        assert store.last("demo", "steady") is None
        for number, failed in ((1, True), (2, False), (3, True)):
            store.add(run(number, failed=failed))
            last = store.last("demo", "steady")
            assert last is not None
            assert last.run == run(number, failed=failed)


class TestRuns:
    def test_a_run_is_stored_once(self) -> None:
        store = Journal()
        store.add(run(1))
        store.add(run(1))
        assert numbers(store.runs()) == [1]

    def test_a_huge_run_is_truncated_and_keeps_its_failures(self) -> None:
        store = Journal()
        good, bad = Exchange(outcome=Outcome.OK), Exchange(outcome=Outcome.FAILED, failure=LOST)
        huge = run(
            1,
            failed=True,
            exchanges=(*[good] * 9_999, bad),
            timeline=tuple(Mark(side="dapp", step=Step.TCP, started=float(n), ended=n + 0.5) for n in range(300)),
            messages=tuple(MessageFate(direction="request", sequence=n, verdict=None) for n in range(201)),
        )
        store.add(huge)
        (found,) = store.runs()
        assert found.omitted == 9_800 + 100 + 1
        assert found.run.exchanges == (bad, *[good] * 199)
        assert [mark.started for mark in found.run.timeline] == list(range(200))
        assert found.to_json()["omitted"] == 9_901

    def test_a_small_run_is_stored_unchanged(self) -> None:
        store = Journal()
        small = run(1)
        store.add(small)
        (found,) = store.runs()
        assert found.run is small


class TestRestart:
    def test_runs_are_restored(self, tmp_path: Path) -> None:
        folder = StateFolder(tmp_path)
        before = Journal(folder)
        for number in range(10):
            before.add(run(number, failed=number == 5))
        assert before.flush(30)
        before.close()
        after = Journal(folder)
        assert after.runs() == before.runs()
        after.add(run(10))
        assert after.flush(30)
        after.close()
        assert numbers(Journal(folder).runs()) == list(range(10, -1, -1))

    def test_without_a_state_dir_nothing_is_written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        store = Journal()
        store.add(run(1))
        store.close()
        assert list(tmp_path.iterdir()) == []

    def test_an_unwritable_folder_is_logged_only(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "file").write_text("in the way")
        store = Journal(StateFolder(tmp_path / "file" / "state"))
        for number in range(3):
            store.add(run(number))
        store.close()
        assert numbers(store.runs()) == [2, 1, 0]
        assert "Not a directory" in capsys.readouterr().out
