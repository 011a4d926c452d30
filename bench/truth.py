"""Injected against measured latency: `python -m bench.truth [--write]`.

Toxiproxy stands between both ends of some standing pairs and the engine, and holds back what the relay sends by D: so
each leg, request and answer, takes D longer. What it really injects is measured apart, by an echo of a few bytes
through the same toxic. Printed are the medians, less those at D = 0, which pass the same proxy; with `--write` they go
into docs/accuracy.md, and a picture beside it.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import structlog
import uvloop

from bench.__main__ import PROGRAM, ROOT, relay
from bench.ours import CONFIG
from bench.pages import write
from monitor.clock import SYSTEM_CLOCK
from monitor.config import parse
from monitor.probes.registry import continuous_probe
from monitor.relays import MonitoredRelays
from monitor.results import Report, Run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOXIPROXY = PROGRAM.with_name("toxiproxy")
MODULE = "github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0"
INJECTED = (0, 5, 20, 100, 300)
PAIRS, INTERVAL, SETTLE = 8, 0.4, 0.1
EXCHANGES = 25
ECHOES = 60
PAGE = ROOT / "docs" / "accuracy.md"
PICTURE = ROOT / "docs" / "img" / "accuracy.svg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Medians at one injected delay, in milliseconds."""

    injected: int
    echo: float
    wire: float
    round_trip: float
    exchanges: int


