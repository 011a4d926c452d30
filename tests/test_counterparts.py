"""Counterparts are built if they are missing or outdated, by one process at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests import counterparts
from tests.counterparts import Counterpart, MissingToolError

if TYPE_CHECKING:
    from pathlib import Path


class CountedBuilds:
    """A counterpart whose builds are counted."""

    def __init__(self, folder: Path) -> None:
        self.builds = 0
        self.source = b"1"
        self.made = Counterpart(name="thing", path=folder / "thing", fingerprint=lambda: self.source, build=self._build)

    def _build(self, path: Path) -> None:
        self.builds += 1
        path.write_bytes(self.source)


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CountedBuilds:
    monkeypatch.setattr(counterparts, "BUILD", tmp_path / "build")
    return CountedBuilds(tmp_path)


def test_it_is_rebuilt_if_its_source_changes_or_it_is_missing(counted: CountedBuilds) -> None:
    for _ in range(2):
        assert counted.made.obtain().read_bytes() == b"1"
    assert counted.builds == 1
    counted.source = b"2"
    assert counted.made.obtain().read_bytes() == b"2"
    counted.made.path.unlink()
    assert counted.made.obtain().read_bytes() == b"2"
    assert counted.builds == 3


def test_a_program_named_by_the_variable_is_used_instead(
    counted: CountedBuilds, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    thing = replace(counted.made, variable="THING_BIN")
    monkeypatch.setenv("THING_BIN", str(tmp_path / "mine"))
    assert thing.obtain() == tmp_path / "mine"
    assert counted.builds == 0
    monkeypatch.setenv("THING_BIN", "")
    assert thing.obtain() == counted.made.path


def test_concurrent_users_build_it_once(counted: CountedBuilds) -> None:
    # The lock belongs to the open file, so that threads exclude each other as processes do.
    with ThreadPoolExecutor(4) as pool:
        obtained = [pool.submit(counted.made.obtain) for _ in range(4)]
        assert {future.result() for future in obtained} == {counted.made.path}
    assert counted.builds == 1


@pytest.mark.parametrize(
    ("error", "status"), [(MissingToolError("install Go"), 0), (RuntimeError("no such module"), 1)]
)
def test_a_missing_tool_is_reported_and_a_failed_build_is_an_error(
    error: Exception, status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(_: Path) -> None:
        raise error

    thing = Counterpart(name="thing", path=tmp_path / "thing", fingerprint=bytes, build=build)
    monkeypatch.setattr(counterparts, "BUILD", tmp_path)
    monkeypatch.setattr(counterparts, "COUNTERPARTS", {"thing": thing})
    for names in ([], ["thing"]):
        assert counterparts.main(names) == status
        assert capsys.readouterr().err == f"thing is not built: {error}\n"
    assert counterparts.main(["other"]) == 2
