from __future__ import annotations

import contextlib
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from monitor.journal import file
from monitor.journal.file import JournalFile
from monitor.state import StateFolder

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]


def encode(number: int) -> dict[str, Any]:
    return {"n": number}


def opened(folder: Path, encoder: Callable[[Any], dict[str, Any]] = encode, *, max_bytes: int = 10_000) -> JournalFile:
    return JournalFile(StateFolder(folder), encoder, max_bytes=max_bytes)


def write(folder: Path, *entries: int, max_bytes: int = 10_000) -> None:
    journal = opened(folder, max_bytes=max_bytes)
    for entry in entries:
        journal.append(entry)
    journal.close(5)
    journal._folder.close()


def read(folder: Path) -> list[int]:
    return [data["n"] for data in opened(folder).read()]


def test_entries_are_read_in_order(tmp_path: Path) -> None:
    write(tmp_path, *range(100))
    write(tmp_path, 100)
    assert read(tmp_path) == list(range(101))


def test_a_missing_file_has_no_entries(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read(tmp_path / "new") == []
    assert capsys.readouterr().out == ""


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "here"
    write(folder, 1)
    assert stat.S_IMODE((folder / "runs.jsonl").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_mode_of_an_existing_file_is_restricted(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text("")
    path.chmod(0o644)
    write(tmp_path, 1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_file_is_rotated_by_size_and_the_rotated_one_read_first(tmp_path: Path) -> None:
    for number in range(40):
        write(tmp_path, number, max_bytes=100)
        assert sum(path.stat().st_size for path in tmp_path.glob("runs.jsonl*")) < 2 * (100 + 20)
    assert {path.name for path in tmp_path.iterdir()} == {"lock", "runs.jsonl", "runs.jsonl.1"}
    found = read(tmp_path)
    assert found == list(range(40 - len(found), 40))
    assert len(found) >= 10


def test_a_crash_damages_one_line_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, 1)
    with (tmp_path / "runs.jsonl").open("a") as damaged:
        damaged.write('{"n": 2')
    write(tmp_path, 3)
    assert read(tmp_path) == [1, 3]
    assert "lines that are not JSON" in capsys.readouterr().out


# The second write is interrupted by a limit of the file size.
INTERRUPTED_WRITE = """
import resource, sys
from pathlib import Path
from monitor.journal.file import JournalFile
from monitor.state import StateFolder

journal = JournalFile(StateFolder(Path(sys.argv[1])), lambda number: {"n": number})
for number, max_size in ((1, -1), (2, 12), (3, -1), (4, -1)):
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_size, -1))
    journal.append(number)
    journal.close(5)
"""


@pytest.mark.integration
def test_a_full_disk_damages_one_line_only(tmp_path: Path) -> None:
    done = subprocess.run(
        (sys.executable, "-c", INTERRUPTED_WRITE, str(tmp_path)), cwd=ROOT, capture_output=True, check=True
    )
    assert b"cannot be written" in done.stdout
    assert (tmp_path / "runs.jsonl").read_text().split() == ['{"n":1}', '{"n', '{"n":3}', '{"n":4}']
    assert read(tmp_path) == [1, 3, 4]


@pytest.mark.parametrize("content", [b"\xff\x00\xfe" * 100, b"[" * 5_000, b"\n\n\n"])
def test_invalid_lines_are_skipped(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "runs.jsonl").write_bytes(content + b"\n")
    write(tmp_path, 1)
    assert read(tmp_path) == [1]


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs.jsonl").write_bytes(b'{"n": 1}\n' * 3_000)
    assert read(tmp_path) == []
    assert "run journal not read: larger than any" in capsys.readouterr().out


def test_an_unwritable_file_is_logged_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs.jsonl").mkdir()
    assert read(tmp_path) == []
    assert "cannot be read" in capsys.readouterr().out
    write(tmp_path, 1, 2, 3)
    assert capsys.readouterr().out.count("cannot be written") == 1


def test_an_entry_that_a_bug_keeps_from_being_written_is_the_only_one_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The thread used to end with the first such entry, and everything after it was lost."""

    def encode_all_but_one(number: int) -> dict[str, Any]:
        if number == 2:
            raise KeyError("a bug")
        return {"n": number if number != 3 else {3}}  # the second bug: a set has no JSON

    bugs: list[int] = []
    healthy: list[bool] = []
    journal = JournalFile(
        StateFolder(tmp_path), encode_all_but_one, on_health=healthy.append, on_bug=lambda: bugs.append(1)
    )
    for number in range(1, 6):
        journal.append(number)
    journal.close(5)
    assert read(tmp_path) == [1, 4, 5]
    assert (len(bugs), set(healthy)) == (2, {True})
    assert capsys.readouterr().out.count("] run journal loses an entry") == 2


def test_a_thread_that_ended_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    journal = opened(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(JournalFile, "_write", lambda *_: 1 / 0)
        journal.append(1)
        assert journal._thread is not None
        journal._thread.join(5)
    journal.append(2)
    journal.close(5)
    assert read(tmp_path) == [2]


def test_health_follows_the_writes(tmp_path: Path) -> None:
    healthy: list[bool] = []
    journal = JournalFile(StateFolder(tmp_path), encode, on_health=healthy.append)
    blocked = tmp_path / "runs.jsonl"
    blocked.mkdir()
    journal.append(1)
    journal.close(5)
    blocked.rmdir()
    journal.append(2)
    journal.close(5)
    assert healthy == [False, True]


@pytest.mark.parametrize("kind", ["read-only", "full device", "a link to nowhere", "a device"])
def test_an_odd_folder_or_file_loses_entries_only(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "state"
    match kind:
        case "read-only":
            folder = Path("/proc/self/state")
        case "full device":
            folder.mkdir()
            (folder / "runs.jsonl").symlink_to("/dev/full")
        case "a link to nowhere":
            folder.symlink_to(tmp_path / "missing" / "missing")
        case "a device":
            folder.symlink_to("/dev/null")
    healthy: list[bool] = []
    journal = JournalFile(StateFolder(folder), encode, on_health=healthy.append)
    for number in range(3):
        journal.append(number)
    journal.close(5)
    assert set(healthy) == {False}
    assert capsys.readouterr().out.count("run journal cannot be written") == 1


def test_a_hanging_disk_blocks_neither_append_nor_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(file, "MAX_QUEUED_ENTRIES", 5)
    entered, release = threading.Event(), threading.Event()

    def hang(number: int) -> dict[str, Any]:
        entered.set()
        release.wait(30)
        return {"n": number}

    journal = opened(tmp_path, hang)
    journal.append(0)
    assert entered.wait(10)
    for number in range(1, 9):
        journal.append(number)
    journal.close(0.01)
    assert capsys.readouterr().out.count("the disk is too slow") == 1
    release.set()
    journal.close(5)
    assert read(tmp_path) == list(range(6))


@pytest.mark.integration
def test_a_full_disk_is_logged_once_and_used_again_when_there_is_space(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk))
    if subprocess.run(mount, capture_output=True, timeout=10, check=False).returncode:
        pytest.skip("no file system can be mounted here: run as root, where mounting is allowed")
    try:
        with contextlib.suppress(OSError), (disk / "ballast").open("wb", buffering=0) as ballast:
            while ballast.write(b"x" * 4096):
                pass
        write(disk, 1)
        write(disk, 2)
        assert capsys.readouterr().out.count("No space left on device") == 2  # once for each writer
        (disk / "ballast").unlink()
        write(disk, 3)
        assert read(disk) == [3]
    finally:
        subprocess.run(("umount", str(disk)), capture_output=True, timeout=10, check=True)
