"""A recording: a folder with the data of a Prometheus that scraped the monitors of several worlds.

It is made once, in minutes; dashboards are drawn from it as often as they change.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Self

import yaml

from tests import counterparts
from tests.browser.relays import Relays
from tests.cluster.cluster import Cluster
from tests.cluster.runner import toxiproxies
from tests.dashboards.backfill import opened
from tests.dashboards.worlds import BEFORE, CENTRIFUGO, FAULT_SECONDS, REAL
from tests.e2e.monitoring import Monitoring
from tests.e2e.programs import PROMETHEUS, Program, find
from tests.relay_settings import RelaySettings
from tests.relays import ROOT
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.cluster.cluster import Node
    from tests.dashboards.worlds import World

OUTAGE: Final = 60.0
"""Seconds for which a node of a cluster does not run."""

SCRAPE: Final = 5.0
"""Seconds between two scrapes and two evaluations."""

LENGTH: Final = 450.0
"""Seconds that pictures show."""

LOAD: Final = "load"
"""The name of the recording of a load test."""

LOAD_FLAGS: Final = (
    *("--scenario", "steady-messaging", "--connection-pairs", "40", "--ramp-up", "30", "--duration", "600"),
    *("--message-interval", "1", "--timeout", "3"),
)
LOAD_FAULT: Final = "drop:channel=session,probability=0.02"
LOAD_SCRAPE: Final = 2.0
LOAD_SECONDS: Final = 100.0

SOURCE: Final = (
    "real monitors on relays with real faults, scraped every 5 s, after 24 hours without failures that were written "
    "in advance"
)
LOAD_SOURCE: Final = "a real load test of an embedded relay, scraped every 2 s"

MANIFEST: Final = "recording.json"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One world of a recording: the relay whose dashboard is drawn, and the text of its configuration."""

    name: str
    caption: str
    detail: str
    config: str


@dataclass(frozen=True, slots=True)
class Recording:
    """What was recorded, in which folder, and until when (seconds since the epoch).

    `scrape` is the interval of scrapes, `length` the time that pictures show; both are seconds. `source` says in words
    what was recorded.
    """

    folder: Path
    until: float
    scrape: float
    length: float
    source: str
    worlds: tuple[Recorded, ...]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the recording of a folder. Raises `OSError`."""
        read = json.loads((folder / MANIFEST).read_text("utf-8"))
        worlds = tuple(Recorded(**world) for world in read.pop("worlds"))
        return cls(folder, **read, worlds=worlds)

    def save(self) -> None:
        """Write what was recorded into the folder."""
        worlds = [asdict(world) for world in self.worlds]
        written = {"until": self.until, "scrape": self.scrape, "length": self.length, "source": self.source}
        (self.folder / MANIFEST).write_text(json.dumps(written | {"worlds": worlds}, indent=1), "utf-8")

    def opened(self, *, exemplars: bool = True) -> Program:
        """Return a Prometheus on the data that scrapes nothing and is not started yet."""
        return opened(self.folder, *(("--enable-feature=exemplar-storage",) if exemplars else ()))


async def record_load(folder: Path) -> Recording:
    """Record a load test of a relay that loses messages, while it runs."""
    await asyncio.to_thread(folder.mkdir, parents=True)
    ports = {part: closed_port() for part in ("load", "prometheus")}
    listen = {part: f"127.0.0.1:{port}" for part, port in ports.items()}
    scraped = {"job_name": "load", "static_configs": [{"targets": [listen["load"]]}]}
    config = {"global": {"scrape_interval": f"{LOAD_SCRAPE:.0f}s"}, "scrape_configs": [scraped]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
    async with AsyncExitStack() as stack:
        node = stack.enter_context(Relays()).add()
        programs = [
            Program(
                *(find(PROMETHEUS), f"--config.file={folder / 'prometheus.yml'}"),
                *(f"--storage.tsdb.path={folder / 'prometheus'}", f"--web.listen-address={listen['prometheus']}"),
                ready=f"http://{listen['prometheus']}/-/ready",
                log=folder / "prometheus.log",
            ),
            Program(
                *(sys.executable, "-m", "monitor", "load", "--target", node.url, *LOAD_FLAGS),
                *("--metrics", listen["load"], "--output", folder / "results.json"),
                ready=f"http://{listen['load']}/metrics",
                log=folder / "load.log",
            ),
        ]
        for program in programs:
            await stack.enter_async_context(program)
        await asyncio.sleep(LOAD_SECONDS / 2)
        node.inject(LOAD_FAULT)
        await asyncio.sleep(LOAD_SECONDS / 2)
        until = time.time()
    text = await asyncio.to_thread((ROOT / "config.yaml").read_text, "utf-8")
    world = Recorded(LOAD, "a load test of 40 pairs at a relay that loses some messages", "", text)
    recording = Recording(folder, until, LOAD_SCRAPE, LOAD_SECONDS + 10, LOAD_SOURCE, (world,))
    recording.save()
    return recording


async def _cluster(folder: Path, stack: AsyncExitStack) -> Cluster:
    """Start a cluster in a new folder."""
    await asyncio.to_thread(folder.mkdir)
    program = await asyncio.to_thread(counterparts.CENTRIFUGO.obtain)
    toxiproxy = await stack.enter_async_context(toxiproxies(folder))
    return await stack.enter_async_context(Cluster(folder, program, toxiproxy, RelaySettings()))


async def _restart(node: Node) -> None:
    """Kill a node, and start it again a minute later."""
    await node.kill()
    await asyncio.sleep(OUTAGE)
    await node.start()


async def record(folder: Path, worlds: Sequence[World] = REAL) -> Recording:
    """Record these worlds."""
    await asyncio.to_thread(folder.mkdir, parents=True)
    async with AsyncExitStack() as stack:
        relays = stack.enter_context(Relays())
        nodes = {world.name: world.start(relays) for world in worlds}
        clusters = {world.name: await _cluster(folder / world.name, stack) for world in worlds if world.cluster}
        configs = [world.config(nodes[world.name], clusters.get(world.name)) for world in worlds]
        scraped = [node.address for cluster in clusters.values() for node in cluster.nodes]
        jobs = [{"job_name": CENTRIFUGO, "static_configs": [{"targets": scraped}]}]
        monitoring = Monitoring(folder, configs, interval=f"{SCRAPE:.0f}s", jobs=jobs)
        await stack.enter_async_context(monitoring)
        await asyncio.sleep(BEFORE)
        for world in worlds:
            world.cause(nodes[world.name])
        await asyncio.gather(
            asyncio.sleep(FAULT_SECONDS), *(_restart(cluster.nodes[-1]) for cluster in clusters.values())
        )
        until = time.time()
        texts = {monitor.install: monitor.file.read_text("utf-8") for monitor in monitoring.monitors}
    recorded = tuple(Recorded(world.name, world.caption, world.detail, texts[world.name]) for world in worlds)
    recording = Recording(folder, until, SCRAPE, LENGTH, SOURCE, recorded)
    recording.save()
    return recording
