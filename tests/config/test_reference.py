from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.config import reference

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

COLUMNS = 5


def test_the_committed_reference_matches_the_models() -> None:
    assert reference.main(["--check"]) == 0


def test_an_outdated_reference_fails_the_check_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "configuration.md"
    monkeypatch.setattr(reference, "TARGET", path)
    assert reference.main(["--check"]) == 1
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0
    path.write_text(path.read_text("utf-8") + "edited by hand\n")
    assert reference.main(["--check"]) == 1
    assert "run make docs" in capsys.readouterr().err


def test_every_key_of_every_section_has_a_row_with_a_meaning() -> None:
    rendered = reference.render()
    rows = [cells for line in rendered.splitlines() if len(cells := line.strip("| ").split(" | ")) == COLUMNS]
    assert len(rows) > 80
    assert [cells for cells in rows if not (cells[0].strip() and cells[1].strip() and cells[4].strip())] == []
    assert "mapping with" not in rendered
