"""Runs thousands of probe runs under random faults: `python -m bench.endurance [RUNS] [--write]`.

Probes of four scenarios run concurrently, as fast as they can, through toxiproxy against the engine. Random faults cut
all connections, slow them down, pause the engine, or kill and restart it. Tasks, sockets, descriptors, series and
memory are counted before and after, and every message and exchange must be accounted for. Exit 1 if a resource leaked
or a count does not add up; `--write` writes the table to docs/performance.md.
"""

from __future__ import annotations

import asyncio
import gc
import io
import os
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import uvloop

import monitor
from bench.markdown import write
from bench.persistent_pairs import resident
from bench.toxiproxy import proxied, toxiproxy
from monitor.clock import SYSTEM_CLOCK
from monitor.config import parse
from monitor.metrics import Metrics
from monitor.probes.registry import PROBES
from monitor.probes.runner import execute
from monitor.relays import MonitoredRelays
from monitor.results import MessagesJudged, MessagesSent, Report, Run
from tests.counterparts import ENGINE, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from monitor.pairs.context import ProbeContext

CONFIG = """
relays: [{{name: relay, url: "{url}", limits: {{connects_per_minute: 100000, messages_per_minute: 1000000}}}}]
probes:
  - name: steady
    scenario: steady-messaging
    schedule: {{every: 1h}}
    pairs: 1
    message_interval: 100ms
    settle: 0s
    duration: 1s
    timeout: 1s
  - {{name: away, scenario: async-delivery, schedule: {{every: 1h}}, delay: 50ms, messages: 3, pairing: fresh,
     timeout: 1s}}
  - {{name: hold, scenario: steady-state, schedule: {{every: 1h}}, connections: 2, ramp_up: 0s, duration: 1s,
     timeout: 1s}}
  - {{name: storm, scenario: connection-storm, schedule: {{every: 1h}}, connections: 4, ramp_up: 100ms, timeout: 1s}}
"""
WORKERS = 60
PAGE = ROOT / "docs" / "performance.md"


ON_DEMAND = (
    "relay_probe_failures_total", "relay_probe_disconnects_total", "relay_endpoint_failures_total", "relay_cause_info",
)  # fmt: skip
"""Metrics whose series appear when they are first needed. They are bounded, so a new one is no leak."""


