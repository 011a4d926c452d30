"""What series cost, and whether scrapes and reloads disturb measurements: `python -m bench.series`. Takes five minutes.

Series, size, time and memory of `/metrics` for 1, 50 and 200 relays with the shipped probes, and the longest time for
which a scrape or a reload to twice as many relays keeps the event loop from waking a task. A busy machine prolongs
that: the same without a scrape or reload is beside it.

Then a daemon with 100 relays is reloaded to 200 while messages cross: the P99 of the wire times of the first 100
relays' persistent pairs, before the reload and from its start. Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import structlog
import uvloop

from bench.persistent_pairs import resident
from bench.programs import measured, relay
from monitor.config import parse
from monitor.daemon.app import Monitor
from monitor.metrics import Metrics
from monitor.relays import collections_suspended, freeze_gc
from monitor.results import Run
from monitor.web.server import SWITCH_INTERVAL
from tests.counterparts import ROOT

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from monitor.config import Config
    from monitor.results import Report

RELAYS: Final = (1, 50, 200)
TICK: Final = 0.001
"""Seconds between two wakings of the task that watches the event loop."""

PAIR_WARM_UP: Final = 60.0
"""Seconds until the pairs of 100 relays are made and their relay is idle again."""

WINDOW: Final = 60.0
"""Seconds for which wire times are collected, before the reload and from its start."""


def configuration(relays: int, *, detail: str = "standard", url: str = "embedded") -> Config:
    """Return the shipped configuration with so many relays."""
    text = (ROOT / "config.yaml").read_text("utf-8").replace("{detail: standard}", f"{{detail: {detail}}}")
    start, end = text.index("relays:\n  - name: demo"), text.index("\nprobes:")
    names = "".join(f"  - {{name: relay-{number}, url: '{url}'}}\n" for number in range(relays))
    return parse(f"{text[:start]}relays:\n{names}{text[end:]}", str(ROOT / "config.yaml"), {})


async def longest_block(work: Awaitable[object]) -> dict[str, float]:
    """Return the longest time in ms that a task had to wait for its turn while `work` ran, beyond its own pause.

    `ms` includes what other threads and programs take, `cpu_ms` is the event loop's own CPU time.
    """
    task = asyncio.ensure_future(work)
    longest_wait, woken = 0.0, time.perf_counter()
    most, used = 0.0, time.thread_time()
    while not task.done():
        await asyncio.sleep(TICK)
        now, cpu = time.perf_counter(), time.thread_time()
        longest_wait, woken = max(longest_wait, now - woken - TICK), now
        most, used = max(most, cpu - used), cpu
    await task
    return {"ms": round(longest_wait * 1000, 1), "cpu_ms": round(most * 1000, 1)}


async def measure_page(relays: int, detail: str) -> dict[str, Any]:
    """Measure the page of a monitor with so many relays, and a reload to twice as many."""
    parsed, twice = (configuration(number, detail=detail) for number in (relays, 2 * relays))
    before = resident()
    metrics = Metrics(parsed, version="bench")
    memory = resident() - before
    freeze_gc()  # as the daemon, once it has started
    page, _ = metrics.render("application/openmetrics-text; version=1.0.0")
    wall, cpu = time.perf_counter(), time.process_time()
    text, _ = metrics.render()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    compressed = len(gzip.compress(text, 1))
    idle = await longest_block(asyncio.sleep(2))
    scrape = await longest_block(asyncio.to_thread(metrics.render, "application/openmetrics-text; version=1.0.0"))
    with collections_suspended():  # as the daemon
        reload = await longest_block(metrics.reconfigure_in_slices(twice))
        back = await longest_block(metrics.reconfigure_in_slices(parsed))
    return {
        "relays": relays,
        "detail": detail,
        "series": sum(not line.startswith(b"#") for line in text.splitlines()),
        "megabytes": round(len(text) / 1e6, 2),
        "openmetrics_megabytes": round(len(page) / 1e6, 2),
        "compressed_megabytes": round(compressed / 1e6, 2),
        "scrape_seconds": round(wall, 3),
        "scrape_cpu_seconds": round(cpu, 3),
        "resident_megabytes": round(memory, 1),
        "blocked": {"idle": idle, "scrape": scrape, "reload": reload, "back": back},
    }  # fmt: skip


class WireTimes:
    """The wire times of the first relays' persistent pairs, and the CPU time of the event loop's steps."""

    def __init__(self, daemon: Monitor, relays: int) -> None:
        self.times: list[float] = []
        self.steps: list[float] = []
        self._relays = {f"relay-{number}" for number in range(relays)}
        self._publish = daemon.metrics.publish
        daemon.metrics.publish = self._note  # type: ignore[method-assign]

    def _note(self, report: Run | Report) -> None:
        self._publish(report)
        if isinstance(report, Run) and report.relay in self._relays:
            for exchange in report.exchanges:
                self.times += [wire for wire in (exchange.wire_request, exchange.wire_response) if wire is not None]

    async def collect(self, seconds: float) -> dict[str, float]:
        """Collect for so long; returns the number of messages, and medians and P99 in ms.

        A step is what the loop does between two wakings of a task. Unlike wire times, its CPU time does not depend on
        what else the machine does.
        """
        self.times.clear()
        self.steps.clear()
        end, used = time.perf_counter() + seconds, time.thread_time()
        while time.perf_counter() < end:
            await asyncio.sleep(TICK)
            cpu = time.thread_time()
            self.steps.append(cpu - used)
            used = cpu
        wires, steps = (statistics.quantiles(found, n=1000) for found in (self.times, self.steps))
        figures = {"wire_p50": wires[499], "wire_p99": wires[989], "step_p99": steps[989], "step_p999": steps[998]}
        figures["step_longest"] = max(self.steps)
        return {"messages": len(self.times)} | {f"{name}_ms": round(value * 1e3, 2) for name, value in figures.items()}


async def measure_reload(url: str, relays: int) -> dict[str, Any]:
    """Reload a daemon to twice as many relays."""
    few, many = configuration(relays, url=url), configuration(2 * relays, url=url)
    daemon = Monitor(few, source=lambda: many)
    freeze_gc()
    with collections_suspended():  # both as in `monitor.daemon.process`
        await daemon.start()
    wires = WireTimes(daemon, relays)
    await asyncio.sleep(PAIR_WARM_UP)
    before = await wires.collect(WINDOW)
    cpu = time.thread_time()
    reloading = asyncio.ensure_future(daemon.reload())
    during = await wires.collect(WINDOW)
    await reloading
    cpu = time.thread_time() - cpu
    failed = sum(kept.run.outcome.value == "failed" for kept in daemon.journal.runs())
    await daemon.stop()
    return {
        "relays": [relays, 2 * relays],
        "before": before,
        "from_reload": during,
        "p99_ratio": round(during["wire_p99_ms"] / before["wire_p99_ms"], 2),
        "loop_cpu_share": round(cpu / WINDOW, 2),
        "failed_runs": failed,
    }


def main() -> int:
    """Run one measurement, or all of them in processes of their own."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    sys.setswitchinterval(SWITCH_INTERVAL)
    match sys.argv[1:]:
        case ["page", number, detail]:
            print(json.dumps(uvloop.run(measure_page(int(number), detail))))
        case ["reload", url, number]:
            print(json.dumps(uvloop.run(measure_reload(url, int(number)))))
        case _:
            pages = [measured("series", "page", number, detail) for detail in ("standard", "lean") for number in RELAYS]
            with relay() as url:
                reloaded = measured("series", "reload", url, 100, timeout=400)
            print(json.dumps({"pages": pages, "reload": reloaded}, indent=2))
            return int(reloaded["p99_ratio"] > 1.2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
