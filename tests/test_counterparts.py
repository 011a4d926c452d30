"""Counterparts are built when they are missing or out of date, by one process at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests import counterparts
from tests.counterparts import Counterpart, MissingToolError

if TYPE_CHECKING:
    from pathlib import Path


class Workshop:
    """A counterpart whose builds are counted."""

    def __init__(self, folder: Path) -> None:
        self.builds = 0
        self.source = b"1"
        self.made = Counterpart(name="thing", path=folder / "thing", fingerprint=lambda: self.source, build=self._build)

    def _build(self, path: Path) -> None:
        self.builds += 1
        path.write_bytes(self.source)


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.setattr(counterparts, "BUILD", tmp_path / "build")
    return Workshop(tmp_path)


def test_it_is_built_once_and_again_when_its_source_changes_or_it_is_gone(workshop: Workshop) -> None:
    for _ in range(2):
        assert workshop.made.obtain().read_bytes() == b"1"
    assert workshop.builds == 1
    workshop.source = b"2"
    assert workshop.made.obtain().read_bytes() == b"2"
    workshop.made.path.unlink()
    assert workshop.made.obtain().read_bytes() == b"2"
    assert workshop.builds == 3


def test_those_that_want_it_at_once_build_it_once(workshop: Workshop) -> None:
    # The lock belongs to the open file, so threads exclude each other by it as processes do.
    with ThreadPoolExecutor(4) as pool:
        obtained = [pool.submit(workshop.made.obtain) for _ in range(4)]
        assert {future.result() for future in obtained} == {workshop.made.path}
    assert workshop.builds == 1


def test_a_missing_tool_says_what_to_install_and_fails_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(_: Path) -> None:
        raise MissingToolError("install Go")

    thing = Counterpart(name="thing", path=tmp_path / "thing", fingerprint=bytes, build=build)
    monkeypatch.setattr(counterparts, "BUILD", tmp_path)
    monkeypatch.setattr(counterparts, "COUNTERPARTS", {"thing": thing})
    assert counterparts.main([]) == 0
    assert capsys.readouterr().err == "thing is not built: install Go\n"


def test_a_build_that_fails_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(_: Path) -> None:
        raise RuntimeError("no such module")

    thing = Counterpart(name="thing", path=tmp_path / "thing", fingerprint=bytes, build=build)
    monkeypatch.setattr(counterparts, "BUILD", tmp_path)
    monkeypatch.setattr(counterparts, "COUNTERPARTS", {"thing": thing})
    assert counterparts.main(["thing"]) == 1
    assert capsys.readouterr().err == "thing is not built: no such module\n"
    assert counterparts.main(["other"]) == 2
