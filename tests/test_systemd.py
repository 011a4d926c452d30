"""The unit of systemd: how much it may do, and whether it agrees with the program. `make systemd` runs it."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from typing import Final

import pytest
import typer.main

from monitor.cli import app
from monitor.daemon.lifecycle import STOP_TIMEOUT
from monitor.health.self_check import LAG_LIMIT
from tests.relays import ROOT

UNIT: Final = ROOT / "deploy" / "systemd" / "relay-monitor.service"
MAX_EXPOSURE: Final = 2.0
"""Exposure level of `systemd-analyze security`, from 0 to 10, that the unit must not exceed."""

HARDENING: Final = {
    "CapabilityBoundingSet": "",
    "DevicePolicy": "closed",
    "DynamicUser": "yes",
    "LockPersonality": "yes",
    "NoNewPrivileges": "yes",
    "PrivateDevices": "yes",
    "PrivateTmp": "yes",
    "PrivateUsers": "yes",
    "ProtectHome": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectProc": "invisible",
    "ProtectSystem": "strict",
    "RestrictNamespaces": "yes",
    "SystemCallArchitectures": "native",
    "UMask": "0077",
}


def settings() -> list[tuple[str, str]]:
    """Return the directives of the unit in their order."""
    text = UNIT.read_text("utf-8").replace("\\\n", "")
    return re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE)


def seconds(name: str) -> float:
    """Return the value of a directive that is a number of seconds."""
    return float(dict(settings())[name].removesuffix("s"))


@pytest.mark.integration
@pytest.mark.required_counterpart("systemd-analyze")
def test_its_exposure_is_low_and_each_directive_is_known() -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not on PATH: apt-get install -y systemd")
    command = [program, "security", "--offline=true", "--no-pager", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    level = re.search(r"Overall exposure level for relay-monitor\.service: (\d+\.\d)", done.stdout)
    assert level is not None
    assert float(level[1]) <= MAX_EXPOSURE
    assert done.stderr == ""  # where unknown directives are reported


def test_it_may_do_little() -> None:
    found = dict(settings())
    assert {name: found.get(name) for name in HARDENING} == HARDENING


def test_it_is_restarted_and_watched() -> None:
    found = dict(settings())
    assert (found["Type"], found["NotifyAccess"], found["Restart"]) == ("notify", "main", "always")
    assert found["StartLimitIntervalSec"] == "0"
    assert seconds("WatchdogSec") >= 10 * LAG_LIMIT
    assert seconds("TimeoutStopSec") > STOP_TIMEOUT


def test_its_commands_exist_with_their_options() -> None:
    commands = [shlex.split(value) for name, value in settings() if name.startswith("Exec")]
    group = typer.main.get_command(app)
    program = "/usr/local/bin/relay-monitor"
    texts = [" ".join(words) for words in commands]
    arguments = [text.partition(f"{program} ")[2].split() for text in texts if program in text]
    assert [words[0] for words in arguments] == ["run", "check"]
    for name, *options in arguments:
        known = {option for parameter in group.commands[name].params for option in parameter.opts}  # type: ignore[attr-defined] # a group
        assert {word for word in options if word.startswith("-")} <= known
    assert commands[-1] == ["/bin/kill", "-HUP", "$MAINPID"]
