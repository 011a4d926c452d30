"""The file of the journal over its life: versions, damage, limits of age and size, and the file of earlier versions."""

from __future__ import annotations

import json
import sqlite3
import stat
import threading
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from monitor.config import parse
from monitor.journal import Journal, run_to_json, schema
from monitor.journal.database import NAME, PAGE_BYTES, Database
from monitor.journal.retention import TrustedClock
from monitor.journal.values import StoredEvent
from monitor.state import StateFolder
from tests.journal.files import counted, integrity, stored_runs
from tests.journal.promises import until
from tests.journal.sample import failed_at, run
from tests.journal.test_sums import KEY, NOON, WallClock, at
from tests.journal.writing import CONFIG

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 3_600.0
DAY = 24 * HOUR


def opened(folder: Path, clock: WallClock | None = None, more: str = "") -> Journal:
    made = Journal(StateFolder(folder), clock=clock or WallClock())
    made.configure(parse(CONFIG + more, "config.yaml", {}))
    return made


def closed(journal: Journal) -> None:
    assert journal.flush(30)
    journal._writer.close(30)
    assert journal._writer._folder is not None
    journal._writer._folder.close()


class TestFile:
    def test_only_the_owner_may_read_it(self, tmp_path: Path) -> None:
        (tmp_path / NAME).touch(mode=0o644)
        store = opened(tmp_path)
        store.add(run(1))
        assert store.flush(30)
        assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob(f"{NAME}*")} == {0o600}
        closed(store)
        assert {path.name for path in tmp_path.iterdir()} == {NAME, "lock"}

    @pytest.mark.parametrize("content", [b"not a database, but long enough to be read as one" * 100, b"\0" * 8192])
    def test_a_damaged_file_is_kept_aside(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / NAME).write_bytes(content)
        store = opened(tmp_path)
        store.add(run(1, failed=True))
        until(lambda: store.flush(30))
        closed(store)
        assert (tmp_path / f"{NAME}.damaged").read_bytes() == content
        assert len(stored_runs(tmp_path)) == 1

    def test_a_file_that_is_damaged_while_it_is_used(self, tmp_path: Path) -> None:
        store = opened(tmp_path)
        for number in range(200):
            store.add(run(number, failed=True))
        closed(store)
        size = (tmp_path / NAME).stat().st_size
        with (tmp_path / NAME).open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (size - 4096))
        store = opened(tmp_path)
        store.add(run(500, failed=True))
        until(lambda: store.flush(30))
        closed(store)
        assert (tmp_path / f"{NAME}.damaged").exists()
        assert integrity(tmp_path) == "ok"

    @pytest.mark.parametrize(
        "bad",
        [object(), StoredEvent(at=NOON, relay=None, kind="reload", text="", fields={"changes": object()})],
        ids=["of no known kind", "not to be serialized"],
    )
    def test_an_entry_that_cannot_be_written_does_not_keep_the_next_one(self, tmp_path: Path, bad: object) -> None:
        """The thread ended. Later, it remembered the number of a probe whose row had been rolled back."""
        bugs: list[None] = []
        store = Journal(StateFolder(tmp_path), clock=WallClock(), on_bug=lambda: bugs.append(None))
        store.configure(parse(CONFIG, "config.yaml", {}))
        store.add(run(1, failed=True))
        store._writer.put(bad)
        until(lambda: bugs != [])
        store.add(run(2, failed=True))
        until(lambda: store.flush(30) and store.healthy)
        assert len(bugs) == 1
        closed(store)
        store = opened(tmp_path)
        assert run(2, failed=True) in [found.run for found in store.runs(relay="demo")]
        closed(store)

    def test_a_later_version_is_kept_aside(self, tmp_path: Path) -> None:
        with closing(sqlite3.connect(tmp_path / NAME)) as later:
            later.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
        store = opened(tmp_path)
        store.add(run(1, failed=True))
        closed(store)
        assert (tmp_path / f"{NAME}.later-version").exists()
        assert len(stored_runs(tmp_path)) == 1

    def test_an_earlier_version_is_migrated_and_keeps_its_runs(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = opened(tmp_path)
        store.add(run(1, failed=True))
        closed(store)
        migrations = (*schema.MIGRATIONS, "ALTER TABLE runs ADD COLUMN new TEXT; CREATE TABLE more (number INTEGER);")
        monkeypatch.setattr("monitor.journal.schema.MIGRATIONS", migrations)
        monkeypatch.setattr("monitor.journal.database.MIGRATIONS", migrations)
        store = opened(tmp_path)
        assert store.flush(30)
        assert [each.run.id for each in store.runs()] == [run(1).id]
        closed(store)
        with closing(sqlite3.connect(tmp_path / NAME)) as migrated:
            assert schema.version_of(migrated) == len(migrations)
            assert migrated.execute("SELECT new FROM runs").fetchall() == [(None,)]

    def test_a_migration_that_fails_changes_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = opened(tmp_path)
        store.add(run(1, failed=True))
        closed(store)
        migrations = (*schema.MIGRATIONS, "CREATE TABLE more (number INTEGER); CREATE TABLE runs (wrong);")
        monkeypatch.setattr("monitor.journal.schema.MIGRATIONS", migrations)
        store = opened(tmp_path)
        assert not store.flush(30) or not store.healthy
        assert not store.healthy
        store._writer.close(30)
        with closing(sqlite3.connect(tmp_path / NAME)) as kept:
            assert schema.version_of(kept) == len(migrations) - 1
            assert kept.execute("SELECT count(*) FROM sqlite_master WHERE name = 'more'").fetchone() == (0,)


class TestEarlierVersion:
    def test_its_runs_are_read_once(self, tmp_path: Path) -> None:
        old = [json.dumps(run_to_json(run(number, failed=number % 10 == 0))) for number in range(120)]
        (tmp_path / "runs.jsonl.1").write_text("\n".join(old[:60]))
        (tmp_path / "runs.jsonl").write_text("\n".join([*old[60:], "[]", '{"id": 1}', '{"id": "torn']))
        store = opened(tmp_path)
        assert len(store.runs(limit=500)) == 120
        assert sum(each.ok + each.failed for each in store.cells(NOON, at(120), 900)[KEY]) == 120
        closed(store)
        assert {path.name for path in tmp_path.iterdir()} == {
            NAME, "lock", "runs.jsonl.imported", "runs.jsonl.1.imported",
        }  # fmt: skip
        store = opened(tmp_path)
        closed(store)
        assert counted(tmp_path, "ok", "hours") == 108

    def test_a_restart_before_the_files_were_renamed_reads_them_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("monitor.journal.writer.mark_read", lambda _: None)
        (tmp_path / "runs.jsonl").write_text(json.dumps(run_to_json(run(1))))
        for _ in range(2):
            closed(opened(tmp_path))
        assert counted(tmp_path, "ok", "hours") == 1


class TestAge:
    def test_minutes_are_kept_for_a_day_hours_and_failed_runs_for_longer(self, tmp_path: Path) -> None:
        clock = WallClock()
        store = opened(tmp_path, clock, "journal: {max_age: 10d}\n")
        for hour in range(24 * 12):
            clock.now = NOON.timestamp() + hour * HOUR
            store.add(failed_at(run(hour).id, NOON + timedelta(hours=hour), "old"))
            if hour % 12 == 0:
                assert store.flush(30)
        for minute in range(30):  # what is left is removed step by step
            clock.now = NOON.timestamp() + 12 * DAY + minute * 61
            store.add(run(1_000 + minute, started_at=at(12 * 1440 + minute)))
            assert store.flush(30)
        closed(store)
        with closing(sqlite3.connect(tmp_path / NAME)) as connection:
            oldest = {
                table: (clock.now - connection.execute(f"SELECT min(start) FROM {table}").fetchone()[0]) / DAY  # noqa: S608 - ours
                for table in ("minutes", "quarters", "hours", "failures")
            }
            kept = connection.execute("SELECT count(*) FROM runs WHERE outcome = 3").fetchone()[0]
        assert oldest["minutes"] < 1.2
        assert oldest["quarters"] < 1.2
        assert 9.5 < oldest["hours"] < 10.2
        assert 9.5 < oldest["failures"] < 11.1
        assert 235 <= kept <= 242

    def test_good_runs_are_thinned_out(self, tmp_path: Path) -> None:
        clock = WallClock()
        store = opened(tmp_path, clock)
        for minute in range(30 * 60):
            clock.now = at(minute).timestamp()
            store.add(run(minute, started_at=at(minute)))
            if minute % 30 == 0:
                assert store.flush(30)
        closed(store)
        with closing(sqlite3.connect(tmp_path / NAME)) as connection:
            starts = [row[0] - NOON.timestamp() for row in connection.execute("SELECT started FROM runs")]
        by_hour = [sum(start // HOUR == hour for start in starts) for hour in range(30)]
        assert by_hour[:4] == [1, 1, 1, 1]
        assert by_hour[10:27] == [4] * 17
        assert by_hour[29] == 60

    def test_a_clock_that_is_ahead_for_a_while_removes_nothing(self, tmp_path: Path) -> None:
        clock = WallClock()
        store = opened(tmp_path, clock)
        store.add(failed_at(run(1).id, NOON, "before"))
        assert store.flush(30)
        lead = timedelta(days=365)
        for minute in range(1, 50):
            clock.now = (at(minute) + lead).timestamp()
            store._writer.pruning.tick(clock.now, at(minute).timestamp())
            store._writer.put(store_entry(store, minute, lead))
            assert store.flush(30)
        clock.now = at(60).timestamp()
        store.add(failed_at(run(2).id, at(60), "after"))
        closed(store)
        details = [stored["failure"]["detail"] for stored in stored_runs(tmp_path)]
        assert (details[0], details[-1]) == ("before", "after")
        assert counted(tmp_path, "failed", "hours") == 51
        store = opened(tmp_path, clock)
        store.add(run(3, started_at=at(61)))
        assert store.flush(30)
        assert [each.run.started_at for each in store.runs(limit=3)] == [at(61), at(60), NOON]

    @pytest.mark.parametrize("restarts_ahead", [False, True])
    def test_the_time_to_remove_by(self, restarts_ahead: bool) -> None:
        clock = TrustedClock(0.0 if restarts_ahead else None, 0.0)
        if not restarts_ahead:
            assert clock.trusted(0.0, 0.0) == 0.0
        assert clock.trusted(365 * DAY, 60.0) == HOUR + 60
        assert clock.trusted(120.0, 120.0) == 120.0  # set right again
        later = [clock.trusted(365 * DAY + second, second) for second in (HOUR, 2 * HOUR, 3 * HOUR + 200)]
        assert later[0] <= 2 * HOUR
        assert later[-1] == 365 * DAY + 3 * HOUR + 200  # right after all


def store_entry(store: Journal, minute: int, lead: timedelta) -> object:
    """Return a failed run, dated by a clock that is ahead, as an entry of the queue."""
    from monitor.journal.collecting import AddedRun  # noqa: PLC0415 - for this test alone
    from monitor.journal.stored import truncate  # noqa: PLC0415 - likewise

    when = at(minute) + lead
    made = failed_at(run(minute + 100).id, when, "ahead")
    return AddedRun(truncate(made), store._slos.get(KEY, ()), when.timestamp())


class TestSize:
    def test_a_new_limit_waits_for_no_transaction(self, tmp_path: Path) -> None:
        """A reload sets it on the event loop, while the thread may write to a disk that hangs."""
        database, writing, end = Database(tmp_path / NAME, 10_000_000), threading.Event(), threading.Event()

        def wait() -> None:
            writing.set()
            end.wait(30)

        def write() -> None:
            with database.writing() as connection:
                connection.create_function("hang", 0, wait)
                connection.execute("SELECT hang()").fetchall()

        thread = threading.Thread(target=write)
        setter = threading.Thread(target=database.limit, args=(20_000_000,), daemon=True)
        thread.start()
        assert writing.wait(30)
        setter.start()
        setter.join(5)
        waited = setter.is_alive()
        end.set()
        thread.join()
        assert not waited
        with database.writing() as connection:
            (pages,) = connection.execute("PRAGMA max_page_count").fetchone()
        assert pages == database.content_bytes // PAGE_BYTES
        database.close()

    def test_it_stays_below_its_limit_and_keeps_sums_and_the_newest_runs(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("monitor.journal.database.WAL_BYTES", 1_000_000)
        clock = WallClock()
        store = opened(tmp_path, clock)
        store._database.limit(4_000_000)
        store.add(failed_at(run(9_999, relay="other").id, NOON, "the only one of its relay")._replace(relay="other"))
        for number in range(12_000):
            clock.now = at(number / 60).timestamp()
            detail = f"{number:x}" * 60
            store.add(failed_at(run(10_000 + number).id, at(number / 60), detail))
            if number % 250 == 0:
                store.flush(30)
        until(lambda: store.flush(30))
        assert store.healthy
        closed(store)
        assert (tmp_path / NAME).stat().st_size <= 4_000_000
        kept = stored_runs(tmp_path)
        assert kept[0]["relay"] == "other"
        assert kept[-1]["id"] == run(21_999).id
        assert len(kept) < 12_000
        assert counted(tmp_path, "failed", "hours") == 12_001
        assert integrity(tmp_path) == "ok"
