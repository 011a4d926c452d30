"""A daemon of its own process, with its configuration, log and API."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Self

import httpx
import yaml

from tests.relays import ROOT
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

STOP_TIMEOUT: Final = 15.0
POLL: Final = 0.25
"""Seconds between two looks at the API."""

WAIT: Final = 90.0
"""Seconds to wait for a condition of its pages, on a busy machine."""

LIMITS: Final = {"messages_per_minute": 6000, "connects_per_minute": 600}
CONFIRM: Final = {"attempts": 3, "within": "10s", "every": "5s"}
"""The most frequent attempts that are allowed, so that a condition is found within seconds."""

JsonObject = dict[str, Any]


def relay(name: str, url: str = "embedded", **more: Any) -> JsonObject:
    """Return the configuration of a relay."""
    return {"name": name, "url": url, "limits": LIMITS, "confirm": CONFIRM, **more}


class Daemon:
    """A process of `relay-monitor run`. As a context manager it is stopped at the end."""

    def __init__(self, folder: Path, config: JsonObject, *, log_format: str = "json") -> None:
        folder.mkdir()
        self.port = closed_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "log"
        self._log_format = log_format
        self._file = folder / "config.yaml"
        self._config: JsonObject = {"server": {"listen": f"127.0.0.1:{self.port}"}, **config}
        self._client = httpx.Client(base_url=self.url, timeout=5, trust_env=False)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the process; its log is appended to."""
        self._file.write_text(yaml.safe_dump(self._config, sort_keys=False), encoding="utf-8")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "monitor", "run", "--config", str(self._file), "--log-format", self._log_format],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )

    def stop(self) -> None:
        """Stop the process."""
        if self._process is None:
            return
        for _ in range(2):  # the second one aborts running probes
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_TIMEOUT)
            raise
        finally:
            self._process = None

    def get(self, path: str) -> httpx.Response:
        """Get a page."""
        return self._client.get(path)

    def status(self) -> JsonObject:
        """Return `/api/v1/status`."""
        found: JsonObject = self.get("/api/v1/status").raise_for_status().json()
        return found

    def conditions(self) -> dict[str, str]:
        """Return the condition of each relay."""
        return {item["name"]: item["condition"] for item in self.status()["relays"]}

    def until(self, condition: Callable[[], object], seconds: float = WAIT) -> float:
        """Wait until a condition on its pages holds, and return the time."""
        assert self._process is not None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self.log.read_text("utf-8")[-5000:]
            try:
                if condition():
                    return time.time()
            except httpx.TransportError:  # it starts
                pass
            time.sleep(POLL)
        raise AssertionError(f"not within {seconds} s; the log ends with:\n{self.log.read_text('utf-8')[-5000:]}")

    def until_conditions(self, wanted: dict[str, str], seconds: float = WAIT) -> float:
        """Wait until these relays have these conditions, and return the time."""
        found: dict[str, str] = {}

        def reached() -> bool:
            found.update(self.conditions())
            return wanted.items() <= found.items()

        try:
            return self.until(reached, seconds)
        except AssertionError as error:
            raise AssertionError(f"{found} instead of {wanted}: {error}") from None

    def lines(self) -> list[JsonObject]:
        """Return the log."""
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines() if line.startswith("{")]

    @staticmethod
    def seconds_of(line: JsonObject) -> float:
        """Return the time of a line of the log in seconds since the epoch."""
        return datetime.fromisoformat(line["timestamp"]).timestamp()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self._client.close()
