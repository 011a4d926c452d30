"""The command `check`: errors, footprint, web configuration."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

import pytest

from monitor.cli.check_output import lines
from monitor.config import load
from tests.cli.commands import CONFIG, monitor
from tests.config.test_loading import marked
from tests.relays import ROOT
from tests.sockets import closed_port

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

TEN_ERRORS = ROOT / "tests" / "config" / "bad" / "ten-at-once.yaml"


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

    def test_a_valid_file_has_its_cost_and_the_time_to_a_page_in_tables(self) -> None:
        done = monitor("check", "--config", ROOT / "config.yaml")
        assert (done.returncode, done.stderr) == (0, "")
        verdict, *output = done.stdout.splitlines()
        assert verdict.endswith("config.yaml: valid")
        assert output == list(lines(load(ROOT / "config.yaml", {})))

    def test_references_that_do_not_answer_prove_nothing_and_none_is_a_warning(self, tmp_path: Path) -> None:
        config = tmp_path / "monitor.yaml"
        port = closed_port()
        with socket.create_server(("127.0.0.1", 0)) as answering:
            host, other = answering.getsockname()
            relay = f'relays: [{{name: far, url: "ws://127.0.0.1:{port}/connection/websocket"}}]\n'
            probes = "probes: [{name: idle, scenario: steady-state, relays: [far]}]\n"
            config.write_text(f'references: ["127.0.0.2:{port}", "{host}:{other}"]\n' + relay + probes)
            done = monitor("check", "--config", config)
            assert done.returncode == 0, done.stderr
            assert done.stdout.splitlines()[-1] == (
                f"Warning: reference 127.0.0.2:{port}: Connection refused. It proves nothing until it answers."
            )
        config.write_text(relay + probes)
        assert monitor("check", "--config", config).stdout.splitlines()[-1] == (
            "Warning: references is empty: a failure of this monitor's own network looks like one of the relays. "
            "Name two or more independent hosts."
        )

    def test_the_relays_of_each_shard_are_listed(self, tmp_path: Path) -> None:
        (tmp_path / "monitor.yaml").write_text("shards: 2\n" + CONFIG)
        done = monitor("check", "--config", tmp_path / "monitor.yaml")
        assert done.returncode == 0
        shards = [line.split(maxsplit=1) for line in done.stdout.splitlines() if re.match(r"\d/\d ", line)]
        assert [number for number, _ in shards] == ["0/2", "1/2"]
        relays = [name for _, names in shards for name in names.split(", ") if name != "no relay"]
        assert sorted(relays) == ["demo", "other"]

    def test_the_web_configuration_is_checked(self, tmp_path: Path) -> None:
        (tmp_path / "monitor.yaml").write_text("server: {web_config_file: web.yml}\n" + CONFIG)
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
