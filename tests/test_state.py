"""The folder of state: one process writes, the others wait for it; files are replaced as a whole, by a thread."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from monitor import state
from monitor.state import StateFile, StateFolder

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class TestFolder:
    def test_one_holder_at_a_time(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        first, second = StateFolder(tmp_path / "new"), StateFolder(tmp_path / "new")
        assert first.may_write()
        assert first.may_write()
        assert not second.may_write()
        assert not second.may_write()
        assert capsys.readouterr().out.count("used by another process") == 1
        assert not second.is_held_elsewhere
        first.close()
        assert second.may_write()
        assert "free again" in capsys.readouterr().out

    def test_a_folder_held_for_longer_than_an_update_takes_is_an_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(state, "HANDOVER_TIME", 0.0)
        first, second = StateFolder(tmp_path), StateFolder(tmp_path)
        assert first.may_write()
        for _ in range(3):
            assert not second.may_write()
        assert second.is_held_elsewhere
        out = capsys.readouterr().out
        assert out.count("give each its own state_dir") == 1
        assert f"process={os.getpid()}" in out
        first.close()

    @pytest.mark.integration
    def test_a_killed_process_holds_nothing(self, tmp_path: Path) -> None:
        program = (
            "import sys, time; from pathlib import Path; from monitor.state import StateFolder\n"
            "folder = StateFolder(Path(sys.argv[1])); print(folder.may_write(), flush=True); time.sleep(60)"
        )
        process = subprocess.Popen(
            (sys.executable, "-c", program, str(tmp_path)), cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "True\n"
            folder = StateFolder(tmp_path)
            assert not folder.may_write()
        finally:
            process.kill()
            process.communicate()
        assert folder.may_write()
        folder.close()

    def test_a_folder_that_cannot_be_locked_is_written_all_the_same(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def no_locks(*_: object) -> None:
            raise OSError(37, "No locks available")

        monkeypatch.setattr("fcntl.flock", no_locks)
        assert StateFolder(tmp_path).may_write()
        assert "No locks available" in capsys.readouterr().out


class TestFile:
    def test_the_newest_content_is_written(self, tmp_path: Path) -> None:
        folder = StateFolder(tmp_path / "new")
        file = StateFile(folder, "conditions.json")
        assert file.read() is None
        for number in range(1000):
            file.write(b"%d" % number)
        file.close(5)
        assert file.read() == b"999"
        assert sorted(path.name for path in folder.path.iterdir()) == ["conditions.json", "lock"]
        assert (folder.path / "conditions.json").stat().st_mode & 0o777 == 0o600
        file.write(b"again")
        file.close(5)
        assert file.read() == b"again"
        folder.close()

    def test_the_content_waits_for_the_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(state, "RETRY_INTERVAL", 0.01)
        first, second = StateFolder(tmp_path), StateFolder(tmp_path)
        assert first.may_write()
        file = StateFile(second, "conditions.json")
        file.write(b"new")
        file.close(0.05)
        assert file.read() is None
        file.write(b"newer")
        first.close()
        wait_for(lambda: file.read() == b"newer")
        file.close(5)
        second.close()

    def test_a_failed_write_is_reported_and_repeated(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(state, "RETRY_INTERVAL", 0.01)
        folder, healthy = StateFolder(tmp_path), list[bool]()
        file = StateFile(folder, "conditions.json", on_health=healthy.append)
        blocked = tmp_path / "conditions.json.new"
        blocked.mkdir()
        file.write(b"new")
        wait_for(lambda: len(healthy) >= 3)
        blocked.rmdir()
        wait_for(lambda: healthy[-1])
        assert file.read() == b"new"
        assert capsys.readouterr().out.count("state cannot be written") == 1
        file.close(5)
        folder.close()

    @pytest.mark.parametrize("content", ["directory", "large", "loop"])
    def test_content_that_cannot_be_read_is_none(
        self, tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "conditions.json"
        match content:
            case "directory":
                path.mkdir()
            case "large":
                with path.open("wb") as file:
                    file.truncate(state.MAX_STATE_BYTES + 1)
            case _:
                path.symlink_to(path)
        assert StateFile(StateFolder(tmp_path), "conditions.json").read() is None
        assert "state cannot be read" in capsys.readouterr().out
