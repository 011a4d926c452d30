"""A recording: a folder with the data of a Prometheus that scraped the monitors of several worlds.

It is made once, in minutes; dashboards are drawn from it as often as they change.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from contextlib import AsyncExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Self

from prometheus_client import start_http_server

from monitor.config import parse
from tests.browser.relays import Relays
from tests.dashboards.backfill import opened
from tests.dashboards.simulated import Fault, SimulatedMonitor
from tests.dashboards.worlds import BEFORE, FAULT_SECONDS, REAL, SIMULATED
from tests.e2e.monitoring import Monitoring, Unwatched
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.dashboards.worlds import SimulatedWorld, World
    from tests.e2e.programs import Program

SCRAPE: Final = 5.0
"""Seconds between two scrapes and two evaluations."""

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
    """What was recorded, in which folder, and until when (seconds since the epoch)."""

    folder: Path
    end: float
    worlds: tuple[Recorded, ...]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the recording of a folder. Raises `OSError`."""
        read = json.loads((folder / MANIFEST).read_text("utf-8"))
        return cls(folder, read["end"], tuple(Recorded(**world) for world in read["worlds"]))

    def save(self) -> None:
        """Write what was recorded into the folder."""
        worlds = [asdict(world) for world in self.worlds]
        (self.folder / MANIFEST).write_text(json.dumps({"end": self.end, "worlds": worlds}, indent=1), "utf-8")

    def opened(self, *, exemplars: bool = True) -> Program:
        """Return a Prometheus on the data that scrapes nothing and is not started yet."""
        return opened(self.folder, *(("--enable-feature=exemplar-storage",) if exemplars else ()))


def _simulate(worlds: Sequence[SimulatedWorld], ports: Sequence[int], start: float) -> None:
    """Serve the monitors of the simulated worlds, one at each port, for as long as the process lives."""
    monitors = []
    free = iter(ports)
    for world in worlds:
        faults = {name: Fault(start + BEFORE, start + 1e9, share) for name, share in world.shares}
        for location in world.locations:
            simulated = SimulatedMonitor(parse(json.dumps(world.config(location)), world.name, {}), start, faults)
            start_http_server(next(free), "127.0.0.1", registry=simulated.metrics.registry)
            monitors.append(simulated)
    while True:
        for simulated in monitors:
            simulated.advance(time.time())
        time.sleep(1)


@contextmanager
def simulation(worlds: Sequence[SimulatedWorld]) -> Iterator[list[Unwatched]]:
    """Run the monitors of the simulated worlds in a process of their own, and yield their addresses."""
    ports = [closed_port() for world in worlds for _ in world.locations]
    process = multiprocessing.get_context("spawn").Process(
        target=_simulate, args=(worlds, ports, time.time()), daemon=True
    )
    process.start()
    free = iter(ports)
    try:
        yield [
            Unwatched(world.config(world.locations[0]), [f"127.0.0.1:{next(free)}" for _ in world.locations])
            for world in worlds
        ]
    finally:
        process.terminate()
        process.join()


async def record(
    folder: Path,
    real: Sequence[World] = REAL,
    simulated: Sequence[SimulatedWorld] = SIMULATED,
    fault_seconds: float = FAULT_SECONDS,
) -> Recording:
    """Record these worlds, with so many seconds of their faults."""
    await asyncio.to_thread(folder.mkdir, parents=True)
    async with AsyncExitStack() as stack:
        relays = stack.enter_context(Relays())
        nodes = {world.name: world.start(relays) for world in real}
        others = stack.enter_context(simulation(simulated))
        configs = {world.name: world.config(nodes[world.name]) for world in real}
        monitoring = await stack.enter_async_context(
            Monitoring(folder, list(configs.values()), interval=f"{SCRAPE:.0f}s", others=others)
        )
        await asyncio.sleep(BEFORE)
        for world in real:
            world.cause(nodes[world.name])
        await asyncio.sleep(fault_seconds)
        end = time.time()
        texts = {
            **{monitor.install: monitor.file.read_text("utf-8") for monitor in monitoring.monitors},
            **{str(other.config["install"]): json.dumps(other.config) for other in others},
        }
    described = [(world.name, world.caption, world.detail) for world in real]
    described += [(world.name, world.caption, world.detail) for world in simulated]
    worlds = tuple(Recorded(*item, config=texts[item[0]]) for item in described)
    recording = Recording(folder, end, worlds)
    recording.save()
    return recording
