from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from monitor.journal import Journal, journal
from monitor.results import Exchange, Mark, MessageFate
from monitor.vocabulary import Outcome, Step
from tests.journal.sample import LOST, START, run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from monitor.journal import StoredRun


def numbers(found: list[StoredRun]) -> list[int]:
    return [int(kept.run.id[-12:], 16) for kept in found]


class TestAsking:
    def test_the_newest_come_first(self) -> None:
        kept = Journal()
        for number in (1, 3, 2):
            kept.add(run(number, failed=number == 2))
        assert numbers(kept.runs()) == [3, 2, 1]
        assert numbers(kept.runs(limit=2)) == [3, 2]

    def test_by_relay_probe_and_outcome(self) -> None:
        kept = Journal()
        kept.add(run(1))
        kept.add(run(2, relay="other"))
        kept.add(run(3, probe="idle"))
        kept.add(run(4, failed=True))
        kept.add(run(5, outcome=Outcome.ABORTED))
        assert numbers(kept.runs(relay="demo")) == [5, 4, 3, 1]
        assert numbers(kept.runs(probe="idle")) == [3]
        assert numbers(kept.runs(outcome="failed")) == [4]
        assert numbers(kept.runs(outcome="aborted")) == [5]
        assert numbers(kept.runs(relay="demo", probe="steady", outcome="ok")) == [1]
        assert kept.runs(relay="nobody") == []

    def test_one_by_its_id(self) -> None:
        kept = Journal()
        kept.add(run(1))
        found = kept.run(run(1).id)
        assert found is not None
        assert found.run == run(1)
        assert kept.run("nobody") is None

    def test_the_last_of_a_probe_whatever_became_of_it(self) -> None:
        kept = Journal()
        assert kept.last("demo", "steady") is None
        for number, failed in ((1, True), (2, False), (3, True)):
            kept.add(run(number, failed=failed))
            last = kept.last("demo", "steady")
            assert last is not None
            assert last.run == run(number, failed=failed)


class TestLimits:
    def test_failed_runs_outlive_good_ones(self) -> None:
        kept = Journal()
        kept.add(run(0, failed=True))
        for number in range(1, 200):
            kept.add(run(number))
        assert numbers(kept.runs(limit=1000)) == [*range(199, 199 - journal.RUNS_PER_PROBE, -1), 0]
        assert kept.run(run(1).id) is None

    def test_failed_runs_have_a_limit_of_their_own(self) -> None:
        kept = Journal()
        for number in range(200):
            kept.add(run(number, failed=True))
        assert numbers(kept.runs(limit=1000)) == list(range(199, 199 - journal.FAILED_RUNS_PER_PROBE, -1))

    def test_all_probes_together_have_a_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(journal, "MAX_RUNS", 10)
        kept = Journal()
        for number in range(100):
            kept.add(run(number, probe=f"p{number % 30}", failed=number % 2 == 0))
        assert numbers(kept.runs(limit=1000)) == list(range(99, 89, -1))
        assert [number for number in range(100) if kept.run(run(number).id)] == list(range(90, 100))

    def test_what_is_a_week_older_than_the_newest_is_forgotten(self) -> None:
        kept = Journal()
        kept.add(run(1, probe="retired"))
        kept.add(run(2, failed=True))
        kept.add(run(3, started_at=START + timedelta(days=7, minutes=2)))
        assert numbers(kept.runs()) == [3, 2]

    def test_a_clock_that_was_set_back_loses_nothing(self) -> None:
        kept = Journal()
        kept.add(run(2, started_at=START + timedelta(days=30)))
        kept.add(run(1))
        assert numbers(kept.runs()) == [2, 1]

    def test_a_run_is_remembered_once(self) -> None:
        kept = Journal()
        kept.add(run(1))
        kept.add(run(1))
        assert numbers(kept.runs()) == [1]

    def test_a_huge_run_is_cut_and_says_so_and_keeps_what_failed(self) -> None:
        kept = Journal()
        good, bad = Exchange(outcome=Outcome.OK), Exchange(outcome=Outcome.FAILED, failure=LOST)
        huge = run(
            1,
            failed=True,
            exchanges=(*[good] * 9_999, bad),
            timeline=tuple(Mark(side="dapp", step=Step.TCP, started=float(n), ended=n + 0.5) for n in range(300)),
            messages=tuple(MessageFate(direction="request", sequence=n, verdict=None) for n in range(201)),
        )
        kept.add(huge)
        (found,) = kept.runs()
        assert found.omitted == 9_800 + 100 + 1
        assert found.run.exchanges == (bad, *[good] * 199)
        assert [mark.started for mark in found.run.timeline] == list(range(200))
        assert found.to_json()["omitted"] == 9_901

    def test_a_run_of_usual_size_is_kept_as_it_is(self) -> None:
        kept = Journal()
        usual = run(1)
        kept.add(usual)
        (found,) = kept.runs()
        assert found.run is usual


class TestAcrossRestarts:
    def test_what_was_remembered_still_is(self, tmp_path: Path) -> None:
        before = Journal(tmp_path)
        for number in range(10):
            before.add(run(number, failed=number == 5))
        before.close()
        after = Journal(tmp_path)
        assert after.runs() == before.runs()
        after.add(run(10))
        after.close()
        assert numbers(Journal(tmp_path).runs()) == list(range(10, -1, -1))

    def test_the_limits_hold_for_what_is_read(self, tmp_path: Path) -> None:
        before = Journal(tmp_path)
        for number in range(120):
            before.add(run(number))
        before.close()
        assert numbers(Journal(tmp_path).runs(limit=1000)) == list(range(119, 119 - journal.RUNS_PER_PROBE, -1))

    def test_lines_that_are_no_runs_are_left_out_and_told_of(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = Journal(tmp_path)
        before.add(run(1))
        before.close()
        with (tmp_path / "runs.jsonl").open("ab") as file:
            file.write(b'{"id": 1}\n[]\nnull\n\xff\xfe\n{"id": "torn')
        after = Journal(tmp_path)
        after.add(run(2))
        after.close()
        assert numbers(Journal(tmp_path).runs()) == [2, 1]
        assert "run journal has lines that are not runs" in capsys.readouterr().out

    def test_without_a_state_dir_nothing_is_written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        kept = Journal()
        kept.add(run(1))
        kept.close()
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_cannot_be_written_stops_nothing(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "file").write_text("in the way")
        kept = Journal(tmp_path / "file" / "state")
        for number in range(3):
            kept.add(run(number))
        kept.close()
        assert numbers(kept.runs()) == [2, 1, 0]
        assert "Not a directory" in capsys.readouterr().out
