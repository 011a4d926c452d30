"""Measures what readers of the pages cost the probes: `python -m bench.pages [--quick]`. Exit 0 if all goals are met.

Wire times: 20 pairs run in a daemon, in windows without readers and with 50 of them in turn. Each reader gets `/` every
5 s and `/metrics` every 15 s, and reads one event stream. The ratio is the median over the rounds of that within a
round, since the speed of a shared machine changes. Then `/` with 200 relays: time, size and the longest step of the
event loop (CPU time) meanwhile; and the resident memory of the shipped configuration while it is read.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import httpx
import yaml

from bench.programs import ENVIRON, relay, side_by_side
from tests.counterparts import ROOT
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

READERS: Final = 50
PAGE_EVERY: Final = 5.0
SCRAPE_EVERY: Final = 15.0
PAIRS: Final = 20
RELAYS: Final = 200
SKIPPED: Final = 5.0
"""Seconds at the start of a window that do not count: connections are made, templates and caches are cold."""

START_TIMEOUT: Final = 120.0

JsonObject = dict[str, Any]

LIMITS: Final = {"connects_per_minute": 100000, "messages_per_minute": 1000000}


def twenty_pairs(url: str) -> JsonObject:
    """Return the configuration of the wire measurement; each pair makes an exchange every 1.47 s."""
    pair = {"name": "steady", "scenario": "steady-messaging", "pairs": PAIRS, "message_interval": "500ms"}
    return {
        "relays": [{"name": "bench", "url": url, "limits": LIMITS}],
        "probes": [pair | {"settle": "470ms", "timeout": "5s", "max_age": "1h"}],
        "slos": [
            {"name": "round-trip", "probe": "steady", "sli": "latency", "threshold": "400ms", "objective": "99%"},
            {"name": "delivery", "probe": "steady", "sli": "availability", "objective": "99.9%"},
        ],
    }


def many_relays() -> JsonObject:
    """Return the shipped configuration with 200 relays, and one continuous pair at each."""
    shipped: JsonObject = yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))
    names = [f"relay-{number:03}" for number in range(1, RELAYS + 1)]
    pair = {"name": "steady", "scenario": "steady-messaging", "pairs": 1, "message_interval": "5s"}
    slos = [slo for slo in shipped["slos"] if slo["probe"] == "steady"]
    return {"relays": [{"name": name, "url": "embedded"} for name in names], "probes": [pair], "slos": slos}


@asynccontextmanager
async def daemon(folder: Path, config: JsonObject, *notes: str) -> AsyncIterator[tuple[str, int]]:
    """Run a daemon, and yield its URL and process id once all relays are up. See `bench.pages_daemon` for `notes`."""
    port, file = closed_port(), folder / "config.yaml"
    file.write_text(yaml.safe_dump(config | {"server": {"listen": f"127.0.0.1:{port}"}}), encoding="utf-8")
    program = ["bench.pages_daemon", str(file), *notes] if notes else ["monitor", "run", "--config", str(file)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", *program], cwd=ROOT, env=ENVIRON, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(START_TIMEOUT):
            while process.poll() is None and not await _all_up(url):  # noqa: ASYNC110 - no event signals it
                await asyncio.sleep(0.2)
        yield url, process.pid
    finally:
        for _ in range(2):  # the second one aborts running probes
            process.terminate()
        process.wait(20)


async def _all_up(url: str) -> bool:
    async with httpx.AsyncClient(base_url=url, timeout=10, trust_env=False) as client:
        try:
            status = (await client.get("/api/v1/status")).json()
        except httpx.TransportError:  # it starts
            return False
    return all(item["condition"] == "up" for item in status["relays"])


class Readers:
    """Readers of the pages. As a context manager they read until the end; `times` are seconds of `/`."""

    def __init__(self, url: str, readers: int = READERS) -> None:
        self._url = url
        self._readers = readers
        self.times: list[float] = []
        self.errors: list[str] = []
        self.events = 0

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.ensure_future(self._read(number / self._readers)) for number in range(self._readers)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self, share: float) -> None:
        async with httpx.AsyncClient(base_url=self._url, timeout=30, trust_env=False) as client:
            await asyncio.gather(
                self._get(client, "/", share * PAGE_EVERY, PAGE_EVERY),
                self._get(client, "/metrics", share * SCRAPE_EVERY, SCRAPE_EVERY),
                self._stream(client, share),
            )

    async def _get(self, client: httpx.AsyncClient, path: str, delay: float, every: float) -> None:
        await asyncio.sleep(delay)
        while True:
            started = time.perf_counter()
            try:
                (await client.get(path)).raise_for_status()
            except httpx.HTTPError as error:
                self.errors.append(f"{path}: {error!r}")
            if path == "/":
                self.times.append(time.perf_counter() - started)
            await asyncio.sleep(every)

    async def _stream(self, client: httpx.AsyncClient, delay: float) -> None:
        await asyncio.sleep(delay)
        while True:
            async with client.stream("GET", "/events", timeout=None) as response:
                if response.status_code == httpx.codes.NOT_FOUND:  # an older version
                    return
                if not response.is_success:
                    self.errors.append(f"/events: {response.status_code}")
                async for line in response.aiter_lines():
                    self.events += line.startswith("data:")
            await asyncio.sleep(1)


class Windows:
    """What was measured without readers and with them, a pair of windows a round."""

    def __init__(self) -> None:
        self.spans: list[tuple[tuple[float, float], tuple[float, float]]] = []
        self.shares: dict[bool, list[float]] = {False: [], True: []}
        self.page_times: list[float] = []
        self.errors: list[str] = []
        self.events = 0

    async def measure(self, url: str, pid: int, rounds: int, window: float) -> None:
        """Make the rounds."""
        for number in range(rounds):
            found: dict[bool, tuple[float, float]] = {}
            # In turn, so that what grows within a round weighs on both.
            for read in (False, True) if number % 2 else (True, False):
                async with Readers(url) if read else nullcontext() as readers:
                    await asyncio.sleep(SKIPPED)
                    since, used = time.time(), _cpu_seconds(pid)
                    await asyncio.sleep(window)
                    found[read] = since, time.time()
                    self.shares[read].append((_cpu_seconds(pid) - used) / (time.time() - since))
                if readers is not None:
                    self.page_times += readers.times
                    self.errors += readers.errors
                    self.events += readers.events
            self.spans.append((found[False], found[True]))


async def wires(url: str, rounds: int, window: float) -> bool:
    """Compare wire times with and without readers."""
    windows = Windows()
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder, "wires.json")
        async with daemon(Path(folder), twenty_pairs(url), "wires", str(notes)) as (page, pid):
            await windows.measure(page, pid, rounds, window)
        noted: list[tuple[float, float]] = _read(notes)
    good = not windows.errors
    for share, goal in ((0.5, 1.2), (0.99, 2.0)):
        found = [[percentile(_within(noted, span), share) for span in spans] for spans in windows.spans]
        alone, read, ratio = side_by_side([one for one, _ in found], [other for _, other in found])
        value = f"{1e6 * read:.0f} / {1e6 * alone:.0f} µs: {1 / ratio:.2f}×"
        show(f"wire P{share * 100:g}, {READERS} readers / none", value, f"≤ {goal:g}×", good=1 / ratio <= goal)
        good &= 1 / ratio <= goal
    alone, read = (100 * statistics.median(windows.shares[each]) for each in (False, True))
    show(f"share of a core, {READERS} readers / none", f"{read:.1f} / {alone:.1f} %", "–", good=True)
    times = [f"{1e3 * percentile(windows.page_times, share):.0f}" for share in (0.5, 0.99)]
    show(f"/ for {READERS} readers, P50 and P99", f"{', '.join(times)} ms", "–", good=True)
    value = f"{len(windows.page_times)}, {len(windows.errors)}, {windows.events}"
    show("requests of /, failed ones, events", value, "0 failed", good=not windows.errors)
    for error in sorted(set(windows.errors))[:5]:
        print(f"  {error}")
    return good


def _read(notes: Path) -> list[tuple[float, float]]:
    return [(at, duration) for at, duration in json.loads(notes.read_text("ascii"))]


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> float:
    """Return the resident memory of a process in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * 4096 / 1e6


