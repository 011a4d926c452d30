"""An incident with real processes, in ten minutes: `make incident`.

The relay is killed for two minutes and is back until the incident is closed. Then the monitor is killed and started
again, and the relay is killed again. It must be one incident, on its page, in its Markdown, in the API and in the log.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from tests.relays import ROOT
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONFIG = """
server: {{listen: "127.0.0.1:{port}"}}
state_dir: state
relays: [{{name: demo, url: "ws://127.0.0.1:{relay}/connection/websocket"}}]
probes:
  - {{name: steady, scenario: steady-messaging}}
  - {{name: offline, scenario: async-delivery, schedule: {{every: 1m}}, delay: 30s}}
"""
OUTAGE = 120.0


class Processes:
    """A relay and a monitor that is configured to watch it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {"relay": closed_port(), "port": closed_port()}
        (folder / "monitor.yaml").write_text(CONFIG.format(**self.ports))
        self.log = folder / "log.jsonl"
        self.url = f"http://127.0.0.1:{self.ports['port']}"

    @contextlib.contextmanager
    def relay(self) -> Iterator[None]:
        """Run the relay; kill it at the end."""
        with self._running("relay", "--listen", f"127.0.0.1:{self.ports['relay']}"):
            yield

    @contextlib.contextmanager
    def monitor(self) -> Iterator[None]:
        """Run the monitor; kill it at the end, so that it cannot say good-bye."""
        with self._running("run", "--config", str(self.folder / "monitor.yaml"), "--log-format", "json"):
            yield

    @contextlib.contextmanager
    def _running(self, *arguments: str) -> Iterator[None]:
        with self.log.open("ab") as log:
            process = subprocess.Popen([sys.executable, "-m", "monitor", *arguments], stderr=log, stdout=log, cwd=ROOT)
        try:
            yield
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def get(self, path: str) -> str:
        return httpx.get(self.url + path, timeout=10).raise_for_status().text

    def incidents(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.get("/api/v1/incidents"))["incidents"]
        return found

    def condition(self) -> str:
        """Return the relay's condition; empty while the monitor starts."""
        relays = json.loads(self.get("/api/v1/status"))["relays"]
        return str(relays[0]["condition"]) if relays else ""

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of this event."""
        read = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in read if line.get("event") == event]


def until(condition: Callable[[], bool], seconds: float) -> float:
    """Wait until a condition holds; return for how long."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        with contextlib.suppress(httpx.HTTPError):
            if condition():
                return time.monotonic() - began
        time.sleep(0.5)
    raise AssertionError(f"not within {seconds:.0f} s")


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S', time.gmtime())} {text}", flush=True)  # noqa: T201 - the result


def main(processes: Processes) -> None:
    """Play it, and check what is said of it."""
    with processes.monitor():
        with processes.relay():
            until(lambda: processes.condition() == "up", 60)
            assert processes.incidents() == []
        say(f"the relay is killed: down after {until(lambda: processes.condition() == 'down', 60):.1f} s")
        (first,) = processes.incidents()
        time.sleep(OUTAGE)
        with processes.relay():
            say(f"the relay is back: up after {until(lambda: processes.condition() == 'up', 90):.1f} s")
            say(f"closed after {until(lambda: not processes.incidents()[0]['open'], 400):.1f} s")
            time.sleep(2)  # what is written within the last second may be lost
    say("the monitor is killed and started again")
    with processes.monitor():
        with processes.relay():
            until(lambda: processes.condition() == "up", 90)
            assert [each["id"] for each in processes.incidents()] == [first["id"]]
        say(f"the relay is killed again: down after {until(lambda: processes.condition() == 'down', 60):.1f} s")
        (second,) = processes.incidents()
        assert (second["id"], second["reopened"], second["open"]) == (first["id"], 1, True)
        check(processes, first["id"])


def check(processes: Processes, incident: str) -> None:
    """Check page, Markdown, API and log."""
    found = json.loads(processes.get(f"/api/v1/incidents/{incident}"))
    kinds = [entry["kind"] for entry in found["entries"]]
    assert [kind for kind in kinds if kind in {"opened", "closed", "reopened"}] == ["opened", "closed", "reopened"]
    assert found["secondsByCondition"]["down"] >= OUTAGE
    page, markdown = processes.get(f"/incidents/{incident}"), processes.get(f"/incidents/{incident}.md")
    assert incident in page
    assert "Reopened" in page
    assert markdown.startswith(f"# Incident {incident}: demo")
    for event in ("incident opened", "incident changed", "incident closed", "incident reopened"):
        assert [line["incident"] for line in processes.lines(event)] == [incident], event
    assert 'relay_incident_open{install="default",location="local",relay="demo"} 1.0' in processes.get("/metrics")
    say(f"one incident, {incident}, on page, in Markdown, API and log")
    print(markdown)  # noqa: T201 - the result


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Processes(Path(folder)))
