"""Measures every figure and prints it beside its goal: `python -m bench [--quick]`. Exit 0 if all could be measured.

Programs that are compared are measured in the same round, several times; medians are printed, those of ratios within a
round, since the speed of a shared machine changes. Latencies are measured one after another, so that no program waits
for another one; CPU time at the same time, since it does not include waiting.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from bench.programs import ENVIRON, measured, relay, side_by_side, slopes
from monitor.clock import SYSTEM_CLOCK
from tests.counterparts import ROOT

if TYPE_CHECKING:
    from monitor.clock import Clock

PORT = 19464
PAUSE = 0.47
"""Seconds between two exchanges, such that no answer is sent in the millisecond of another pair's request.

With 0.5 all are, and timers count milliseconds: the smaller program, which moves the two apart less, would wake up once
for both.
"""


def show(figure: str, value: str, goal: str, *, good: bool) -> None:
    """Print one line of the table."""
    print(f"{figure:<58} {value:>22}   goal {goal:<9} {'met' if good else 'MISSED'}", flush=True)


def wire(url: str, rounds: int) -> None:
    """Compare the wire time of one pair with that of two bare sockets, in alternating blocks."""
    pair: list[float] = []
    sockets: list[float] = []
    for _ in range(rounds):
        pair.append(statistics.median(measured("persistent_pairs", url, 1, 0.1, 0, 5)["wires"]))
        sockets.append(statistics.median(measured("bare_sockets", url, 50, 0.1)))
    one, other, ratio = side_by_side(pair, sockets)
    value = f"{one * 1e6:.0f} / {other * 1e6:.0f} µs: {ratio:.2f}×"
    show("wire p50, one pair / bare sockets", value, "≤ 1.3×", good=ratio <= 1.3)


def cpu(url: str, rounds: int, window: float) -> None:
    """Compare the CPU an exchange costs, from 100 to 300 pairs, with the minimal client's; show the memory of 100."""
    arguments = (1, PAUSE, window)
    found = slopes(url, {"persistent_pairs": arguments, "minimal_client": arguments}, rounds)
    pairs, minimal, ratio = side_by_side(*([slope for slope, _ in results] for results in found.values()))
    value = f"{pairs * 1e3:.2f} / {minimal * 1e3:.2f} ms: {ratio:.2f}×"
    show("CPU an exchange, 100 to 300 pairs / minimal client", value, "≤ 1.5×", good=ratio <= 1.5)
    memory = statistics.median(few["rss"] for _, few in found["persistent_pairs"])
    show("resident memory, 100 pairs", f"{memory:.1f} MB", "≤ 85 MB", good=memory <= 85)


def daemon(window: float) -> None:
    """Measure how soon the daemon with the shipped configuration has connected, and what it costs then."""
    clock = SYSTEM_CLOCK
    environ = ENVIRON | {"RELAY_MONITOR_LISTEN": f"127.0.0.1:{PORT}"}
    with tempfile.TemporaryFile() as log:
        started = clock.monotonic()
        command = [sys.executable, "-m", "monitor", "run", "--config", str(ROOT / "config.yaml")]
        process = subprocess.Popen(command, env=environ, stderr=log)
        try:
            connected = _seconds_until(r'handshakes_total\{[^}]*outcome="ok",probe="steady"[^}]*\} 2', started, clock)
            first = _seconds_until(r'exchanges_total\{[^}]*outcome="ok",probe="steady"[^}]*\} [1-9]', started, clock)
            before = _cpu_seconds(process.pid)
            for _ in range(4):
                time.sleep(window / 4)
                _scrape()
            share = (_cpu_seconds(process.pid) - before) / window
            memory = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * 4096 / 1e6
        finally:
            process.terminate()
            process.wait(15)
    show("daemon: both pairs connected after", f"{connected:.2f} s", "≤ 2 s", good=connected <= 2)
    show("daemon: first exchange on /metrics after", f"{first:.2f} s", "≤ 7 s", good=first <= 7)
    show("daemon: share of a core", f"{share:.2%}", "≤ 1.5 %", good=share <= 0.015)
    show("daemon: resident memory", f"{memory:.1f} MB", "≤ 80 MB", good=memory <= 80)


def _seconds_until(pattern: str, started: float, clock: Clock) -> float:
    """Return the seconds until a line of /metrics matches."""
    while (after := clock.monotonic() - started) < 30:
        try:
            if re.search(pattern, _scrape()):
                return clock.monotonic() - started
        except OSError:
            pass
        time.sleep(0.05)
    raise SystemExit(f"the daemon's metrics do not match {pattern} after {after:.0f} s")


def _scrape() -> str:
    """Return the daemon's metrics. Raises `OSError`."""
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=1) as response:
        page: str = response.read().decode()
    return page


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round of each")
    quick = parser.parse_args().quick
    with relay() as url:
        wire(url, 1 if quick else 4)
        cpu(url, 1 if quick else 11, 10)
    daemon(10 if quick else 60)


if __name__ == "__main__":
    main()
