"""Measures what a load test costs: CPU an exchange and memory at several sizes, also beside the minimal client.

`python -m bench.load` starts a relay and prints the table; `python -m bench.load URL PAIRS INTERVAL WINDOW CRYPTO` runs
*steady-messaging* and prints the figures of one window as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop

from bench.persistent_pairs import resident
from bench.programs import measured, relay, side_by_side, slopes
from monitor.clock import SYSTEM_CLOCK
from monitor.load.host import raise_file_limit
from monitor.load.plan import EXCHANGE_PAUSE, SCAN_DELAY, Plan
from monitor.load.scenario_runner import ScenarioRunner
from monitor.scenarios import Scenario

SIZES = (100, 300, 1000)
WINDOW = 15.0
ROUNDS = 11
ROUND_WINDOW = 10.0
"""Seconds of a window in which two programs are compared: many short rounds vary less than a few long ones."""
TEST_DURATION = 86_400.0
"""Seconds; the test is stopped after the window."""


def ramp_of(pairs: int, cycle: float) -> float:
    """Return a ramp-up in seconds with which no answer is sent in the millisecond of another pair's request.

    The reason is the one of `bench.__main__.PAUSE`. With the load test's own pause a ramp of one cycle would not do.
    """
    return max(1.012 * cycle, pairs / 120)


async def window_of(url: str, pairs: int, interval: float, window: float, crypto: str) -> None:
    """Run persistent pairs, and print what a window cost after all of them have connected."""
    cycle = EXCHANGE_PAUSE + 2 * interval
    plan = Plan(
        target=url,
        scenario=Scenario.STEADY_MESSAGING,
        connection_pairs=pairs,
        duration=TEST_DURATION,
        ramp_up=ramp_of(pairs, cycle),
        message_interval=interval,
        crypto=crypto,
    )
    raise_file_limit(plan.sockets)
    runner = ScenarioRunner(plan, SYSTEM_CLOCK)
    stop = asyncio.Event()
    task = asyncio.ensure_future(runner.run(stop))
    await asyncio.sleep(plan.ramp_up + SCAN_DELAY + cycle)
    cpu, exchanges = time.process_time(), runner.statistics.totals.received
    await asyncio.sleep(window)
    cpu = time.process_time() - cpu
    totals = runner.statistics.totals
    figures = {"cpu": cpu, "exchanges": totals.received - exchanges, "failed": totals.unanswered, "rss": resident()}
    print(json.dumps(figures | {"p99": totals.sketches["messages"].quantile(0.99) * 1e3}), flush=True)
    stop.set()
    await task


def table(url: str) -> None:
    """Print each size with real and mock encryption."""
    print(f"{'pairs':>6} {'crypto':>7} {'ms CPU an exchange':>20} {'share of a core':>16} {'RSS MB':>8} {'P99 ms':>8}")
    for pairs in SIZES:
        for crypto in ("real", "mock"):
            found = measured("load", url, pairs, 1 if pairs < SIZES[-1] else 5, WINDOW, crypto)
            each = found["cpu"] / max(1, found["exchanges"]) * 1e3
            row = f"{pairs:>6} {crypto:>7} {each:>20.2f} {found['cpu'] / WINDOW:>16.1%}"
            print(f"{row} {found['rss']:>8.1f} {found['p99']:>8.1f}", flush=True)


def slope(url: str) -> None:
    """Print the slope of CPU over exchanges from 100 to 300 pairs, and the minimal client's at the same time."""
    ramp = ramp_of(300, EXCHANGE_PAUSE + 2)  # the same as that of 100
    found = slopes(
        url, {"load": (1, ROUND_WINDOW, "real"), "minimal_client": (1, EXCHANGE_PAUSE, ROUND_WINDOW, ramp)}, ROUNDS
    )
    monitor, minimal, ratio = side_by_side(*([each for each, _ in results] for results in found.values()))
    print(
        f"slope from 100 to 300 pairs, medians of {ROUNDS} rounds: {monitor * 1e3:.2f} ms CPU an exchange, "
        f"minimal client {minimal * 1e3:.2f} ms; the ratio within a round {ratio:.2f}× (goal ≤ 1.5×)"
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        uvloop.run(window_of(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]), sys.argv[5]))
    else:
        with relay() as address:
            table(address)
            slope(address)