@asynccontextmanager
async def toxiproxy() -> AsyncIterator[httpx.AsyncClient]:
    """A toxiproxy, built if it is not there; gives its API."""
    if not TOXIPROXY.exists():
        folder = TOXIPROXY.parent / "toxiproxy.new"
        subprocess.run(["env", f"GOBIN={folder}", "CGO_ENABLED=0", "go", "install", MODULE], check=True)
        (folder / "server").replace(TOXIPROXY)
    process = subprocess.Popen(
        [TOXIPROXY, "-host", "127.0.0.1", "-port", "18474"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        async with httpx.AsyncClient(base_url="http://127.0.0.1:18474", trust_env=False) as api:
            for _ in range(100):
                try:
                    await api.get("/version")
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
            yield api
    finally:
        process.terminate()
        process.wait(10)


async def proxied(api: httpx.AsyncClient, upstream: str, delay: int, name: str) -> str:
    """HOST:PORT of a proxy that holds back by `delay` ms what comes from `upstream`."""
    asked = {"name": name, "listen": "127.0.0.1:0", "upstream": upstream, "enabled": True}
    made = (await api.post("/proxies", json=asked)).raise_for_status().json()
    if delay:
        toxic = {"type": "latency", "stream": "downstream", "attributes": {"latency": delay, "jitter": 0}}
        (await api.post(f"/proxies/{name}/toxics", json=toxic)).raise_for_status()
    return str(made["listen"])


async def echo(api: httpx.AsyncClient, delay: int) -> float:
    """The median time of an echo through the same toxic, in ms: what is really injected, and a little of its own."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(64):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    host, _, through = (await proxied(api, f"127.0.0.1:{port}", delay, f"echo{delay}")).partition(":")
    reader, writer = await asyncio.open_connection(host, int(through))
    times = []
    for _ in range(ECHOES if delay < 100 else ECHOES // 3):
        sent = time.monotonic()
        writer.write(b"x" * 32)
        await reader.readexactly(32)
        times.append((time.monotonic() - sent) * 1000)
        await asyncio.sleep(0.01)
    writer.close()
    server.close()
    return statistics.median(times)


async def reading(api: httpx.AsyncClient, url: str, delay: int) -> Reading:
    """Exchanges of some standing pairs through a delay."""
    host = url.removeprefix("ws://").partition("/")
    through = await proxied(api, host[0], delay, f"relay{delay}")
    text = CONFIG.format(url=f"ws://{through}/{host[2]}", pairs=PAIRS, interval=INTERVAL * 1000, settle=SETTLE * 1000)
    config = parse(text, "truth", {})
    wires: list[float] = []
    trips: list[float] = []

    def publish(report: Run | Report, _: object) -> None:
        for item in report.exchanges if isinstance(report, Run) else ():
            if item.round_trip is not None:
                trips.append(item.round_trip * 1000)
                wires.extend(wire * 1000 for wire in (item.wire_request, item.wire_response) if wire is not None)

    monitored_relays = MonitoredRelays(config, SYSTEM_CLOCK, publish)
    await monitored_relays.start(lambda _name, _up: None)
    probe = config.probes[0]
    context, persistent = monitored_relays.context("bench", probe), monitored_relays.relays["bench"].verdict.pairs
    task = asyncio.ensure_future(continuous_probe(probe.scenario).serve(context, persistent))
    async with asyncio.timeout(120):
        while len(trips) < PAIRS * EXCHANGES:  # noqa: ASYNC110 - the probe tells nobody but `publish`
            await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.wait([task])
    await monitored_relays.stop()
    return Reading(
        injected=delay,
        echo=await echo(api, delay),
        wire=statistics.median(wires),
        round_trip=statistics.median(trips),
        exchanges=len(trips),
    )


def table(readings: list[Reading]) -> list[str]:
    """The readings less the first, as Markdown."""
    base = readings[0]
    lines = [
        "| injected, each leg | echo through the same toxic | `wire` p50 | `round_trip` p50, two legs | error a leg |",
        "|---|---|---|---|---|",
        f"| 0 ms (baseline) | {base.echo:.2f} ms | {base.wire:.2f} ms | {base.round_trip:.2f} ms | |",
    ]
    for item in readings[1:]:
        wire, trip = item.wire - base.wire, item.round_trip - base.round_trip
        worst = max((wire - item.injected, trip / 2 - item.injected), key=abs)
        lines.append(
            f"| {item.injected} ms | + {item.echo - base.echo:.2f} ms | + {wire:.2f} ms | + {trip:.2f} ms "
            f"| {worst:+.2f} ms ({worst / item.injected:+.1%}) |"
        )
    return lines


def draw(readings: list[Reading]) -> None:
    """Injected against measured, and the error below."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to import

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "relay-monitor"
    from matplotlib import pyplot as plt  # noqa: PLC0415

    base, rest = readings[0], readings[1:]
    injected = [item.injected for item in rest]
    figure, (above, below) = plt.subplots(2, 1, figsize=(7, 6), height_ratios=(2, 1), layout="constrained", sharex=True)
    above.plot([4, 400], [4, 400], color="#999999", linewidth=1, label="injected = measured")
    above.plot(injected, [item.wire - base.wire for item in rest], "o", label="wire")
    above.plot(injected, [(item.round_trip - base.round_trip) / 2 for item in rest], "x", label="round trip / 2")
    above.set(xscale="log", yscale="log", ylabel="measured more than at 0, p50 (ms)")
    above.legend()
    below.axhspan(-1, 1, color="#dddddd", label="± 1 ms")
    below.plot(injected, [item.wire - base.wire - item.injected for item in rest], "o")
    below.plot(injected, [(item.round_trip - base.round_trip) / 2 - item.injected for item in rest], "x")
    below.set(xlabel="injected, each leg (ms)", ylabel="error (ms)")
    below.set_xticks(injected, [str(item) for item in injected])
    below.minorticks_off()
    below.legend()
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, metadata={"Date": None})


async def main() -> None:
    """Measure, print, and with `--write` write."""
    readings = []
    with relay() as url:
        async with toxiproxy() as api:
            for delay in INJECTED:
                readings.append(await reading(api, url, delay))
                print(readings[-1], file=sys.stderr, flush=True)
    lines = table(readings)
    print("\n".join(lines))
    if "--write" in sys.argv[1:]:
        write(PAGE, "measured", lines)
        draw(readings)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    uvloop.run(main())
