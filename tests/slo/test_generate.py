"""The files that `generate` writes, and `generate --check`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from monitor.cli import app
from tests.relays import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def test_the_committed_files_match_the_shipped_configuration() -> None:
    done = CliRunner().invoke(
        app, ["generate", "--check", "--config", str(ROOT / "config.yaml"), "--output", str(ROOT)]
    )
    assert done.stdout == ""
    assert done.exit_code == 0


def test_check_lists_each_difference(tmp_path: Path) -> None:
    arguments = ["generate", "--config", str(ROOT / "config.yaml"), "--output", str(tmp_path)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    (tmp_path / "alerts" / "alertmanager.yml").unlink()
    (tmp_path / "docs" / "runbooks" / "RelayDown.md").write_text("mine", encoding="utf-8")
    (tmp_path / "docs" / "runbooks" / "Forgotten.md").write_text("", encoding="utf-8")
    done = CliRunner().invoke(app, [*arguments, "--check"])
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        f"{tmp_path}/alerts/alertmanager.yml: is missing",
        f"{tmp_path}/docs/runbooks/RelayDown.md: differs from the configuration",
        f"{tmp_path}/docs/runbooks/Forgotten.md: belongs to no alert",
        f"run: relay-monitor {' '.join(arguments)}",
    ]


def test_no_rule_is_a_yaml_alias() -> None:
    """Prometheus takes them, and never evaluates what they stand for."""
    for name in ("relay-monitor.rules.yml", "alertmanager.yml"):
        text = (ROOT / "alerts" / name).read_text("utf-8")
        # An expression may have a line that begins with `* on`.
        assert not re.findall(r"(?m)^\s*(?:- )?[&*]\w", text)
