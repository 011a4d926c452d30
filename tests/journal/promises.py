"""What the journal promises, tried on real files: `python -m tests.journal.promises [KILLS]` (`make journal`).

Processes that write are killed; a disk is full, read-only or frozen; the clock is stepped. Prints what was lost.
Mounting needs root. The tests call the same functions with fewer kills.
"""

from __future__ import annotations

import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.journal import Journal
from monitor.results import uuid7
from monitor.state import StateFolder
from tests.clocks import SteppingClock
from tests.journal.files import counted, integrity, stored_runs
from tests.journal.sample import failed_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
CHOSEN = random.Random(1)
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Killed:
    """What is in the file after kills. `lost` are the seconds before each kill of which nothing was stored."""

    kills: int
    lost: list[float]
    integrity: str
    runs: int
    sums: dict[str, float]


def kill_writers(folder: Path, kills: int) -> Killed:
    """Kill a process that writes, again and again, with the same file."""
    lost = []
    for _ in range(kills):
        command = (sys.executable, "-m", "tests.journal.writing", str(folder))
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            started = float(process.stdout.readline())
            time.sleep(CHOSEN.uniform(0.0, 2.5))
            began = time.monotonic()
            process.kill()
            process.wait()
        newest = max((float(run["failure"]["detail"]) for run in stored_runs(folder)), default=started)
        lost.append(max(0.0, began - max(started, newest)))
    sums = {table: float(counted(folder, "failed", table)) for table in ("minutes", "quarters", "hours")}
    with closing(sqlite3.connect(folder / "journal.db")) as connection:
        for table, column in (("failures", "count"), ("slo_hours", "bad"), ("slo_days", "bad")):
            sums[table] = connection.execute(f"SELECT sum({column}) FROM {table}").fetchone()[0]  # noqa: S608 - ours
    return Killed(kills, lost, integrity(folder), len(stored_runs(folder)), sums)


def add_failed(journal: Journal, number: int, at: float | None = None) -> None:
    """Add failed runs, now or at a Unix time."""
    for _ in range(number):
        now = time.time() if at is None else at
        journal.add(failed_at(uuid7(now, CHOSEN), datetime.fromtimestamp(now, UTC), "acked, never delivered"))


