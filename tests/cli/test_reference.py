from __future__ import annotations

from typing import TYPE_CHECKING

import typer.main

from monitor.cli import app, reference

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_committed_page_matches_the_commands() -> None:
    assert reference.main(["--check"]) == 0


def test_an_outdated_page_fails_the_check_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cli.md"
    monkeypatch.setattr(reference, "TARGET", path)
    assert reference.main(["--check"]) == 1
    assert "run make docs" in capsys.readouterr().err
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0


def test_the_page_is_the_same_at_any_width_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = set()
    for columns in ("40", "300"):
        monkeypatch.setenv("COLUMNS", columns)
        monkeypatch.setenv("TERMINAL_WIDTH", columns)
        pages.add(reference.render())
    assert len(pages) == 1


def test_every_command_has_its_section_with_a_meaning_for_each_option_and_examples() -> None:
    sections = {section.partition("`")[0]: section for section in reference.render().split("### `relay-monitor ")[1:]}
    missing = []
    for name, command in reference.commands_of(typer.main.get_command(app)):
        section = sections.pop(name, "")
        options = [option for param in command.params for option in param.opts if option.startswith("-")]
        missing += [f"{name} {option}" for option in options if f"`{option}`" not in section]
        missing += [f"{name}: examples"] if "\n$ relay-monitor " not in section else []
        missing += [line for line in section.splitlines() if line.endswith("| . |")]
    assert missing == []
    assert sections == {}
    assert reference.FAILURES.keys() <= dict(reference.commands_of(typer.main.get_command(app))).keys()
