"""Compares injected with measured latency: `python -m bench.accuracy [--write]`.

Toxiproxy delays what the engine sends to both peers of some persistent pairs by D, so that each leg, request and
answer, takes D longer. An echo of a few bytes through the same toxic measures what is really injected. Prints the
medians less those at D = 0, which pass the same proxy; `--write` writes them and a chart to docs/accuracy.md.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
import uvloop

from bench.markdown import write
from bench.persistent_pairs import CONFIG
from bench.programs import relay
from bench.toxiproxy import proxied, toxiproxy
from monitor.clock import SYSTEM_CLOCK
from monitor.config import parse
from monitor.probes.registry import continuous_probe
from monitor.relays import MonitoredRelays
from monitor.results import Report, Run
from tests.counterparts import ROOT

if TYPE_CHECKING:
    import httpx

INJECTED = (0, 5, 20, 100, 300)
"""Delays in milliseconds; the first is the baseline."""

PAIRS, INTERVAL, PAUSE = 8, 0.4, 0.1
EXCHANGES = 25
ECHOES = 60
PAGE = ROOT / "docs" / "accuracy.md"
CHART = ROOT / "docs" / "img" / "accuracy.svg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Medians at one injected delay, in milliseconds."""

    injected: int
    echo: float
    wire: float
    round_trip: float
    exchanges: int


async def echo(api: httpx.AsyncClient, delay: int) -> float:
    """Return the median time in ms of an echo through the same toxic: the injected delay and a small overhead."""

    async def send_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(64):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(send_back, "127.0.0.1", 0)
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
    """Measure exchanges of some persistent pairs through a delay."""
    host = url.removeprefix("ws://").partition("/")
    through = await proxied(api, host[0], delay, f"relay{delay}")
    text = CONFIG.format(url=f"ws://{through}/{host[2]}", pairs=PAIRS, interval=INTERVAL * 1000, settle=PAUSE * 1000)
    config = parse(text, "truth", {})
    wires: list[float] = []
    trips: list[float] = []

    def publish(report: Run | Report, _: object) -> None:
        for item in report.exchanges if isinstance(report, Run) else ():
            if item.round_trip is not None:
                trips.append(item.round_trip * 1000)
                wires.extend(wire * 1000 for wire in (item.wire_request, item.wire_response) if wire is not None)

    monitored_relays = MonitoredRelays(config, SYSTEM_CLOCK, publish)
    await monitored_relays.start(lambda _: None)
    probe = config.probes[0]
    context, persistent = monitored_relays.context("bench", probe), monitored_relays.relays["bench"].verdict.pairs
    task = asyncio.ensure_future(continuous_probe(probe.scenario).serve(context, persistent))
    async with asyncio.timeout(120):
        while len(trips) < PAIRS * EXCHANGES:  # noqa: ASYNC110 - no event signals it
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
    """Return the readings less the first as a Markdown table."""
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
    """Draw measured against injected latency, and the error below."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to import

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "relay-monitor"
    from matplotlib import pyplot as plt  # noqa: PLC0415

    base, others = readings[0], readings[1:]
    injected = [item.injected for item in others]
    figure, (above, below) = plt.subplots(2, 1, figsize=(7, 6), height_ratios=(2, 1), layout="constrained", sharex=True)
    above.plot([4, 400], [4, 400], color="#999999", linewidth=1, label="injected = measured")
    above.plot(injected, [item.wire - base.wire for item in others], "o", label="wire")
    above.plot(injected, [(item.round_trip - base.round_trip) / 2 for item in others], "x", label="round trip / 2")
    above.set(xscale="log", yscale="log", ylabel="measured, less the baseline, p50 (ms)")
    above.legend()
    below.axhspan(-1, 1, color="#dddddd", label="± 1 ms")
    below.plot(injected, [item.wire - base.wire - item.injected for item in others], "o")
    below.plot(injected, [(item.round_trip - base.round_trip) / 2 - item.injected for item in others], "x")
    below.set(xlabel="injected, each leg (ms)", ylabel="error (ms)")
    below.set_xticks(injected, [str(item) for item in injected])
    below.minorticks_off()
    below.legend()
    CHART.parent.mkdir(exist_ok=True)
    figure.savefig(CHART, metadata={"Date": None})


async def main() -> None:
    """Measure and print; with `--write` also write the page."""
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
