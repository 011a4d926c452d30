"""Daemons in processes of their own, and what they and their processes say of themselves."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import yaml

from bench.programs import ENVIRON
from tests.counterparts import ROOT
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import Mapping

JsonObject = dict[str, Any]

_ACCEPT: Final = "application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1"
_STOP_TIMEOUT: Final = 20.0


def shipped(relays: Mapping[str, str], **sections: Any) -> JsonObject:
    """Return the shipped configuration with these relays (name → URL), and with other sections instead of its own."""
    config: JsonObject = yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))
    config["relays"] = [{"name": name, "url": url} for name, url in relays.items()]
    return config | sections


@dataclass(frozen=True, slots=True)
class Scrape:
    """One scrape: seconds until the answer, bytes as sent and unpacked."""

    seconds: float
    compressed: int
    size: int


class Daemon:
    """A daemon. `wires` is a file for the times of its messages on the wire (see `bench.pages_daemon`)."""

    def __init__(self, folder: Path, config: JsonObject, *, shard: str = "", wires: bool = False) -> None:
        port = closed_port()
        folder.mkdir()
        file = folder / "config.yaml"
        file.write_text(yaml.safe_dump(config | {"server": {"listen": f"127.0.0.1:{port}"}}), encoding="utf-8")
        self.url = f"http://127.0.0.1:{port}"
        self.wire_file = folder / "wires.json"
        if wires:
            program = ["bench.pages_daemon", str(file), "wires", str(self.wire_file)]
        else:
            program = ["monitor", "run", "--config", str(file), *(["--shard", shard] if shard else [])]
        self._log = (folder / "log").open("wb")
        self.started_at = time.time()
        self._process = subprocess.Popen([sys.executable, "-m", *program], cwd=ROOT, env=ENVIRON, stderr=self._log)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def cpu(self) -> float:
        """Return the CPU seconds that the process has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Return the resident memory of the process in bytes."""
        return int(Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def peak_memory(self) -> float:
        """Return the largest resident memory that the process has had, in MB."""
        status = Path(f"/proc/{self.pid}/status").read_text("ascii")
        return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) * 1024 / 1e6

    def descriptors(self) -> int:
        """Return the number of open descriptors."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def get(self, path: str, timeout: float = 30.0) -> bytes:
        """Return a page as it is sent, compressed. Raises `OSError`."""
        request = urllib.request.Request(self.url + path, headers={"Accept-Encoding": "gzip", "Accept": _ACCEPT})
        with urllib.request.urlopen(request, timeout=timeout) as response:
            body: bytes = response.read()
            return body if response.headers["Content-Encoding"] == "gzip" else gzip.compress(body, 1)

    def scrape(self) -> tuple[Scrape, Page]:
        """Scrape the metrics as Prometheus does."""
        started = time.perf_counter()
        body = self.get("/metrics")
        seconds = time.perf_counter() - started
        text = gzip.decompress(body)
        return Scrape(seconds, len(body), len(text)), Page(text.decode())

    def wait_for(self, relays: int, timeout: float) -> None:
        """Wait until so many relays are up. Raises `SystemExit` if they are not in time."""
        deadline = time.monotonic() + timeout
        up = 0
        while time.monotonic() < deadline and self._process.poll() is None:
            time.sleep(1)
            try:
                status = json.loads(gzip.decompress(self.get("/api/v1/status")))
            except OSError:  # it starts
                continue
            up = sum(relay["condition"] == "up" for relay in status["relays"])
            if up >= relays:
                return
        raise SystemExit(f"{up} of {relays} relays are up after {timeout:.0f} s; see {self._log.name}")

    def stop(self) -> None:
        """Stop the process."""
        for _ in range(2):  # the second signal aborts the running probes
            self._process.terminate()
        self._process.wait(_STOP_TIMEOUT)
        self._log.close()

    def wires(self, since: float, until: float) -> list[float]:
        """Return the wire times in seconds that were noted in a span; the process has been stopped."""
        noted = json.loads(self.wire_file.read_text("ascii"))
        return [wire for at, wire in noted if since <= at < until]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.stop()


class Page:
    """A page of metrics."""

    def __init__(self, text: str) -> None:
        self._text = text

    @property
    def series(self) -> int:
        """Number of series."""
        return sum(not line.startswith("#") for line in self._text.splitlines())

    def values(self, name: str, **labels: str) -> list[float]:
        """Return the values of all series of a name with these labels."""
        found = array("d")
        for labelled, value in re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)", self._text, re.MULTILINE):
            if all(f'{key}="{wanted}"' in labelled for key, wanted in labels.items()):
                found.append(float(value))
        return list(found)

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of these values."""
        return sum(self.values(name, **labels))

    def label(self, name: str, label: str) -> list[str]:
        """Return the values of one label over all series of a name."""
        return re.findall(rf'^{name}\{{[^}}]*\b{label}="([^"]*)"', self._text, re.MULTILINE)

    def quantile(self, name: str, share: float) -> float:
        """Return the upper bound of the bucket in which a quantile lies, over all series of a histogram."""
        counts: dict[float, float] = {}
        for bound, value in re.findall(
            rf'^{name}_bucket\{{[^}}]*le="([^"]+)"[^}}]*\}} (\S+)', self._text, re.MULTILINE
        ):
            counts[float(bound)] = counts.get(float(bound), 0) + float(value)
        wanted = share * max(counts.values(), default=0)
        return min((bound for bound, count in counts.items() if count >= wanted), default=float("nan"))
