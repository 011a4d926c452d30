"""Wrong usage, help texts, and failing output of the commands."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from monitor.cli import app
from tests.cli.commands import command, monitor
from tests.relays import ROOT

pytestmark = pytest.mark.integration

COMMANDS: Any = typer.main.get_group(app).commands
SUBCOMMANDS: Any = {
    f"{name} {sub}": each
    for name, command in COMMANDS.items()
    for sub, each in getattr(command, "commands", {}).items()
}


class TestUsage:
    @pytest.mark.parametrize("shard", ["nonsense", "1", "3/3", "0/0", "-1/3", "²/3", "0/3/4", "9" * 5000 + "/3"])
    def test_an_invalid_shard_is_refused(self, shard: str, config: Path) -> None:
        done = CliRunner().invoke(app, ["run", "--config", str(config), "--shard", shard])
        assert (done.exit_code, done.stdout) == (2, "")
        assert "Invalid value for --shard" in done.stderr

    def test_an_unknown_command_is_refused(self) -> None:
        assert monitor("rnu").returncode == 2

    def test_every_command_has_a_help_text(self) -> None:
        done = monitor("--help")
        assert done.returncode == 0
        shown = re.findall(r"^  ([a-z][a-z-]*) +[A-Z]", done.stdout, re.MULTILINE)
        assert sorted(shown) == sorted(name for name, each in COMMANDS.items() if not each.hidden)
        assert re.findall(r"^([A-Z].*):$", done.stdout, re.MULTILINE)[:2] == ["Options", "Monitor"]

    @pytest.mark.parametrize("name", [*(name for name, each in COMMANDS.items() if not each.hidden), *SUBCOMMANDS])
    def test_the_help_of_a_command_ends_with_examples_that_can_be_parsed(self, name: str) -> None:
        """Each example is parsed as its command does, and not run."""
        text = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "80"}).stdout
        assert max(map(len, text.splitlines())) <= 80
        examples = text.partition("\nExamples:\n")[2].replace("\\\n", " ").splitlines()
        assert examples
        for line in examples:
            words = shlex.split(line.partition(">")[0])
            own = len(name.split()) + 1
            assert words[:own] == ["relay-monitor", *name.split()]
            (SUBCOMMANDS | COMMANDS)[name].make_context(name, words[own:])


class TestOutput:
    def test_a_full_disk_behind_stdout_is_one_line_on_stderr(self, config: Path) -> None:
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                command("check", "--config", config), stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
                check=False, cwd=ROOT,
            )  # fmt: skip
        assert (done.returncode, done.stderr) == (2, "relay-monitor: stdout: No space left on device\n")

    def test_a_closed_stderr_is_ignored(self, config: Path) -> None:
        shell = f"exec {shlex.join(command('once', '--config', config, '--probe', 'idle'))} 2>&-"
        done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
        assert (done.returncode, done.stdout[:2]) == (0, "ok")