@dataclass(frozen=True, slots=True)
class Resources:
    """The resources of a process."""

    tasks: int
    sockets: int
    descriptors: int
    series: int
    memory: float  # MB

    @classmethod
    def now(cls, metrics: Metrics) -> Resources:
        """Count the resources of this process."""
        gc.collect()
        links = []
        for link in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                links.append(str(link.readlink()))
        page = metrics.render()[0].decode()
        return cls(
            tasks=len(asyncio.all_tasks()),
            sockets=sum(link.startswith("socket:") for link in links),
            descriptors=len(links),
            series=sum(not line.startswith(("#", *ON_DEMAND)) for line in page.splitlines()),
            memory=resident(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The counts of all runs, and the resources before and after them."""

    before: Resources
    after: Resources
    runs: Counter[str]
    exchanges: Counter[str]
    sent: int
    verdicts: Counter[str]
    faults: Counter[str]
    tracebacks: int
    seconds: float

    def errors(self) -> list[str]:
        """Return the resources that leaked and the counts that do not add up."""
        before, after = self.before, self.after
        found = [
            f"{name}: {getattr(before, name)} before, {getattr(after, name)} after"
            for name in ("tasks", "sockets", "descriptors", "series")
            if getattr(after, name) > getattr(before, name)
        ]
        if self.sent != self.verdicts.total():
            found.append(f"{self.sent} messages sent, {self.verdicts.total()} judged")
        if self.tracebacks:
            found.append(f"{self.tracebacks} tracebacks in the log")
        return found


class Engine:
    """An engine on a fixed port, so that it can be restarted."""

    def __init__(self) -> None:
        self.address = "127.0.0.1:18500"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        command = [str(ENGINE.path), "-listen", self.address]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def pause(self, seconds: float) -> None:
        """Stop its process for some seconds."""
        assert self._process is not None
        self._process.send_signal(19)
        await asyncio.sleep(seconds)
        self._process.send_signal(18)


async def inject_faults(engine: Engine, api: httpx.AsyncClient, rng: random.Random, faults: Counter[str]) -> None:
    """Inject one fault after another until cancelled; the first one is a cut, which makes runs fail."""
    while True:
        await asyncio.sleep(rng.uniform(0.5, 2.0))
        kind = rng.choice(["cut", "cut", "slow", "pause", "kill"]) if faults else "cut"
        faults[kind] += 1
        if kind == "cut":
            await api.post("/proxies/relay", json={"enabled": False})
            await asyncio.sleep(rng.uniform(0, 0.2))
            await api.post("/proxies/relay", json={"enabled": True})
        elif kind == "slow":
            toxic = {"name": "slow", "type": "latency", "attributes": {"latency": 300, "jitter": 200}}
            await api.post("/proxies/relay/toxics", json=toxic)
            await asyncio.sleep(rng.uniform(0.2, 1.0))
            await api.delete("/proxies/relay/toxics/slow")
        elif kind == "pause":
            await engine.pause(rng.uniform(0.2, 1.5))
        else:
            engine.kill()
            await asyncio.sleep(rng.uniform(0, 0.3))
            engine.start()


async def endure(runs: int, seed: int = 1) -> Outcome:
    """Make `runs` runs over loopback, and return what came of them when everything is over."""
    engine, faults, log = Engine(), Counter[str](), io.StringIO()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(40), logger_factory=structlog.PrintLoggerFactory(log)
    )
    engine.start()
    try:
        async with toxiproxy() as api:
            url = f"ws://{await proxied(api, engine.address, 0, 'relay')}/connection/websocket"
            return await _endure(runs, url, random.Random(seed), (engine, api, faults), log)  # noqa: S311
    finally:
        engine.kill()
        structlog.reset_defaults()


class Counts:
    """Counts what the runs publish, and passes it on to the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.clear()

    def clear(self) -> None:
        """Start again at zero."""
        self.runs, self.exchanges, self.verdicts = Counter[str](), Counter[str](), Counter[str]()
        self.sent = 0

    def publish(self, report: Run | Report, _: ProbeContext) -> None:
        """Count a report."""
        self._metrics.publish(report)
        if isinstance(report, Run):
            self.runs[report.outcome.value] += 1
            self.exchanges.update(item.outcome.value for item in report.exchanges)
        elif isinstance(report, MessagesSent):
            self.sent += report.messages
        elif isinstance(report, MessagesJudged) and report.pending:
            self.verdicts[report.verdict.value if report.verdict is not None else "left before"] += report.messages


async def _endure(
    runs: int,
    url: str,
    rng: random.Random,
    injection: tuple[Engine, httpx.AsyncClient, Counter[str]],
    log: io.StringIO,
) -> Outcome:
    config = parse(CONFIG.format(url=url), "endurance", {})
    metrics = Metrics(config, version=monitor.__version__)
    counts = Counts(metrics)
    monitored_relays = MonitoredRelays(config, SYSTEM_CLOCK, counts.publish, rng=rng)
    await monitored_relays.start(lambda _: None)

    async def run_all(numbers: Iterator[int]) -> None:
        """Make the runs, `WORKERS` at a time."""

        async def work() -> None:
            for number in numbers:
                probe = config.probes[number % len(config.probes)]
                await execute(PROBES[probe.scenario](), monitored_relays.context("relay", probe))

        await asyncio.gather(*(work() for _ in range(WORKERS)))

    async def wait_for_late_messages() -> None:
        while monitored_relays.background:
            await asyncio.wait(monitored_relays.background)

    # A few runs of each kind first, so that imports and caches are counted both before and after.
    await run_all(iter(range(WORKERS)))
    await wait_for_late_messages()
    await asyncio.sleep(0.5)
    counts.clear()
    before, began = Resources.now(metrics), time.monotonic()
    engine, api, faults = injection
    injecting = asyncio.ensure_future(inject_faults(engine, api, rng, faults))
    await run_all(iter(range(runs)))
    injecting.cancel()
    await asyncio.wait([injecting])
    await wait_for_late_messages()
    await asyncio.sleep(3)  # closing handshakes wait two seconds at most
    after = Resources.now(metrics)
    await monitored_relays.stop()
    return Outcome(
        before=before,
        after=after,
        runs=counts.runs,
        exchanges=counts.exchanges,
        sent=counts.sent,
        verdicts=counts.verdicts,
        faults=faults,
        tracebacks=log.getvalue().count("Traceback"),
        seconds=time.monotonic() - began,
    )


def table(outcome: Outcome) -> list[str]:
    """Return the outcome as Markdown."""

    def listed(counts: Counter[str]) -> str:
        return ", ".join(f"{number:,} {name}" for name, number in sorted(counts.items()))

    before, after = outcome.before, outcome.after
    lines = ["| | before | after |", "|---|---|---|"]
    lines += [
        f"| {name} | {getattr(before, name)} | {getattr(after, name)} |"
        for name in ("tasks", "sockets", "descriptors", "series")
    ]
    lines.append(f"| resident memory | {before.memory:.1f} MB | {after.memory:.1f} MB |")
    return [
        *lines,
        "",
        (
            f"{outcome.runs.total():,} runs in {outcome.seconds:.0f} s ({listed(outcome.runs)}) under "
            f"{outcome.faults.total()} faults ({listed(outcome.faults)}). Exchanges: {listed(outcome.exchanges)}. "
            f"{outcome.sent:,} messages sent = {listed(outcome.verdicts)}. Tracebacks in the log: {outcome.tracebacks}."
        ),
    ]


def main() -> int:
    """Make the runs, and print the table and what is wrong."""
    ENGINE.obtain()
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    outcome = uvloop.run(endure(numbers[0] if numbers else 20_000))
    lines = table(outcome)
    print("\n".join(lines))
    if "--write" in sys.argv[1:]:
        write(PAGE, "endurance", lines)
    errors = outcome.errors()
    for line in errors:
        print(f"WRONG: {line}")
    return 1 if errors else 0


if __name__ == "__main__":
    os.environ.setdefault("NO_PROXY", "127.0.0.1")
    sys.exit(main())