def until(condition: Callable[[], bool], timeout: float = 60.0) -> float:
    """Wait for a condition, and return the seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout
        time.sleep(0.01)
    return time.monotonic() - began


@contextmanager
def small_disk(folder: Path, size: str = "2m") -> Iterator[None]:
    """Mount a small file system in memory. Raises `PermissionError` if that is not allowed."""
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder))
    if subprocess.run(mount, capture_output=True, timeout=10, check=False).returncode:
        raise PermissionError("no file system can be mounted")
    try:
        yield
    finally:
        subprocess.run(("umount", "--lazy", str(folder)), capture_output=True, timeout=10, check=True)


@contextmanager
def freezable_disk(folder: Path) -> Iterator[Callable[[bool], None]]:
    """Mount a file system and yield a function that freezes it: writes then hang. Raises `PermissionError`."""
    image = folder.with_suffix(".image")
    with image.open("wb") as file:
        file.truncate(24 << 20)
    folder.mkdir()

    def freeze(on: bool) -> None:
        command = ("fsfreeze", "-f" if on else "-u", str(folder))
        if subprocess.run(command, capture_output=True, timeout=10, check=False).returncode and on:
            raise PermissionError("no file system can be frozen")

    for command in (("mkfs.ext4", "-q", str(image)), ("mount", "-o", "loop", str(image), str(folder))):
        try:
            subprocess.run(command, capture_output=True, timeout=30, check=True)
        except (subprocess.SubprocessError, FileNotFoundError) as error:
            raise PermissionError("no disk image can be mounted") from error
    try:
        yield freeze
    finally:
        freeze(False)  # noqa: FBT003 - or nothing could be unmounted
        subprocess.run(("umount", "--lazy", str(folder)), capture_output=True, timeout=10, check=True)


def full_disk(folder: Path) -> tuple[float, float, int, int]:
    """Fill the disk, and empty it again.

    Returns the seconds until the journal said so and until it had recovered, the runs that were added meanwhile, and
    how many of all are counted afterwards.
    """
    with small_disk(folder):
        journal = Journal(StateFolder(folder))
        add_failed(journal, 10)
        assert journal.flush(30)
        ballast = folder / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                pass
        add_failed(journal, 500)
        noticed = until(lambda: not journal.healthy)
        ballast.unlink()
        recovered = until(lambda: journal.healthy)
        assert journal.flush(30)
        journal.close()
        assert integrity(folder) == "ok"
        return noticed, recovered, 510, counted(folder, "failed", "hours")


def read_only_disk(folder: Path) -> tuple[float, int, int]:
    """Make the disk read-only, and writable again: seconds until it was noticed, runs added, runs counted."""
    with small_disk(folder):
        state = StateFolder(folder)
        journal = Journal(state)
        add_failed(journal, 10)
        assert journal.flush(30)
        journal.close()
        state.close()
        subprocess.run(("mount", "-o", "remount,ro", str(folder)), timeout=10, check=True)
        journal = Journal(StateFolder(folder))
        add_failed(journal, 100)
        noticed = until(lambda: not journal.healthy)
        assert len(journal.runs(limit=200)) >= 50  # those in memory
        subprocess.run(("mount", "-o", "remount,rw", str(folder)), timeout=10, check=True)
        until(lambda: journal.healthy)
        assert journal.flush(30)
        journal.close()
        return noticed, 110, counted(folder, "failed", "hours")


def stepped_clock(folder: Path) -> tuple[int, int, int]:
    """Step the wall clock a year ahead, a month back, and to its time again: runs added, runs stored, runs counted."""
    clock = SteppingClock()
    journal = Journal(StateFolder(folder), clock=clock)
    for days in (0, 365, -30, 0):
        clock.offset = days * DAY
        add_failed(journal, 100, clock.time())
        assert journal.flush(30)
    journal.close()
    return 400, len(stored_runs(folder)), counted(folder, "failed", "hours")


def frozen_disk(folder: Path) -> tuple[float, float, int, int]:
    """Freeze the disk.

    Returns the longest time in seconds that adding a run took, seconds until it was noticed, runs added, runs counted.
    """
    with freezable_disk(folder) as freeze:
        journal = Journal(StateFolder(folder))
        add_failed(journal, 10)
        assert journal.flush(30)
        freeze(True)  # noqa: FBT003 - by position
        slowest_addition, began = 0.0, time.monotonic()
        added = 10
        while journal.healthy and time.monotonic() - began < 60:
            started = time.perf_counter()
            add_failed(journal, 1)
            slowest_addition = max(slowest_addition, time.perf_counter() - started)
            added += 1
            time.sleep(0.01)
        noticed = time.monotonic() - began
        freeze(False)  # noqa: FBT003 - by position
        until(lambda: journal.healthy)
        assert journal.flush(30)
        journal.close()
        return slowest_addition, noticed, added, counted(folder, "failed", "hours")


def main(kills: int = 50) -> None:
    """Try everything, and print what came of it."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        found = kill_writers(folder / "killed", kills)
        sums = ", ".join(f"{table} {number:g}" for table, number in found.sums.items())
        say(f"{kills} kills: file {found.integrity}, {found.runs} runs stored, counted in {sums}")
        say(f"lost before a kill: median {statistics.median(found.lost):.2f} s, at most {max(found.lost):.2f} s")
        noticed, recovered, added, counts = full_disk(folder / "full")
        say(f"full disk: noticed after {noticed:.2f} s, well {recovered:.2f} s after it was emptied")
        say(f"full disk: {counts} of {added} runs counted")
        noticed, added, counts = read_only_disk(folder / "read-only")
        say(f"read-only disk: noticed after {noticed:.2f} s, {counts} of {added} runs counted")
        slowest_addition, noticed, added, counts = frozen_disk(folder / "frozen")
        say(f"frozen disk: noticed after {noticed:.1f} s, an addition took {slowest_addition * 1000:.1f} ms at most")
        say(f"frozen disk: {counts} of {added} runs counted")
        added, stored, counts = stepped_clock(folder / "stepped")
        say(f"clock a year ahead, a month back, and right again: {stored} of {added} runs stored, {counts} counted")


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
