"""A killed process, a full, read-only and frozen disk, in short; `make journal` takes longer."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.journal import promises

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.slow]

MOUNTS = pytest.mark.required_as_root("mounts")


@contextmanager
def where_disks_can_be_mounted() -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        pytest.skip(f"{error} here: run as root, where mounting is allowed")


@pytest.mark.alone
def test_a_killed_process_loses_its_last_second_at_most(tmp_path: Path) -> None:
    found = promises.kill_writers(tmp_path, 4)
    assert found.integrity == "ok"
    assert max(found.lost) < 1
    # What is stored and what is counted are of the same commits.
    assert set(found.sums.values()) == {found.runs}
    assert found.runs > 0


@MOUNTS
def test_what_a_full_disk_refused_is_counted_once_there_is_room(tmp_path: Path) -> None:
    with where_disks_can_be_mounted():
        _, _, added, counted = promises.full_disk(tmp_path / "disk")
    assert counted == added


@MOUNTS
def test_what_a_read_only_disk_refused_is_counted_once_it_can_be_written(tmp_path: Path) -> None:
    with where_disks_can_be_mounted():
        _, added, counted = promises.read_only_disk(tmp_path / "disk")
    assert counted == added


@MOUNTS
@pytest.mark.alone
def test_a_disk_that_hangs_delays_nothing_and_is_noticed(tmp_path: Path) -> None:
    with where_disks_can_be_mounted():
        slowest_addition, noticed, added, counted = promises.frozen_disk(tmp_path / "disk")
    assert slowest_addition < 0.05
    assert noticed < 10
    assert counted == added


def test_a_clock_that_is_stepped_loses_no_run(tmp_path: Path) -> None:
    assert promises.stepped_clock(tmp_path) == (400, 400, 400)
