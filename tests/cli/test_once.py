"""The command `once`: output, exit status, textfile, signals."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.cli.commands import CONFIG, command, monitor
from tests.relays import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

CLOSED_PORT = """
relays: [{{name: gone, url: "ws://127.0.0.1:{port}/connection/websocket"}}]
probes: [{{name: session, scenario: realistic-session, schedule: {{every: 5m}}}}]
"""


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener.getsockname()[1]


class TestOnce:
    def test_text_output_has_outcomes_and_timelines(self, config: Path) -> None:
        done = monitor("once", "--config", config, "--relay", "demo")
        assert (done.returncode, done.stderr) == (0, "")
        verdicts = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
        assert sorted(line.split()[:4] for line in verdicts) == [
            ["ok", probe, "at", "demo"] for probe in ("idle", "offline", "steady")
        ]
        assert re.search(r"\d +dapp +hello", done.stdout)
        assert re.search(r"round trip \d", done.stdout)
        assert re.search(r"recovery \d", done.stdout)

    def test_a_pipe_gets_each_result_when_it_is_known(self, tmp_path: Path) -> None:
        config = tmp_path / "monitor.yaml"
        config.write_text(CONFIG.replace("delay: 100ms", "delay: 3s"))
        with subprocess.Popen(
            command("once", "--config", config, "--relay", "demo"), stdout=subprocess.PIPE, text=True, cwd=ROOT
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline().split()[:2] == ["ok", "steady"]
            assert process.poll() is None  # the other one waits for three seconds
            remainder = process.stdout.read()
        assert process.returncode == 0
        assert [line.split()[:2] for line in remainder.splitlines() if not line.startswith(" ")] == [
            ["ok", "idle"],
            ["ok", "offline"],
        ]

    def test_json_output_and_textfile(self, config: Path, tmp_path: Path) -> None:
        textfile = tmp_path / "relay.prom"
        done = monitor("once", "--config", config, "--output", "json", "--textfile", textfile)
        assert (done.returncode, done.stderr) == (0, "")
        runs: list[dict[str, Any]] = json.loads(done.stdout)
        assert [(run["probe"], run["relay"], run["outcome"]) for run in runs] == [
            ("steady", "demo", "ok"),
            ("offline", "demo", "ok"),
            ("idle", "demo", "ok"),
            ("idle", "other", "ok"),
        ]
        steps = {mark["step"] for mark in runs[0]["timeline"]}
        assert {"resolve", "tcp", "upgrade", "hello", "subscribe", "handshake", "deliver", "answer"} <= steps
        samples = [sample for family in parse_text(textfile.read_text("utf-8")) for sample in family.samples]
        # Without process_*, which node_exporter exports.
        assert {sample.name for sample in samples} == {
            "relay_once_success",
            "relay_once_timestamp_seconds",
            "relay_once_duration_seconds",
            "relay_once_round_trip_seconds",
        }
        assert stat.S_IMODE(textfile.stat().st_mode) == 0o644
        good = {
            (sample.labels["probe"], sample.labels["relay"])
            for sample in samples
            if sample.name == "relay_once_success" and sample.value == 1
        }
        assert good == {("steady", "demo"), ("offline", "demo"), ("idle", "demo"), ("idle", "other")}
        assert [path.name for path in sorted(tmp_path.iterdir())] == ["monitor.yaml", "relay.prom"]

    def test_a_closed_port_fails_quickly_at_tcp(self, tmp_path: Path, closed_port: int) -> None:
        config = tmp_path / "monitor.yaml"
        config.write_text(CLOSED_PORT.format(port=closed_port))
        textfile = tmp_path / "relay.prom"
        done = monitor("once", "--config", config, "--output", "json", "--textfile", textfile)
        assert done.returncode == 1
        (run,) = json.loads(done.stdout)
        assert run["durationSeconds"] < 5  # of the run: a busy machine may take longer to start Python
        assert (run["outcome"], run["failure"]["step"], run["failure"]["reason"]) == ("failed", "tcp", "refused")
        assert [each["outcome"] for each in run["exchanges"]] == ["failed"] * 3
        samples = [sample for family in parse_text(textfile.read_text("utf-8")) for sample in family.samples]
        values = {sample.name: sample.value for sample in samples}
        assert values["relay_once_success"] == 0
        assert "relay_once_round_trip_seconds" not in values
        assert all(name.startswith("relay_once_") for name in values)
        done = monitor("once", "--config", config)
        assert done.stdout.startswith("FAILED  session at gone")
        assert "step tcp, reason refused" in done.stdout

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--relay", "dmeo"), "no relay 'dmeo'; the configuration has demo, other"),
            (("--probe", "stedy"), "no probe 'stedy'; the configuration has steady, offline, idle"),
            (("--relay", "other", "--probe", "steady"), "probe 'steady' does not watch relay 'other'"),
        ],
    )
    def test_an_unknown_relay_or_probe_is_wrong_usage(
        self, config: Path, arguments: tuple[str, ...], message: str
    ) -> None:
        done = monitor("once", "--config", config, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert message in done.stderr

    def test_an_unwritable_textfile_is_reported_after_the_results(self, config: Path, tmp_path: Path) -> None:
        done = monitor("once", "--config", config, "--probe", "offline", "--textfile", tmp_path / "none" / "x.prom")
        assert done.returncode == 2
        assert done.stdout.startswith("ok  offline")
        assert len(done.stderr.splitlines()) == 1
        assert "cannot be written" in done.stderr

    def test_a_textfile_that_is_a_folder_is_an_error(self, config: Path, tmp_path: Path) -> None:
        folder = tmp_path / "collector" / "x.prom"
        folder.mkdir(parents=True)
        done = monitor("once", "--config", config, "--probe", "offline", "--textfile", folder)
        assert done.returncode == 2
        assert done.stderr.endswith(f"{folder}: cannot be written: Is a directory\n")
        assert len(done.stderr.splitlines()) == 1
        assert [*folder.parent.iterdir()] == [folder]
        assert [*folder.iterdir()] == []

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_an_interrupt_prints_the_results_so_far(self, config: Path, tmp_path: Path, number: signal.Signals) -> None:
        config.write_text(CONFIG.replace("delay: 100ms", "delay: 20s"))
        textfile = tmp_path / "relay.prom"
        arguments = ("--config", config, "--probe", "offline", "--output", "json", "--textfile", textfile)
        with subprocess.Popen(
            command("once", *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        ) as process:
            _await_connection(process.pid)
            process.send_signal(number)
            stdout, stderr = process.communicate(timeout=10)
        assert (process.returncode, stderr.strip()) == (130, "")
        (run,) = json.loads(stdout)
        assert (run["probe"], run["outcome"]) == ("offline", "aborted")
        # An aborted run says nothing of the relay.
        assert [family.samples for family in parse_text(textfile.read_text("utf-8")) if family.samples] == []


def _await_connection(pid: int) -> None:
    """Wait until a process has a connection to its embedded relay: a run is in progress."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if sum(link.startswith("socket:") for link in _descriptors(pid)) >= 5:
            return
        time.sleep(0.02)
    raise AssertionError("no run started")


def _descriptors(pid: int) -> Iterator[str]:
    """Yield the targets of open descriptors; some may be closed meanwhile."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            yield str(link.readlink())
