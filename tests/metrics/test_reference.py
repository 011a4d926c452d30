from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.metrics import reference
from monitor.metrics.declared import DECLARED

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_committed_page_matches_the_declarations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["reference", "--check"])
    assert reference.main() == 0


def test_an_outdated_page_fails_the_check_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reference, "PAGE", tmp_path / "metrics.md")
    monkeypatch.setattr("sys.argv", ["reference", "--check"])
    assert reference.main() == 1
    assert "make docs" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["reference"])
    assert reference.main() == 0
    monkeypatch.setattr("sys.argv", ["reference", "--check"])
    assert reference.main() == 0


def test_every_metric_has_a_row() -> None:
    page = reference.render()
    assert [item.name for item in DECLARED if f"| `{item.name}` | {item.help} | {item.kind} |" not in page] == []
