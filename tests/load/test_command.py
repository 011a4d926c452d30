"""`relay-monitor load` as its users run it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from monitor.cli import app
from monitor.scenarios import LOAD_SCENARIOS
from tests.load.commands import ENVIRON, run_one_connection
from tests.sockets import closed_port

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--target", "http://x"], "http://x"),
        (["--target", "embedded", "--scenario", "steady"], "'steady'"),
        (["--target", "embedded", "--ramp-up", "soon"], "'soon' is not a time; expected seconds, such as 60"),
        (["--target", "embedded", "--ramp-up", "-1"], "is out of range"),
        (["--target", "embedded", "--message-interval", "0"], "expected more than 0"),
        (["--target", "embedded", "--connections", "0"], "--connections"),
        (["--target", "embedded", "--crypto", "none"], "'none'"),
        (["--target", "embedded", "--slo-delivery", "101"], "is not a percentage above 0, up to 100"),
        (["--target", "embedded", "--worker", "4/4"], "is not I/N"),
        (["--target", "embedded", "--connections", "2", "--worker", "3/4"], "worker 3/4 has none of the 2 to run"),
        (["--target", "embedded", "--workers", "2"], "needs a relay that all processes can reach"),
        (["--target", "ws://h/x", "--workers", "2", "--worker", "0/2"], "cannot be combined with --worker"),
        (["--target", "ws://h/x", "--workers", "2", "--metrics", "127.0.0.1:0"], "cannot be combined with --metrics"),
        (
            ["--target", "ws://h/x", "--workers", "9", "--connections", "3"],
            "9 workers are more than the 3 ",
        ),
        (["--target", "embedded", "--output", "/no/such/folder/r.json"], "folder /no/such/folder does not exist"),
        (["--target", "embedded", "--output", "/"], "/ cannot be written: Is a directory"),
        (["--target", "embedded", "--report", "/proc/r.html"], "/proc/r.html cannot be written"),
        (["--target", "embedded", "--output", "same", "--report", "./same"], "same is already the file of --output"),
        (["--target", "embedded", "--metrics", "9464"], "--metrics"),
        (["--target", "embedded", "--push-gateway", "no where"], "is not a URL such as http://gateway:9091"),
        ([], "--target"),
        (
            ["--target", "embedded", "--delay", "3", "--duration", "9"],
            "Invalid value for --delay, --duration: not valid for --scenario connection-storm",
        ),
        (
            ["--target", "embedded", "--slo-round-trip", "1ms", "--slo-stability", "99", "--slo-success", "50"],
            "Invalid value for --slo-round-trip, --slo-stability: not valid for --scenario connection-storm",
        ),
    ],
)
def test_wrong_usage_exits_2_with_a_message(flags: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["load", *flags], env={"COLUMNS": "400"})
    assert done.exit_code == 2
    assert message in re.sub(r"\s+", " ", done.stderr)


def test_the_help_shows_flags_under_their_scenarios() -> None:
    text = CliRunner().invoke(app, ["load", "--help"]).stdout
    sections = re.split(r"^(\S.*):$", text, flags=re.MULTILINE)
    shown = dict(zip(sections[1::2], sections[2::2], strict=True))
    assert shown.keys() >= {"Options", "Results", "Objectives", *(f"Load of {item}" for item in LOAD_SCENARIOS)}
    flags = {name: set(re.findall(r"^  (--[a-z-]+)", part, re.MULTILINE)) for name, part in shown.items()}
    assert flags["Load of async-delivery"] == {"--connection-pairs", "--delay", "--crypto"}
    assert flags["Load of connection-storm"] == {"--connections"}
    assert flags["Load of steady-messaging"] == {"--connection-pairs", "--duration", "--message-interval", "--crypto"}
    assert {"--target", "--scenario"} <= flags["Options"]
    assert flags["Results"] == {"--output", "--report", "--metrics", "--push-gateway"}


CONFIG = """
relays: [{name: demo, url: embedded}]
probes:
  - {name: steady, scenario: steady-messaging, message_interval: 1s}
  - {name: session, scenario: realistic-session, schedule: {every: 1m}}
slos:
  - {name: delivery, probe: steady, sli: availability, objective: 99%, window: 30d}
  - {name: slower, probe: session, sli: trend, factor: 1.5, window: 1d}
"""


def test_a_configuration_without_slos_of_the_scenario_leaves_the_default_objectives(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(CONFIG)
    flags = ("--target", f"ws://127.0.0.1:{closed_port()}/x", "--timeout", "0.1")
    done = run_one_connection(tmp_path, "--config", str(config), *flags)
    assert done.exit_code == 1
    assert f"{config} has no SLO that connection-storm measures: using the default objectives" in done.stderr
    assert "FAIL  success     0.000 %  at least 99 %" in done.stdout


def test_an_slo_that_a_load_test_does_not_measure_gives_a_warning(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(CONFIG)
    flags = (f"ws://127.0.0.1:{closed_port()}/x", "--scenario", "realistic-session", "--connection-pairs", "1")
    command = ("load", "--config", str(config), "--ramp-up", "0", "--output", str(tmp_path / "r.json"), "--target")
    done = CliRunner().invoke(app, [*command, *flags])
    assert done.exit_code == 1
    assert "SLO 'slower' is not valid for realistic-session" in done.stderr
    assert re.search(r"^FAIL  delivery +none  at least 99.9 %$", done.stdout, re.MULTILINE)


@pytest.mark.integration
def test_a_result_is_written_although_stdout_is_closed(tmp_path: Path) -> None:
    output = tmp_path / "r.json"
    reader, writer = os.pipe()
    os.close(reader)
    flags = ("--connections", "1", "--ramp-up", "0", "--output", str(output))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "monitor", "load", "--target", "embedded", *flags],
            env=ENVIRON, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert json.loads(output.read_text())["passed"] is True
    assert b"Traceback" not in done.stderr