def _within(noted: list[tuple[float, float]], span: tuple[float, float]) -> list[float]:
    since, until = span
    return [wire for at, wire in noted if since <= at < until]


def percentile(values: list[float], share: float) -> float:
    """Return a quantile of some values."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def overview(requests: int) -> bool:
    """Measure `/` with 200 relays, and the event loop's steps meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder, "steps.json")
        async with daemon(Path(folder), many_relays(), "steps", str(notes)) as (url, _):
            await asyncio.sleep(SKIPPED)
            idle = time.time()
            await asyncio.sleep(2 * SKIPPED)
            times, size = [], 0
            async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
                since = time.time()
                for _ in range(requests):
                    started = time.perf_counter()
                    size = len((await client.get("/")).raise_for_status().content)
                    times.append(time.perf_counter() - started)
                    await asyncio.sleep(0.5)
            until = time.time()
        steps: list[tuple[float, float]] = _read(notes)
    median, longest_step = statistics.median(times), max(_within(steps, (since, until)), default=0)
    before = max(_within(steps, (idle, since)), default=0)
    good = median <= 0.15 and longest_step <= max(0.005, before)
    show(
        f"/ with {RELAYS} relays ({size / 1e3:.0f} kB), median",
        f"{1e3 * median:.0f} ms",
        "≤ 150 ms",
        good=median <= 0.15,
    )
    value = f"{1e3 * longest_step:.1f} / {1e3 * before:.1f} ms"
    show("longest step of the event loop, CPU, read / not", value, "≤ 5 ms", good=longest_step <= max(0.005, before))
    return good


async def memory(window: float) -> bool:
    """Measure the resident memory of the shipped configuration while its pages are read."""
    shipped: JsonObject = yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))
    shipped["relays"][0]["url"] = "embedded"
    with tempfile.TemporaryDirectory() as folder:
        async with daemon(Path(folder), shipped) as (url, pid):
            async with Readers(url, readers=1):
                await asyncio.sleep(window)
            resident = _resident(pid)
    show("resident memory, shipped configuration, one reader", f"{resident:.1f} MB", "≤ 90 MB", good=resident <= 90)
    return resident <= 90


def show(figure: str, value: str, goal: str, *, good: bool) -> None:
    """Print one line of the table."""
    print(f"{figure:<52} {value:>26}   goal {goal:<9} {'met' if good else 'MISSED'}", flush=True)


async def measure(*, quick: bool) -> bool:
    """Measure everything, and return whether all goals are met."""
    with relay() as url:
        good = await wires(url, 1 if quick else 6, 15 if quick else 40)
    good &= await overview(5 if quick else 40)
    return await memory(20 if quick else 120) and good


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m bench.pages", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round of each")
    return int(not asyncio.run(measure(quick=parser.parse_args().quick)))


if __name__ == "__main__":
    sys.exit(main())
