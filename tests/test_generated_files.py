"""Generated files: written, checked, and tables in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.generated_files import markdown_table, write_or_check

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_check_names_each_outdated_file_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {tmp_path / "new" / "a.md": "a\n", tmp_path / "b.md": "b\n", tmp_path / "same.md": "same\n"}
    (tmp_path / "b.md").write_text("edited by hand\n")
    (tmp_path / "same.md").write_text("same\n")
    assert write_or_check(files, ["--check"]) == 1
    assert [line.split(" ")[0] for line in capsys.readouterr().err.splitlines()] == [
        str(tmp_path / "new" / "a.md"),
        str(tmp_path / "b.md"),
    ]
    assert not (tmp_path / "new").exists()
    assert write_or_check(files, []) == 0
    assert write_or_check(files, ["--check"]) == 0


def test_a_bar_in_a_cell_does_not_end_it() -> None:
    assert markdown_table(("a", "b"), [("1|2", "3")]) == "| a | b |\n| --- | --- |\n| 1&#124;2 | 3 |\n"
