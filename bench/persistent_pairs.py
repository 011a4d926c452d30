"""The monitor's persistent pairs, as the daemon runs them: wire times, CPU an exchange, memory.

`python -m bench.persistent_pairs URL PAIRS INTERVAL PAUSE WINDOW` prints the figures of the window as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path

import uvloop

import monitor
from bench.programs import log_warnings
from monitor.clock import SYSTEM_CLOCK
from monitor.config import parse
from monitor.metrics import Metrics
from monitor.probes.registry import continuous_probe
from monitor.relays import MonitoredRelays, freeze_gc
from monitor.results import Report, Run
from monitor.vocabulary import Outcome

CONFIG = """
relays:
  - {{name: bench, url: "{url}", limits: {{connects_per_minute: 100000, messages_per_minute: 1000000}}}}
probes:
  - name: steady
    scenario: steady-messaging
    pairs: {pairs}
    message_interval: {interval:g}ms
    settle: {settle:g}ms
    timeout: 5s
    max_age: 1h
slos:
  - {{name: round-trip, probe: steady, sli: latency, threshold: 400ms, objective: 99%, window: 30d}}
  - {{name: delivery, probe: steady, sli: availability, objective: 99.9%, window: 30d}}
"""


def resident() -> float:
    """Return the resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def exchanges_of(metrics: Metrics) -> Counter[str]:
    """Return the exchanges so far by outcome."""
    families = metrics.registry.restricted_registry(["relay_probe_exchanges_total"]).collect()
    return Counter({sample.labels["outcome"]: int(sample.value) for family in families for sample in family.samples})


async def main(url: str, pairs: int, interval: float, pause: float, window: float) -> None:
    """Run the pairs with the daemon's metrics, and print what the window cost."""
    text = CONFIG.format(url=url, pairs=pairs, interval=interval * 1000, settle=pause * 1000)
    config = parse(text, "bench", {})
    metrics = Metrics(config, version=monitor.__version__)
    wires: list[float] = []

    def publish(report: Run | Report, _: object) -> None:
        metrics.publish(report)

    def note_wires(report: Run | Report, _: object) -> None:
        metrics.publish(report)
        if type(report) is Run:
            for exchange in report.exchanges:
                wires.extend(wire for wire in (exchange.wire_request, exchange.wire_response) if wire is not None)

    # With many pairs their cost is measured, which must not include noting the wires.
    sink = note_wires if pairs == 1 else publish
    monitored_relays = MonitoredRelays(config, SYSTEM_CLOCK, sink)
    await monitored_relays.start(lambda _: None)
    probe = config.probes[0]
    context, persistent = monitored_relays.context("bench", probe), monitored_relays.relays["bench"].verdict.pairs
    task = asyncio.ensure_future(continuous_probe(probe.scenario).serve(context, persistent))
    cycle = pause + 2 * interval
    await asyncio.sleep(3 * cycle + 1)
    freeze_gc()
    wires.clear()
    before, cpu = exchanges_of(metrics), time.process_time()
    await asyncio.sleep(window)
    metrics.flush()
    cpu = time.process_time() - cpu
    counts = exchanges_of(metrics) - before
    result = {
        "cpu": cpu,
        "exchanges": counts.total(),
        "failed": counts.total() - counts[Outcome.OK.value],
        "rss": resident(),
        "wires": wires,
    }
    print(json.dumps(result), flush=True)
    task.cancel()
    await asyncio.wait([task])
    await monitored_relays.stop()


if __name__ == "__main__":
    log_warnings()
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), *map(float, sys.argv[3:6])))
