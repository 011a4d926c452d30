"""Reloads a running daemon N times (1,000) and looks for leaks: `python -m bench.reload [N]`.

Half of the reloads change nothing; the others add a relay or a probe, or remove it again. The daemon's record of its
runs grows up to a limit with or without reloads: so the daemon first runs as long without them, and memory may grow no
more with reloads than without. Prints one JSON object; exits 1 if something grew or a persistent pair lost its
connection.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

from monitor.config import Config, parse
from monitor.daemon.app import Monitor
from monitor.embedded import EmbeddedRelay
from monitor.logs import configure

LIMITS = "limits: {messages_per_minute: 60000, connects_per_minute: 100000}"
BASE = """\
relays:
  - {{name: outside, url: "{url}", {limits}}}
{relay}probes:
  - {{name: steady, scenario: steady-messaging, relays: outside, pairs: 5, message_interval: 100ms, timeout: 5s}}
  - {{name: away, scenario: async-delivery, relays: outside, schedule: {{every: 8s}}, delay: 1s, timeout: 2s}}
{probe}"""
RELAY = f"  - {{name: inside, url: embedded, {LIMITS}}}\n"
RELAY_PROBE = "  - {name: inside, scenario: steady-state, relays: inside, connections: 1}\n"
"""The probe that a relay must have."""

PROBE = "  - {name: idle, scenario: steady-state, connections: 3}\n"
PERSISTENT = 10
"""Connections of the persistent pairs."""
WARM_UP = 300
PAUSE = 0.02
"""Seconds between reloads: in the longest of them a new probe connects, in the others it is still connecting."""

MAX_OBJECTS = 0.5
"""Objects that one reload may leak, beyond those that the same time leaves without reloads."""

MAX_KILOBYTES = 4.0
"""The same of resident memory, of which the allocator keeps the peak."""


class Daemon:
    """A monitor and the configuration that it reads next."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.relay = self.probe = ""
        self.monitor = Monitor(self.read(), source=self.read)

    def read(self) -> Config:
        """Return the present configuration."""
        probes = (RELAY_PROBE if self.relay else "") + self.probe
        text = BASE.format(url=self._url, limits=LIMITS, relay=self.relay, probe=probes)
        return parse(text, "bench.yaml", {})

    async def reload(self, number: int) -> float:
        """Reload, and return the milliseconds it took."""
        self.relay = RELAY if number % 8 in {1, 2, 3} else ""
        self.probe = PROBE if number % 8 in {3, 4, 5} else ""
        started = time.perf_counter()
        await self.monitor.reload()
        return (time.perf_counter() - started) * 1000


def resources() -> dict[str, Any]:
    """Count the resources that must not grow."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    return {
        "tasks": len(asyncio.all_tasks()),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "objects": len(gc.get_objects()),
        "resident_mb": int(status.partition("VmRSS:")[2].split()[0]) / 1024,
    }


async def idle_resources(daemon: Daemon, outside: EmbeddedRelay) -> dict[str, Any]:
    """Return to the first configuration, wait until the daemon is idle, and count its resources."""
    await daemon.reload(0)
    await asyncio.sleep(1)
    async with asyncio.timeout(60):
        # Between two runs of the bounded probe, and when no late message is awaited any more.
        background, tasks = daemon.monitor.monitored_relays.background, daemon.monitor.schedule._tasks  # noqa: SLF001
        while background or tasks or outside.connections > PERSISTENT:  # noqa: ASYNC110 - no event signals it
            await asyncio.sleep(0.1)
    return resources() | {"series": daemon.monitor.metrics.render()[0].count(b"\n")}


async def measure(reloads: int) -> dict[str, Any]:
    """Make the reloads, and return what was measured."""
    outside = EmbeddedRelay()
    await outside.start()
    daemon = Daemon(outside.url)
    await daemon.monitor.start()
    while outside.connections < PERSISTENT:  # noqa: ASYNC110 - no event signals it
        await asyncio.sleep(0.05)
    for number in range(WARM_UP):
        await daemon.reload(number)
        await asyncio.sleep(PAUSE)
    before = await idle_resources(daemon, outside)
    await asyncio.sleep(reloads * PAUSE * 1.1)
    undisturbed = await idle_resources(daemon, outside)
    sessions = set(outside._sessions)  # noqa: SLF001 - which are connected, not only how many
    durations = []
    for number in range(reloads):
        durations.append(await daemon.reload(number))
        await asyncio.sleep(PAUSE * (number % 3))
    after = await idle_resources(daemon, outside)
    page = daemon.monitor.metrics.render()[0].decode()
    exchanges = {
        outcome: sum(
            float(line.rpartition(" ")[2])
            for line in page.splitlines()
            if line.startswith("relay_probe_exchanges_total") and 'probe="steady"' in line and f'"{outcome}"' in line
        )
        for outcome in ("ok", "failed", "aborted")
    }
    persistent = len(sessions & set(outside._sessions))  # noqa: SLF001 - as above
    for task in list(daemon.monitor.schedule._tasks):  # noqa: SLF001 - do not wait for an absence to end
        task.cancel()
    await daemon.monitor.stop()
    await outside.stop()
    durations.sort()
    return {
        "reloads": reloads,
        "median_ms": round(durations[len(durations) // 2], 2),
        "p99_ms": round(durations[len(durations) * 99 // 100], 2),
        "before": before,
        "left_alone": undisturbed,
        "after": after,
        "persistent_connections_kept": persistent,
        "exchanges": exchanges,
    }


def main() -> int:
    """Run the benchmark."""
    configure("console", "error")
    found = asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
    print(json.dumps(found, indent=2))
    before, alone, after = found["before"], found["left_alone"], found["after"]
    grown = [name for name in ("tasks", "descriptors", "series") if after[name] > alone[name]]
    for name, goal in (("objects", MAX_OBJECTS), ("resident_mb", MAX_KILOBYTES / 1024)):
        without, with_them = alone[name] - before[name], after[name] - alone[name]
        grown += [name] if with_them > without + goal * found["reloads"] else []
    lost = found["persistent_connections_kept"] < PERSISTENT or found["exchanges"]["failed"] > 0
    print("grew: " + ", ".join(grown) if grown else "nothing grew", file=sys.stderr)
    return int(bool(grown) or lost)


if __name__ == "__main__":
    sys.exit(main())
