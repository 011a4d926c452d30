"""The commands as processes: stdout, stderr and exit status."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shlex
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families as parse_text
from typer.testing import CliRunner

from monitor.cli import app
from tests.config.test_loading import marked

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[1]
TEN_ERRORS = ROOT / "tests" / "config" / "bad" / "ten-at-once.yaml"

ONCE = """
relays:
  - {name: demo, url: embedded, limits: {messages_per_minute: 6000}}
  - {name: other, url: embedded}
probes:
  - {name: steady, scenario: steady-messaging, relays: demo, message_interval: 100ms, settle: 0s}
  - {name: offline, scenario: async-delivery, relays: demo, schedule: {every: 1m}, delay: 100ms}
  - {name: idle, scenario: steady-state, timeout: 1s}
"""

CLOSED_PORT = """
relays: [{{name: gone, url: "ws://127.0.0.1:{port}/connection/websocket"}}]
probes: [{{name: session, scenario: realistic-session, schedule: {{every: 5m}}}}]
"""


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "monitor", *map(str, arguments)]


def monitor(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "monitor.yaml"
    path.write_text(ONCE)
    return path


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener.getsockname()[1]


class TestCheck:
    def test_each_error_is_a_line_on_stderr_with_its_position(self) -> None:
        done = monitor("check", "--config", TEN_ERRORS)
        assert (done.returncode, done.stdout) == (2, "")
        position = re.compile(rf"{re.escape(str(TEN_ERRORS))}:(\d+): ([^:]+): .")
        found = [position.match(line) for line in done.stderr.splitlines()]
        assert [(int(each[1]), each[2]) for each in found if each] == [
            (line, key) for line, key, _ in marked(TEN_ERRORS)
        ]
        assert len(found) == 10

    def test_a_valid_file_has_a_footprint_for_each_relay(self) -> None:
        done = monitor("check", "--config", ROOT / "config.yaml")
        assert (done.returncode, done.stderr) == (0, "")
        verdict, *footprint = done.stdout.splitlines()
        assert verdict.endswith("config.yaml: valid")
        assert [line.partition(":")[0] for line in footprint] == ["demo"]
        for what in ("connects per minute", "messages per minute", "channels created", "in the relay's history"):
            assert what in footprint[0]

    def test_the_web_configuration_is_checked(self, tmp_path: Path) -> None:
        (tmp_path / "monitor.yaml").write_text("server: {web_config_file: web.yml}\n" + ONCE)
        (tmp_path / "web.yml").write_text("tls_server_config: {}\nbasic_auth_users:\n  prometheus: hunter2\n")
        done = monitor("check", "--config", tmp_path / "monitor.yaml")
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"{tmp_path / 'web.yml'}:3: basic_auth_users.prometheus: is not a bcrypt hash")
        assert "hunter2" not in line

    def test_a_missing_file_is_one_line_on_stderr(self, tmp_path: Path) -> None:
        done = monitor("check", "--config", tmp_path / "none.yaml")
        assert (done.returncode, done.stdout) == (2, "")
        assert len(done.stderr.splitlines()) == 1
        assert "cannot be read: No such file" in done.stderr


class TestSchema:
    def test_it_is_a_schema_of_the_shipped_file(self) -> None:
        done = monitor("schema")
        assert (done.returncode, done.stderr) == (0, "")
        schema = json.loads(done.stdout)
        jsonschema.Draft202012Validator.check_schema(schema)
        shipped = yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))
        assert [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(shipped)] == []


class TestOnce:
    def test_text_output_has_outcomes_and_timelines(self, config: Path) -> None:
        done = monitor("once", "--config", config, "--relay", "demo")
        assert (done.returncode, done.stderr) == (0, "")
        verdicts = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
        assert [line.split()[:4] for line in verdicts] == [
            ["ok", probe, "at", "demo"] for probe in ("steady", "offline", "idle")
        ]
        assert re.search(r"\d +dapp +hello", done.stdout)
        assert re.search(r"round trip \d", done.stdout)
        assert re.search(r"recovery \d", done.stdout)

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
        assert {sample.name.partition("_")[0] for sample in samples} == {"relay"}
        assert stat.S_IMODE(textfile.stat().st_mode) == 0o644
        good = {
            (sample.labels["probe"], sample.labels["relay"])
            for sample in samples
            if sample.name == "relay_probe_exchanges_total" and sample.labels["outcome"] == "ok" and sample.value == 1
        }
        assert good == {("steady", "demo"), ("offline", "demo"), ("idle", "demo"), ("idle", "other")}
        assert [path.name for path in sorted(tmp_path.iterdir())] == ["monitor.yaml", "relay.prom"]

    def test_a_closed_port_fails_quickly_at_tcp(self, tmp_path: Path, closed_port: int) -> None:
        config = tmp_path / "monitor.yaml"
        config.write_text(CLOSED_PORT.format(port=closed_port))
        started = time.monotonic()
        done = monitor("once", "--config", config, "--output", "json")
        assert time.monotonic() - started < 5
        assert done.returncode == 1
        (run,) = json.loads(done.stdout)
        assert (run["outcome"], run["failure"]["step"], run["failure"]["reason"]) == ("failed", "tcp", "refused")
        assert [each["outcome"] for each in run["exchanges"]] == ["failed"] * 3
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
        config.write_text(ONCE.replace("delay: 100ms", "delay: 20s"))
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
        assert 'outcome="aborted",probe="offline"' in textfile.read_text("utf-8")


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


class TestRelay:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    async def test_it_prints_its_url_and_serves_until_a_signal(self, number: signal.Signals) -> None:
        process = await asyncio.create_subprocess_exec(
            *command("relay", "--listen", "127.0.0.1:0"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(20):
                listening, url = (await process.stdout.readline()).decode().split()
                assert listening == "listening"
                ((host, port),) = re.findall(r"ws://([\d.]+):(\d+)/connection/websocket", url)
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(
                    b"GET /connection/websocket HTTP/1.1\r\nHost: demo\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
                )
                assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")
                writer.close()
                process.send_signal(number)
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    @pytest.mark.parametrize("listen", ["8000", "127.0.0.1:x", "127.0.0.1:70000", ""])
    def test_an_invalid_address_is_wrong_usage(self, listen: str) -> None:
        done = CliRunner().invoke(app, ["relay", "--listen", listen])
        assert (done.exit_code, done.stdout) == (2, "")
        assert "--listen" in done.stderr

    def test_a_port_in_use_is_one_line_on_stderr(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            done = monitor("relay", "--listen", f"127.0.0.1:{port}")
        assert (done.returncode, done.stdout) == (2, "")
        assert len(done.stderr.splitlines()) == 1
        assert f"127.0.0.1:{port}" in done.stderr


class TestUsage:
    @pytest.mark.parametrize("shard", ["nonsense", "1", "3/3", "0/0", "-1/3", "²/3", "0/3/4", "9" * 5000 + "/3"])
    def test_an_invalid_shard_is_refused(self, shard: str, config: Path) -> None:
        done = CliRunner().invoke(app, ["run", "--config", str(config), "--shard", shard])
        assert (done.exit_code, done.stdout) == (2, "")
        assert "Invalid value for --shard" in done.stderr

    def test_a_shard_without_a_relay_is_refused(self, config: Path) -> None:
        done = monitor("run", "--config", config, "--shard", "2/3")
        assert (done.returncode, done.stdout) == (2, "")
        assert "shard 2/3: relays: there are only 2, none for this shard" in done.stderr

    def test_an_unknown_command_is_refused(self) -> None:
        assert monitor("rnu").returncode == 2

    def test_every_command_has_a_help_text(self) -> None:
        done = monitor("--help")
        assert done.returncode == 0
        for name in ("run", "check", "once", "relay", "schema"):
            assert re.search(rf"^ +{name} +[A-Z]", done.stdout, re.MULTILINE), name


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
