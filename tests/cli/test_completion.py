"""Shell completion: the script that the program prints, in a real bash; what other shells are given."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

PROGRAM = Path(sys.executable).with_name("relay-monitor")


def test_bash_completes_commands_options_values_and_files(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not on PATH")
    (tmp_path / "config.yaml").touch()
    script = """
        eval "$(_RELAY_MONITOR_COMPLETE=source_bash relay-monitor)"
        complete -p relay-monitor
        reply() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _relay_monitor_completion "$1"; echo "${COMPREPLY[*]}"; }
        reply relay-monitor ma
        reply relay-monitor maintenance s
        reply relay-monitor run --log-f
        reply relay-monitor run --log-format ''
        reply relay-monitor run --config con
    """
    environ = {"PATH": f"{PROGRAM.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(
        [bash, "--norc", "-c", script],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "complete -o default -F _relay_monitor_completion relay-monitor",
        "maintenance",
        "start",
        "--log-format",
        "console json",
        "",  # nothing of its own: by `-o default`, bash completes files
    ]
    assert done.stderr == ""


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_the_commands_with_their_help(shell: str) -> None:
    environ = {
        "_RELAY_MONITOR_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": "relay-monitor ma",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = subprocess.run([PROGRAM], env=environ, capture_output=True, text=True, timeout=60, check=True)
    assert "maintenance" in done.stdout
    assert "Start, end and list maintenance windows" in done.stdout
    assert done.stderr == ""
