"""The options of `generate`; tests/slo has the files that it writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.testing import CliRunner

from monitor.cli import app
from tests.relays import ROOT

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = str(ROOT / "config.yaml")


def test_the_hint_of_a_difference_writes_what_was_checked(tmp_path: Path) -> None:
    options = ["--config", CONFIG, "--output", str(tmp_path), "--format", "openslo"]
    checked = CliRunner().invoke(app, ["generate", "--check", *options])
    assert checked.exit_code == 1
    hint = checked.stdout.splitlines()[-1]
    assert hint == f"run: relay-monitor generate {' '.join(options)}"
    assert CliRunner().invoke(app, hint.split()[2:]).exit_code == 0
    assert CliRunner().invoke(app, ["generate", "--check", *options]).exit_code == 0


def test_options_that_the_printed_route_does_not_have_are_refused(tmp_path: Path) -> None:
    for option in (["--check"], ["--output", str(tmp_path)]):
        done = CliRunner().invoke(app, ["generate", "--config", CONFIG, "--format", "route", *option])
        assert done.exit_code == 2
        assert "prints to stdout" in done.stderr
