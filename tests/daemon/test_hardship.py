"""The daemon as a process with disks, streams and a resolver that fail it, and during a rolling update."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.daemon.harness import Daemon, samples, total
from tests.journal.files import counted, stored_runs
from tests.relays import ROOT
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.slow]


START_TIME = 60
"""Seconds that a process may take to start on a busy machine."""


def value(daemon: Daemon, name: str, **labels: str) -> float:
    return total(samples(daemon.get("/metrics").text), name, **labels)


def measures(daemon: Daemon, exchanges: int = 3) -> None:
    """Wait until some more exchanges succeed; none may fail, and the monitor must be healthy."""
    daemon.until(lambda: daemon.get("/-/ready").is_success, START_TIME)
    ok = daemon.exchanged("steady", "ok")
    daemon.until(lambda: daemon.exchanged("steady", "ok") >= ok + exchanges)
    assert daemon.exchanged("steady", "failed") == 0
    assert value(daemon, "relay_monitor_healthy") == 1


def stop(daemon: Daemon) -> None:
    started = time.monotonic()
    daemon.process.send_signal(signal.SIGTERM)
    daemon.process.communicate(timeout=20)
    assert time.monotonic() - started < 10
    assert daemon.process.returncode == 0, daemon.log.read_text()


def logged(daemon: Daemon, event: str) -> list[dict[str, Any]]:
    lines = (json.loads(line) for line in daemon.log.read_text().splitlines())
    return [line for line in lines if line["event"].startswith(event)]


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """Mount a small file system in memory at `folder`."""
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", options, "none", str(folder))
    if subprocess.run(mount, capture_output=True, timeout=10, check=False).returncode:
        pytest.skip("no file system can be mounted here: run as root, where mounting is allowed")
    try:
        yield
    finally:
        subprocess.run(("umount", "--lazy", str(folder)), capture_output=True, timeout=10, check=True)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    """Return a function that starts a daemon in a folder."""
    made: list[Daemon] = []

    def start(folder: Path = tmp_path) -> Daemon:
        folder.mkdir(exist_ok=True)
        made.append(Daemon(folder))
        return made[-1]

    yield start
    for daemon in made:
        if daemon.process.poll() is None:
            daemon.process.kill()
        daemon.process.communicate()


@pytest.mark.required_as_root("mounts")
class TestState:
    def test_a_read_only_state_folder(self, start: Any, tmp_path: Path) -> None:
        with mounted(tmp_path / "state", "ro,size=64k"):
            daemon = start()
            measures(daemon)
            daemon.until(lambda: value(daemon, "relay_monitor_journal_healthy") == 0)
            assert len(logged(daemon, "journal cannot be written")) == 1
            stop(daemon)

    def test_a_full_disk_that_is_emptied_again(self, start: Any, tmp_path: Path) -> None:
        with mounted(tmp_path / "state", "size=2m"):
            ballast = tmp_path / "state" / "ballast"
            with ballast.open("wb", buffering=0) as file:
                try:
                    while file.write(b"x" * 4096):
                        pass
                except OSError:
                    pass
            daemon = start()
            measures(daemon)
            daemon.until(lambda: value(daemon, "relay_monitor_journal_healthy") == 0)
            ballast.unlink()
            daemon.until(lambda: value(daemon, "relay_monitor_journal_healthy") == 1)
            stop(daemon)

    def test_a_state_folder_that_is_removed_while_it_runs(self, start: Any) -> None:
        daemon = start()
        measures(daemon)
        shutil.rmtree(daemon.state)
        measures(daemon)
        daemon.until((daemon.state / "journal.db").exists)
        stop(daemon)

    def test_a_state_folder_that_is_a_file(self, start: Any, tmp_path: Path) -> None:
        (tmp_path / "state").write_text("in the way")
        daemon = start()
        measures(daemon)
        daemon.until(lambda: value(daemon, "relay_monitor_journal_healthy") == 0)
        stop(daemon)


class TestStreams:
    @pytest.mark.parametrize("stderr", ["/dev/full", "closed"])
    def test_log_lines_that_cannot_be_written(self, start: Any, stderr: str) -> None:
        daemon = start()
        daemon.process.kill()
        daemon.process.communicate()
        redirection = "2>&-" if stderr == "closed" else f"2>{stderr}"
        daemon.process = subprocess.Popen(
            ["sh", "-c", f'exec "$0" -m monitor run --config "$1" {redirection}', sys.executable, str(daemon.path)],
            cwd=ROOT,
        )
        measures(daemon)
        daemon.process.send_signal(signal.SIGHUP)
        measures(daemon)
        stop(daemon)


class TestResolver:
    def test_a_hanging_resolver_delays_nothing_else(self, start: Any, tmp_path: Path) -> None:
        """The listening address, a reference and a relay have names that the resolver never answers."""
        (tmp_path / "sitecustomize.py").write_text(
            "import socket, time\n"
            "system = socket.getaddrinfo\n"
            "def resolve(host, *more, **flags):\n"
            "    if str(host).endswith('.invalid') and not flags.get('flags'):\n"
            "        time.sleep(300)\n"
            "    return system(host, *more, **flags)\n"
            "socket.getaddrinfo = resolve\n"
        )
        daemon = start()
        daemon.process.kill()
        daemon.process.communicate()
        text = daemon.path.read_text()
        limits = "limits: {messages_per_minute: 6000, connects_per_minute: 600}"
        hanging = f"relays:\n  - {{name: hangs, url: 'ws://hangs.invalid/x', {limits}}}\n  - {{name: demo"
        text = text.replace("relays: [{name: demo", hanging).replace("minute: 600}}]", "minute: 600}}")
        daemon.path.write_text(f"references: ['a.invalid:443', 'b.invalid:443']\n{text}")
        environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
        with daemon.log.open("wb") as log:
            daemon.process = subprocess.Popen(
                [sys.executable, "-m", "monitor", "run", "--config", str(daemon.path), "--log-format", "json"],
                stderr=log,
                cwd=ROOT,
                env=environment,
            )

        def ok() -> float:
            return value(daemon, "relay_probe_exchanges_total", relay="demo", probe="steady", outcome="ok")

        daemon.until(lambda: daemon.get("/-/ready").is_success, START_TIME)
        daemon.until(lambda: ok() >= 10)
        assert value(daemon, "relay_probe_exchanges_total", relay="demo", outcome="failed") == 0
        stop(daemon)


class TestRollingUpdate:
    def test_two_processes_share_a_state_folder_one_after_the_other(self, start: Any, tmp_path: Path) -> None:
        old = start(tmp_path / "old")
        measures(old)
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "state").symlink_to(old.state)
        new = start(tmp_path / "new")
        measures(new)
        new.until(lambda: len(logged(new, "state folder is used by another process")) == 1)
        assert logged(new, "state folder is used by another process")[0]["process"] == str(old.process.pid)
        assert value(new, "relay_monitor_journal_healthy") == 1
        stop(old)
        new.until(lambda: len(logged(new, "state folder is free again")) == 1)
        stop(new)
        runs = stored_runs(old.state)
        assert len({run["id"] for run in runs}) == len(runs)
        assert counted(old.state, "ok") > 8

    def test_a_restart_in_an_outage_shows_it_before_the_first_attempt(self, start: Any) -> None:
        daemon = start()
        daemon.process.kill()
        daemon.process.communicate()
        text = daemon.path.read_text().replace("url: embedded", f"url: 'ws://127.0.0.1:{closed_port()}/x'")
        daemon.path.write_text(text)

        def restart() -> None:
            with daemon.log.open("wb") as log:
                daemon.process = subprocess.Popen(
                    [sys.executable, "-m", "monitor", "run", "--config", str(daemon.path), "--log-format", "json"],
                    stderr=log,
                    cwd=ROOT,
                )
            daemon.until(lambda: daemon.get("/-/ready").is_success, START_TIME)

        restart()
        daemon.until(lambda: value(daemon, "relay_state", state="down") == 1, 40)
        since = daemon.get("/api/v1/status").json()["relays"][0]["since"]
        stop(daemon)
        restart()
        assert value(daemon, "relay_up") == 0
        assert value(daemon, "relay_state", state="down") == 1
        assert daemon.get("/api/v1/status").json()["relays"][0]["since"] == since
        stop(daemon)
