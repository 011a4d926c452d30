"""What each measure for performance saves: `python -m bench.measures`. Takes ten minutes, and little of the machine.

In each round the monitor runs as it is and with each measure left out, all at the same time, with 100 pairs. The figure
of a measure is the median over the rounds: CPU seconds an exchange without it / with all of them.

The switch interval is measured over a loopback socket, while a thread renders the metrics of ten relays; the pause of a
full garbage collection in a monitor with 100 pairs.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import uvloop

import monitor
from bench import persistent_pairs
from bench.programs import log_warnings, measured, relay
from monitor.config import parse
from monitor.daemon.app import Monitor
from monitor.deadlines import TIMER_RESOLUTION, Deadlines
from monitor.metrics import Metrics
from monitor.relays import freeze_gc
from monitor.web.server import SWITCH_INTERVAL

if TYPE_CHECKING:
    from monitor.deadlines import Waiter
    from monitor.results import Report, Run

ROUNDS: Final = 11
SETTINGS: Final = (100, 1, 0.47, 40)
"""Pairs, message interval, pause before each exchange, and window; seconds."""

MEASURES: Final = ("deferred counting", "one timer for all deadlines")
HUNDRED_PAIRS: Final = """
relays: [{name: bench, url: embedded, limits: {connects_per_minute: 100000, messages_per_minute: 1000000}}]
probes: [{name: steady, scenario: steady-messaging, pairs: 100, message_interval: 2s, settle: 100ms, max_age: 1h}]
"""
TEN_RELAYS: Final = "relays:\n{relays}\nprobes:\n  - {{name: steady, scenario: steady-messaging}}\n".format(
    relays="\n".join(f"  - {{name: relay-{number}, url: embedded}}" for number in range(10))
)


def leave_out(measure: str) -> None:
    """Run this process without a measure."""
    if measure == "deferred counting":
        queue = Metrics.publish

        def count(self: Metrics, report: Run | Report) -> None:
            queue(self, report)
            self.flush()

        Metrics.publish = count  # type: ignore[method-assign]
    elif measure == "one timer for all deadlines":
        timers: dict[Waiter, asyncio.TimerHandle] = {}

        def add(self: Deadlines, due: float, waiter: Waiter) -> None:
            if (timer := timers.pop(waiter, None)) is not None:
                timer.cancel()
            delay = max(TIMER_RESOLUTION, due - time.monotonic())
            timers[waiter] = asyncio.get_running_loop().call_later(delay, check, self, waiter)

        def check(self: Deadlines, waiter: Waiter) -> None:
            del timers[waiter]
            waiter.overdue()
            if (due := waiter.due()) is not None:
                add(self, due, waiter)

        Deadlines.add = add  # type: ignore[method-assign]


async def loopback(interval: float) -> float:
    """Return the P90 of the milliseconds that a byte takes over loopback during a scrape, at a switch interval."""
    metrics = Metrics(parse(TEN_RELAYS, "bench", {}), version=monitor.__version__)
    stopped = threading.Event()

    def render() -> None:
        while not stopped.is_set():
            metrics.render()

    loop = asyncio.get_running_loop()
    before = sys.getswitchinterval()
    sender, receiver = socket.socketpair()
    found = []
    with sender, receiver, ThreadPoolExecutor(1) as pool:
        sender.settimeout(0)
        receiver.settimeout(0)
        sys.setswitchinterval(interval)
        rendering = pool.submit(render)
        for _ in range(300):
            await asyncio.sleep(0.005)
            started = time.perf_counter()
            await loop.sock_sendall(sender, b"x")
            await loop.sock_recv(receiver, 1)
            found.append(1000 * (time.perf_counter() - started))
        stopped.set()
        rendering.result()
        sys.setswitchinterval(before)
    return statistics.quantiles(found, n=10)[-1]


async def collection_pauses() -> tuple[float, float]:
    """Return the median milliseconds of a full garbage collection with 100 pairs, without and with `freeze_gc`."""

    def pause() -> float:
        started = time.perf_counter()
        gc.collect()
        return 1000 * (time.perf_counter() - started)

    daemon = Monitor(parse(HUNDRED_PAIRS, "bench", {}))
    await daemon.start()
    try:
        await asyncio.sleep(10)  # the pairs are made and exchange
        gc.unfreeze()
        pause()
        without = statistics.median(pause() for _ in range(9))
        freeze_gc()
        await asyncio.sleep(2)
        return without, statistics.median(pause() for _ in range(9))
    finally:
        await daemon.stop()


def main() -> None:
    """Measure each, and print what leaving it out costs."""
    found: dict[str, list[float]] = {"": [], **{measure: [] for measure in MEASURES}}
    with relay() as url, ThreadPoolExecutor(len(found)) as pool:
        for _ in range(ROUNDS):
            running = {measure: pool.submit(measured, "measures", measure, url, *SETTINGS) for measure in found}
            for measure, program in running.items():
                result = program.result()
                found[measure].append(result["cpu"] / result["exchanges"])
    for measure in MEASURES:
        ratio = statistics.median(one / every for one, every in zip(found[measure], found[""], strict=True))
        print(f"without {measure}: {100 * (ratio - 1):+.0f} % CPU an exchange")
    for interval in (sys.getswitchinterval(), SWITCH_INTERVAL):
        print(f"switch interval {1000 * interval:g} ms: P90 over loopback {uvloop.run(loopback(interval)):.1f} ms")
    without, frozen = uvloop.run(collection_pauses())
    print(f"full garbage collection, 100 pairs: {without:.1f} ms without freeze_gc, {frozen:.1f} ms with it")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        log_warnings()
        leave_out(sys.argv[1])
        uvloop.run(persistent_pairs.main(sys.argv[2], int(sys.argv[3]), *map(float, sys.argv[4:7])))
    else:
        main()
