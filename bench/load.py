"""What a load test costs: CPU an exchange and memory at several sizes, and beside the minimal client.

`python -m bench.load` starts a relay and prints the table; `python -m bench.load URL PAIRS INTERVAL WINDOW CRYPTO`
plays steady pairs and prints one window's figures as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop

from bench.__main__ import measured, relay, side_by_side, slopes
from bench.ours import resident
from monitor.clock import SYSTEM_CLOCK
from monitor.load.host import raise_file_limit
from monitor.load.plan import EXCHANGE_PAUSE, SCAN_DELAY, Plan
from monitor.load.scenario_runner import ScenarioRunner
from monitor.scenarios import Scenario

SIZES = (100, 300, 1000)
WINDOW = 15.0
ROUNDS = 11
SHORTER = 10.0
"""Seconds of a window where two programs are compared: many short rounds tell more than a few long ones."""
FOREVER = 86_400.0


def ramp_of(pairs: int, cycle: float) -> float:
    """Return a ramp-up in seconds with which no answer is sent in the millisecond of another pair's request.

    The reason is the one of `bench.__main__.SETTLE`. With the load test's own pause a ramp of one cycle would not do.
    """
    return max(1.012 * cycle, pairs / 120)


async def window_of(url: str, pairs: int, interval: float, window: float, crypto: str) -> None:
    """Play steady pairs, and print what a window cost once all of them stand."""
    cycle = EXCHANGE_PAUSE + 2 * interval
    plan = Plan(
        target=url,
        scenario=Scenario.STEADY_MESSAGING,
        connection_pairs=pairs,
        duration=FOREVER,
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
    """Each size with real and mock encryption."""
    print(f"{'pairs':>6} {'crypto':>7} {'ms CPU an exchange':>20} {'share of a core':>16} {'RSS MB':>8} {'P99 ms':>8}")
    for pairs in SIZES:
        for crypto in ("real", "mock"):
            found = measured("load", url, pairs, 1 if pairs < SIZES[-1] else 5, WINDOW, crypto)
            each = found["cpu"] / max(1, found["exchanges"]) * 1e3
            row = f"{pairs:>6} {crypto:>7} {each:>20.2f} {found['cpu'] / WINDOW:>16.1%}"
            print(f"{row} {found['rss']:>8.1f} {found['p99']:>8.1f}", flush=True)


def slope(url: str) -> None:
    """The slope of CPU over exchanges from 100 to 300 pairs, beside the minimal client's, at the same time."""
    ramp = ramp_of(300, EXCHANGE_PAUSE + 2)  # and of 100, which is the same
    found = slopes(url, {"load": (1, SHORTER, "real"), "minimal": (1, EXCHANGE_PAUSE, SHORTER, ramp)}, ROUNDS)
    ours, minimal, ratio = side_by_side(*([each for each, _ in results] for results in found.values()))
    print(
        f"slope from 100 to 300 pairs, medians of {ROUNDS} rounds: {ours * 1e3:.2f} ms CPU an exchange, "
        f"minimal client {minimal * 1e3:.2f} ms; the ratio within a round {ratio:.2f}× (goal ≤ 1.5×)"
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        uvloop.run(window_of(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]), sys.argv[5]))
    else:
        with relay() as place:
            table(place)
            slope(place)
