"""`python -m bench [--quick]`: every figure, beside its goal. Exit 0 when everything could be measured.

What is compared is measured in the same round, several times over, and medians are printed, of ratios those within a
round: a shared machine changes its speed from one second to the next, which such a ratio feels less. Latencies are
measured in turn, for one program must not wait for another; CPU time, which counts no waiting, at the same time.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "build" / "engine"
ENVIRON = os.environ | {"PYTHONPATH": str(ROOT)}
PORT = 19464
SETTLE = 0.47
"""Seconds between two exchanges, such that one pair's answer never goes out in the millisecond of another's request.

With 0.5 all of them do, and timers count milliseconds: two messages would cost one waking between them, in whichever
program is so lean that it does not move them apart.
"""


@contextmanager
def relay() -> Iterator[str]:
    """One relay for everything: the engine, or the embedded one in its own process where there is no Go."""
    from tests.relays import built_engine  # noqa: PLC0415 - not into the memory of those that are measured

    command = [str(PROGRAM), "-listen", "127.0.0.1:0"]
    if built_engine() is None:
        command = [sys.executable, "-m", "monitor", "relay", "--listen", "127.0.0.1:0"]
        print("no Go here: measuring against the embedded relay instead of the engine")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRON)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[1]
    finally:
        process.terminate()
        process.wait(10)


def measured(program: str, *arguments: object) -> Any:
    """What one of the programs beside this one prints."""
    command = [sys.executable, "-m", f"bench.{program}", *map(str, arguments)]
    result = subprocess.run(command, cwd=ROOT, env=ENVIRON, capture_output=True, text=True, timeout=120, check=False)
    if result.returncode:
        raise SystemExit(f"bench.{program} failed:\n{result.stderr[-2000:]}")
    return json.loads(result.stdout.splitlines()[0])


def show(figure: str, value: str, goal: str, *, good: bool) -> None:
    """One line of the table."""
    print(f"{figure:<58} {value:>22}   goal {goal:<9} {'met' if good else 'MISSED'}", flush=True)


def wire(url: str, rounds: int) -> None:
    """The wire time of one pair beside that of two bare sockets, in alternating blocks."""
    ours: list[float] = []
    floor: list[float] = []
    for _ in range(rounds):
        ours.append(statistics.median(measured("ours", url, 1, 0.1, 0, 5)["wires"]))
        floor.append(statistics.median(measured("floor", url, 50, 0.1)))
    one, other, ratio = side_by_side(ours, floor)
    value = f"{one * 1e6:.0f} / {other * 1e6:.0f} µs: {ratio:.2f}×"
    show("wire p50, one pair / bare sockets", value, "≤ 1.3×", good=ratio <= 1.3)


def side_by_side(ones: Sequence[float], others: Sequence[float]) -> tuple[float, float, float]:
    """The medians of both over the rounds, and that of the ratio within a round, which need not be the medians'."""
    ratio = statistics.median(one / other for one, other in zip(ones, others, strict=True))
    return statistics.median(ones), statistics.median(others), ratio


def slopes(url: str, programs: Mapping[str, Sequence[object]], rounds: int) -> dict[str, list[Any]]:
    """CPU seconds an exchange from 100 to 300 pairs, a round each; and what was measured at 100 pairs.

    `programs` have their arguments after the number of pairs. In a round all of them play few pairs and many, all at
    once: whatever slows the machine for a second slows each of them.
    """
    found: dict[str, list[Any]] = {program: [] for program in programs}
    with ThreadPoolExecutor(2 * len(programs)) as pool:
        for _ in range(rounds):
            few, many = (
                {program: pool.submit(measured, program, url, pairs, *more) for program, more in programs.items()}
                for pairs in (100, 300)
            )
            for program, results in found.items():
                less, more = few[program].result(), many[program].result()
                if failed := less.get("failed", 0) + more.get("failed", 0):
                    raise SystemExit(f"bench.{program}: {failed} exchanges failed, so that what it cost says nothing")
                results.append(((more["cpu"] - less["cpu"]) / (more["exchanges"] - less["exchanges"]), less))
    return found


def cpu(url: str, rounds: int, window: float) -> None:
    """The CPU an exchange costs, from 100 to 300 pairs, beside the minimal client's; and the memory of 100 pairs."""
    found = slopes(url, {"ours": (1, SETTLE, window), "minimal": (1, SETTLE, window)}, rounds)
    ours, minimal, ratio = side_by_side(*([slope for slope, _ in results] for results in found.values()))
    value = f"{ours * 1e3:.2f} / {minimal * 1e3:.2f} ms: {ratio:.2f}×"
    show("CPU an exchange, 100 to 300 pairs / minimal client", value, "≤ 1.5×", good=ratio <= 1.5)
    memory = statistics.median(few["rss"] for _, few in found["ours"])
    show("resident memory, 100 pairs", f"{memory:.1f} MB", "≤ 85 MB", good=memory <= 85)


def daemon(window: float) -> None:
    """The daemon with the shipped configuration: how soon it stands, and what it costs then."""
    clock = SYSTEM_CLOCK
    environ = ENVIRON | {"RELAY_MONITOR_LISTEN": f"127.0.0.1:{PORT}"}
    with tempfile.TemporaryFile() as log:
        started = clock.monotonic()
        command = [sys.executable, "-m", "monitor", "run", "--config", str(ROOT / "config.yaml")]
        process = subprocess.Popen(command, env=environ, stderr=log)
        try:
            connected = _when(r'handshakes_total\{[^}]*outcome="ok",probe="steady"[^}]*\} 2', started, clock)
            first = _when(r'exchanges_total\{[^}]*outcome="ok",probe="steady"[^}]*\} [1-9]', started, clock)
            before = _cpu(process.pid)
            for _ in range(4):
                time.sleep(window / 4)
                _page()  # as Prometheus does
            share = (_cpu(process.pid) - before) / window
            memory = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * 4096 / 1e6
        finally:
            process.terminate()
            process.wait(15)
    show("daemon: both pairs connected after", f"{connected:.2f} s", "≤ 2 s", good=connected <= 2)
    show("daemon: first exchange on /metrics after", f"{first:.2f} s", "≤ 7 s", good=first <= 7)
    show("daemon: share of a core", f"{share:.2%}", "≤ 1.5 %", good=share <= 0.015)
    show("daemon: resident memory", f"{memory:.1f} MB", "≤ 80 MB", good=memory <= 80)


def _when(pattern: str, started: float, clock: Clock) -> float:
    """Seconds until a line of /metrics matches."""
    while (after := clock.monotonic() - started) < 30:
        try:
            if re.search(pattern, _page()):
                return clock.monotonic() - started
        except OSError:
            pass
        time.sleep(0.05)
    raise SystemExit(f"the daemon did not get to {pattern} within {after:.0f} s")


def _page() -> str:
    """The daemon's metrics. Raises OSError."""
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=1) as answer:
        page: str = answer.read().decode()
    return page


def _cpu(pid: int) -> float:
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
