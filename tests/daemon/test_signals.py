"""Signals at every time of a daemon's life: a SIGHUP never ends it, a SIGTERM always does, with status 0."""

from __future__ import annotations

import json
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.daemon.harness import Daemon, samples, total
from tests.journal.files import stored_runs

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.integration, pytest.mark.slow]

STOP_LIMIT = 10.0


def handles_signals(daemon: Daemon) -> bool:
    """Return True once the process handles SIGHUP and SIGTERM, which it does before its long imports."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text("ascii")
    (caught,) = (int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt:"))
    return all(caught & 1 << (number - 1) for number in (signal.SIGHUP, signal.SIGTERM))


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def events(daemon: Daemon) -> list[str]:
    return [json.loads(line)["event"] for line in daemon.log.read_text().splitlines()]


def stop(daemon: Daemon) -> None:
    """Send SIGTERM; the process must end in time with status 0 and without an error in its log."""
    daemon.process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    daemon.process.communicate(timeout=2 * STOP_LIMIT)
    assert daemon.process.returncode == 0, daemon.log.read_text()
    assert time.monotonic() - started < STOP_LIMIT


def relays(daemon: Daemon) -> list[str]:
    return [relay["name"] for relay in daemon.get("/api/v1/status").json()["relays"]]


def is_ready(daemon: Daemon) -> bool:
    return daemon.get("/-/ready").status_code == httpx.codes.OK


class TestStart:
    def test_hangups_from_the_first_moment_on_are_reloads(self, daemon: Daemon) -> None:
        """It used to die by the first SIGHUP of its first second."""
        wait_for(lambda: handles_signals(daemon))
        while not daemon.log.stat().st_size:  # nothing is logged before it serves
            daemon.process.send_signal(signal.SIGHUP)
            assert daemon.process.poll() is None
            time.sleep(0.001)
        daemon.until(lambda: is_ready(daemon))
        daemon.until(lambda: "configuration reloaded" in events(daemon))
        stop(daemon)
        assert not {"configuration reload failed", "configuration reload failed by an internal error"} & {
            *events(daemon)
        }

    def test_a_change_before_the_first_hangup_is_read(self, daemon: Daemon) -> None:
        wait_for(lambda: handles_signals(daemon))
        daemon.process.send_signal(signal.SIGHUP)
        daemon.path.write_text(daemon.path.read_text().replace("name: demo", "name: renamed"))
        daemon.until(lambda: is_ready(daemon) and relays(daemon) == ["renamed"])
        stop(daemon)

    @pytest.mark.parametrize("delay", [0.0, 0.1, 0.3, 0.6, 1.0, 1.5])
    def test_a_stop_during_the_start_is_clean(self, daemon: Daemon, delay: float) -> None:
        wait_for(lambda: handles_signals(daemon))
        time.sleep(delay)
        stop(daemon)
        assert "Traceback" not in daemon.log.read_text()


class TestReload:
    def test_a_storm_of_hangups_and_requests_does_not_disturb(self, daemon: Daemon) -> None:
        daemon.until(lambda: daemon.exchanged("steady", "ok") >= 2)
        statuses: list[int] = []

        def post() -> None:
            statuses.extend(httpx.post(daemon.url + "/-/reload", timeout=20).status_code for _ in range(10))

        threads = [threading.Thread(target=post) for _ in range(3)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            daemon.process.send_signal(signal.SIGHUP)
            time.sleep(0.001)
        for thread in threads:
            thread.join()
        assert statuses == [200] * 30
        ok = daemon.exchanged("steady", "ok")
        daemon.until(lambda: daemon.exchanged("steady", "ok") > ok)
        found = samples(daemon.get("/metrics").text)
        assert total(found, "relay_probe_exchanges_total", outcome="failed") == 0
        stop(daemon)

    def test_hangups_and_a_stop_together(self, daemon: Daemon) -> None:
        daemon.until(lambda: daemon.exchanged("steady", "ok") >= 1)
        daemon.path.write_text(daemon.path.read_text().replace("name: demo", "name: renamed"))
        for _ in range(2):
            daemon.process.send_signal(signal.SIGHUP)
        stop(daemon)
        for _ in range(100):  # one that comes too late, or after the stop, is ignored
            daemon.process.send_signal(signal.SIGHUP)
        assert events(daemon)[-1] == "monitor stopped"

    def test_hangups_until_the_very_end(self, daemon: Daemon) -> None:
        daemon.until(lambda: is_ready(daemon))
        daemon.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 2 * STOP_LIMIT
        while daemon.process.poll() is None and time.monotonic() < deadline:
            daemon.process.send_signal(signal.SIGHUP)
            time.sleep(0.0005)
        assert daemon.process.returncode == 0

    @pytest.mark.parametrize("replacement", ["directory", "nothing", "binary", "unreadable"])
    def test_a_configuration_that_cannot_be_read_changes_nothing(self, daemon: Daemon, replacement: str) -> None:
        daemon.until(lambda: daemon.exchanged("steady", "ok") >= 1)
        text = daemon.path.read_text()
        daemon.path.unlink()
        match replacement:
            case "directory":
                daemon.path.mkdir()
            case "binary":
                daemon.path.write_bytes(b"\xff\xfe\x00")
            case "unreadable":
                daemon.path.symlink_to(daemon.path)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.until(lambda: "configuration reload failed" in events(daemon))
        assert httpx.post(daemon.url + "/-/reload", timeout=10).status_code >= 400
        assert total(samples(daemon.get("/metrics").text), "relay_monitor_config_last_reload_successful") == 0
        if replacement == "directory":
            daemon.path.rmdir()
        else:
            daemon.path.unlink(missing_ok=True)
        daemon.path.write_text(text)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.until(
            lambda: total(samples(daemon.get("/metrics").text), "relay_monitor_config_last_reload_successful") == 1
        )
        stop(daemon)


class TestStop:
    def test_a_second_signal_aborts_the_running_probes(self, daemon: Daemon) -> None:
        def offline_started() -> bool:
            found = samples(daemon.get("/metrics").text)
            return total(found, "relay_monitor_runs_total", probe="offline", result="started") == 1

        daemon.until(offline_started)  # waits for a minute
        daemon.process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        daemon.until(lambda: daemon.get("/-/ready").status_code == httpx.codes.SERVICE_UNAVAILABLE)
        stop(daemon)
        assert time.monotonic() - started < 4
        assert "running probes are aborted: the stop was requested again" in events(daemon)
        runs = stored_runs(daemon.state)
        assert [run["outcome"] for run in runs if run["probe"] == "offline"] == ["aborted"]
