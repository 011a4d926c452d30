"""The command `init`: the trial, the file, the messages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from monitor.config import load
from tests.cli.commands import monitor
from tests.relays import ROOT
from tests.sockets import closed_port

pytestmark = pytest.mark.integration


class TestInit:
    def test_a_relay_that_works_is_written_with_the_next_steps(self, tmp_path: Path) -> None:
        output = tmp_path / "new.yaml"
        done = monitor("init", "--url", "embedded", "--name", "demo", "--location", "lab", "--output", output)
        assert done.returncode == 0, done.stderr
        assert "The relay works: paired in " in done.stdout
        assert f" run --config {output}\n" in done.stdout
        assert f" generate --config {output} --output monitoring\n" in done.stdout
        config = load(output, {})
        assert ([relay.name for relay in config.relays], config.location) == (["demo"], "lab")
        assert monitor("check", "--config", output).returncode == 0

    @pytest.mark.parametrize(
        "called",
        [(str(Path(sys.executable).with_name("relay-monitor")),), (sys.executable, "-m", "monitor")],
        ids=["script", "module"],
    )
    def test_the_next_steps_call_the_program_as_it_was_called(self, tmp_path: Path, called: tuple[str, ...]) -> None:
        """In a checkout it is not on PATH: `relay-monitor: command not found`."""
        command = [*called, "init", "--url", "embedded", "--output", str(tmp_path / "relay.yaml")]
        done = subprocess.run(
            command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
        )
        assert f"{' '.join(called)} check --config {tmp_path}/relay.yaml" in " ".join(done.stdout.split())

    def test_a_relay_that_fails_is_explained_and_not_written(self, tmp_path: Path) -> None:
        output = tmp_path / "new.yaml"
        done = monitor("init", "--url", f"ws://127.0.0.1:{closed_port()}", "--output", output)
        assert done.returncode == 1
        assert "step tcp, reason refused" in done.stderr
        assert "No program listens at that address and port." in done.stderr
        assert done.stderr.endswith("is not written; --anyway writes it all the same.\n")
        assert not output.exists()

    def test_anyway_writes_it_all_the_same(self, tmp_path: Path) -> None:
        output = tmp_path / "new.yaml"
        url = f"ws://127.0.0.1:{closed_port()}"
        done = monitor("init", "--url", url, "--output", output, "--anyway")
        assert done.returncode == 0
        assert load(output, {}).relays[0].url == f"{url}/connection/websocket"

    def test_an_existing_file_is_replaced_only_by_force(self, tmp_path: Path) -> None:
        output = tmp_path / "new.yaml"
        output.write_text("mine")
        done = monitor("init", "--url", "embedded", "--output", output)
        assert (done.returncode, output.read_text()) == (2, "mine")
        assert done.stderr == f"relay-monitor: {output} exists; --output names another file, --force replaces it\n"
        assert monitor("init", "--url", "embedded", "--output", output, "--force").returncode == 0
        assert load(output, {}).relays[0].url == "embedded"

    def test_wrong_values_name_their_options(self, tmp_path: Path) -> None:
        done = monitor(
            "init", "--url", "ftp://a", "--name", "a b", "--token-file", "/missing", "--output", tmp_path / "new.yaml"
        )
        assert done.returncode == 2
        for option in ("--url: ", "--name: ", "--token-file: "):
            assert option in done.stderr

    @pytest.mark.parametrize("option", ["--token-file", "--ca-file"])
    def test_a_missing_file_is_the_options_and_not_one_of_a_configuration(self, option: str, tmp_path: Path) -> None:
        """Before, the message spoke of relative paths and a folder of the file that is not written yet."""
        missing = tmp_path / "missing"
        url = ("--url", "wss://relay.example.com")
        done = monitor("init", *url, option, missing, "--output", tmp_path / "new.yaml")
        expected = f"relay-monitor: {option}: {missing} cannot be read: No such file or directory\n"
        assert (done.returncode, done.stderr) == (2, expected)

    @pytest.mark.parametrize("url", ["wss://[::1", "wss://relay.example.com:99999", "wss://"])
    def test_an_address_that_is_none_is_one_line(self, tmp_path: Path, url: str) -> None:
        done = monitor("init", "--url", url, "--output", tmp_path / "new.yaml")
        assert done.returncode == 2
        assert done.stderr.startswith("relay-monitor: --url: ")
        assert len(done.stderr.splitlines()) == 1

    def test_without_a_terminal_the_url_is_required(self, tmp_path: Path) -> None:
        done = monitor("init", "--output", tmp_path / "new.yaml")
        assert done.returncode == 2
        assert "stdin is not a terminal" in done.stderr
