"""How many relays a process can watch: `python -m bench.scale [relays] [shards] [--write]`. Exit 1 on a missed goal.

`relays`: 200 relays with the shipped probes in one process, `--minutes` (10) from its start, against engines on this
machine. Processes with one relay each run before it and beside it, for the wire times. All is scraped every 15 s.

`shards`: 1,000 relays with one idle connection and rare attempts, divided among 4 processes and then among 5, which
read one configuration file's worth of relays each with `--shard`. Which process watches which relay is read from their
metrics, the number of connections from the engines.

`--write` writes the tables to docs/performance.md.
"""

from __future__ import annotations

import argparse
import math
import re
import statistics
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.daemons import Daemon, Scrape, shipped
from bench.markdown import write
from bench.programs import relay
from monitor.clock import SYSTEM_CLOCK, utc
from monitor.config.sharding import shard_number
from monitor.load.host import describe
from tests.counterparts import ENGINE, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bench.daemons import Page

PAGE: Final = ROOT / "docs" / "performance.md"
ENGINES: Final = 4
RELAYS: Final = 200
SINGLES: Final = 4
"""Processes with one relay: enough messages for a median, and little load."""

ALONE: Final = 60.0
"""Seconds for which they run before the many relays."""

SCRAPE_INTERVAL: Final = 15.0
START_TIMEOUT: Final = 180.0
WARM_UP: Final = 90.0
"""Seconds from the start of 200 relays until all probes have begun, and their first pairings are over."""

SHARDED: Final = 1000
LIGHT: Final = {
    "probes": [{"name": "idle", "scenario": "steady-state", "connections": 1}],
    "slos": [{"name": "stability", "probe": "idle", "sli": "stability", "objective": "99.9%"}],
}
"""Sections of a configuration that costs little for each relay; attempts are made every ten minutes."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a table."""

    name: str
    value: str
    goal: str = ""
    good: bool = True


def connects(urls: Iterable[str]) -> int:
    """Return the number of connects that engines have seen."""
    name = "centrifuge_client_command_duration_seconds_count"
    return sum(
        int(count)
        for url in urls
        for count in re.findall(rf'^{name}\{{.*method="connect"\}} (\d+)', _engine_page(url, "metrics"), re.MULTILINE)
    )


def connections(urls: Iterable[str]) -> int:
    """Return the number of clients that are connected to engines."""
    return sum(int(_engine_page(url, "connections")) for url in urls)


def _engine_page(url: str, page: str) -> str:
    address = url.removeprefix("ws://").partition("/")[0]
    with urllib.request.urlopen(f"http://{address}/{page}", timeout=10) as response:
        text: str = response.read().decode()
        return text


@dataclass(frozen=True, slots=True)
class Second:
    """A reading: seconds since the start, CPU seconds that the process has used, connects that its relays have seen."""

    age: float
    cpu: float
    connects: int


class Watch:
    """Reads CPU and connects of a daemon every second, and scrapes it."""

    def __init__(self, daemon: Daemon, urls: Sequence[str]) -> None:
        self._daemon = daemon
        self._urls = urls
        self.seconds: list[Second] = []
        self.scrapes: list[Scrape] = []
        self.warm: Page | None = None  # the first page after the start

    def until(self, end: float) -> None:
        """Watch until so many seconds after the start."""
        daemon = self._daemon
        while (age := time.time() - daemon.started_at) < end:
            self.seconds.append(Second(age, daemon.cpu(), connects(self._urls)))
            if age >= (len(self.scrapes) + 1) * SCRAPE_INTERVAL:
                scrape, page = daemon.scrape()
                self.scrapes.append(scrape)
                if age >= WARM_UP and self.warm is None:
                    self.warm = page
            time.sleep(max(0.0, 1 - (time.time() - daemon.started_at - age)))

    def rates(self, since: float, until: float, span: int) -> tuple[list[float], list[float]]:
        """Return shares of a core and connects per second, each over `span` readings between two ages."""
        rows = [row for row in self.seconds if since <= row.age < until]
        found = [(second, first, second.age - first.age) for first, second in zip(rows, rows[span:], strict=False)]
        return (
            [(second.cpu - first.cpu) / seconds for second, first, seconds in found],
            [(second.connects - first.connects) / seconds for second, first, seconds in found],
        )


def many_relays(minutes: float, relays: int) -> list[Figure]:
    """Measure one process with many relays."""
    with ExitStack() as stack, tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        urls = [stack.enter_context(relay()) for _ in range(ENGINES)]
        other = stack.enter_context(relay())  # so that the connects at `urls` are those of the many relays
        singles = [
            stack.enter_context(Daemon(folder / f"one-{number}", shipped({"relay": other}), wires=True))
            for number in range(SINGLES)
        ]
        for single in singles:
            single.wait_for(1, START_TIMEOUT)
        time.sleep(5)
        alone, used = time.time(), [single.cpu() for single in singles]
        time.sleep(ALONE)
        shares = [(single.cpu() - before) / (time.time() - alone) for single, before in zip(singles, used, strict=True)]
        memory = [single.peak_memory() for single in singles]
        names = {f"relay-{number:03}": urls[number % len(urls)] for number in range(relays)}
        daemon = stack.enter_context(Daemon(folder / "many", shipped(names), wires=True))
        watch = Watch(daemon, urls)
        watch.until(max(2 * WARM_UP, minutes * 60))
        page, descriptors, opened = daemon.scrape()[1], daemon.descriptors(), connections(urls)
        memory.append(daemon.peak_memory())
        for process in (daemon, *singles):
            process.stop()
        warm, end = daemon.started_at + WARM_UP, time.time()
        wires = [
            [wire for single in singles for wire in single.wires(alone, daemon.started_at)],
            [wire for single in singles for wire in single.wires(warm, end)],
            daemon.wires(warm, end),
        ]
    one = statistics.median(shares), statistics.median(memory[:-1])
    return [
        *_schedule(page, relays),
        *_start(watch, daemon.started_at),
        *_cost(watch, relays, one, memory[-1]),
        Figure("connections, descriptors", f"{opened:,}, {descriptors:,}"),
        *_scrapes(watch, page),
        *_wires(*wires),
    ]


def _schedule(page: Page, relays: int) -> Iterator[Figure]:
    runs = {each: int(page.total("relay_monitor_runs_total", result=each)) for each in ("started", "missed", "skipped")}
    exchanges = {
        each: int(page.total("relay_probe_exchanges_total", outcome=each)) for each in ("ok", "failed", "aborted")
    }
    up = int(page.total("relay_up"))
    yield Figure("relays up", f"{up} of {relays}", "all", up == relays)
    yield Figure("runs started", f"{runs['started']:,}")
    yield Figure("runs missed: the monitor was too late", _by_probe(page, "missed"), "0", not runs["missed"])
    yield Figure("runs skipped: the one before had not ended", _by_probe(page, "skipped"), "0", not runs["skipped"])
    bad = exchanges["failed"] + exchanges["aborted"]
    value = f"{sum(exchanges.values()):,}: {exchanges['failed']:,}, {exchanges['aborted']:,}"
    yield Figure("exchanges: failed, aborted since the monitor had no CPU", value, "0, 0", not bad)


def _by_probe(page: Page, result: str) -> str:
    """Return the number of runs with this result, and of which probes they are."""
    found = {
        probe: int(page.total("relay_monitor_runs_total", probe=probe, result=result))
        for probe in sorted(set(page.label("relay_monitor_runs_total", "probe")))
    }
    listed = ", ".join(f"{probe} {count}" for probe, count in found.items() if count)
    return f"{sum(found.values()):,}: {listed}" if listed else "0"


def _start(watch: Watch, started: float) -> Iterator[Figure]:
    assert watch.warm is not None
    first = max(watch.warm.values("relay_state_since_timestamp_seconds")) - started
    at_start, later = watch.rates(0, WARM_UP, 5), watch.rates(WARM_UP, math.inf, 5)
    yield Figure("first verdict on the last relay after", f"{first:.0f} s", "≤ 60 s", first <= 60)
    value = f"{max(at_start[1]):.0f} / {statistics.mean(later[1]):.0f}"
    yield Figure("connects a second: most in 5 s of the start / later", value)
    yield Figure(
        "share of a core: most in 5 s of the start", f"{max(at_start[0]):.0%}", "< 95 %", max(at_start[0]) < 0.95
    )


def _cost(watch: Watch, relays: int, one: tuple[float, float], memory: float) -> Iterator[Figure]:
    share = statistics.mean(watch.rates(WARM_UP, math.inf, 1)[0])
    yield Figure("share of a core, scrapes included", f"{share:.1%}; one relay {one[0]:.2%}")
    yield Figure("share of a core, each further relay", f"{(share - one[0]) / (relays - 1):.3%}")
    yield Figure("largest resident memory", f"{memory:.0f} MB; one relay {one[1]:.0f} MB")
    yield Figure("memory, each further relay", f"{(memory - one[1]) / (relays - 1):.2f} MB")


def _scrapes(watch: Watch, page: Page) -> Iterator[Figure]:
    times, last = sorted(scrape.seconds for scrape in watch.scrapes), watch.scrapes[-1]
    value = f"{last.size / 1e6:.1f} MB, {last.compressed / 1e6:.2f} MB compressed, {page.series:,} series"
    yield Figure("scrape: size", value)
    yield Figure(
        "scrape: seconds, median and longest",
        f"{statistics.median(times):.2f}, {times[-1]:.2f}",
        "< 10 s",
        times[-1] < 10,
    )
    lag = page.quantile("relay_monitor_event_loop_lag_seconds", 0.99)
    yield Figure("event loop lag, P99", f"≤ {lag * 1000:.0f} ms", "≤ 100 ms", lag <= 0.1)


def _wires(alone: list[float], beside: list[float], many: list[float]) -> Iterator[Figure]:
    medians = [statistics.median(each) * 1e6 for each in (alone, beside, many)]
    value = "{:.0f} / {:.0f} µs: {:.2f}×"
    yield Figure(
        "wire P50, 200 relays / one relay alone on the machine",
        value.format(medians[2], medians[0], medians[2] / medians[0]),
        "≤ 1.3×",
        medians[2] <= 1.3 * medians[0],
    )
    yield Figure(
        "wire P50, 200 relays / one relay beside", value.format(medians[2], medians[1], medians[2] / medians[1])
    )


def shards(relays: int) -> list[Figure]:
    """Divide relays among four processes, then among five."""
    with ExitStack() as stack, tempfile.TemporaryDirectory() as temporary:
        urls = [stack.enter_context(relay()) for _ in range(ENGINES)]
        names = {f"relay-{number:04}": urls[number % len(urls)] for number in range(relays)}
        four, five = (_divide(Path(temporary, str(count)), names, urls, count) for count in (4, 5))
    moved = sum(four.of_relay[name] != five.of_relay[name] for name in names)
    share = moved / relays
    return [
        *four.figures(relays),
        *five.figures(relays),
        Figure("relays that a fifth shard moves", f"{moved} ({share:.1%})", "≤ 25 %", share <= 0.25),
    ]


@dataclass(frozen=True, slots=True)
class Division:
    """Relays divided among processes: which processes watch each, and the connections that the engines have."""

    of_relay: dict[str, list[int]]
    connections: int
    seconds: float
    memory: list[float]

    def figures(self, relays: int) -> Iterator[Figure]:
        """Yield what was found."""
        sizes = Counter(number for numbers in self.of_relay.values() for number in numbers)
        count = len(self.memory)
        once = sum(len(numbers) == 1 for numbers in self.of_relay.values())
        listed = ", ".join(str(sizes[number]) for number in range(count))
        yield Figure(f"{count} shards: relays of each", listed)
        yield Figure(f"{count} shards: relays watched by one process", f"{once:,}", f"{relays:,}", once == relays)
        yield Figure(
            f"{count} shards: connections at the relays",
            f"{self.connections:,}",
            f"{relays:,}",
            self.connections == relays,
        )
        yield Figure(f"{count} shards: all relays up after", f"{self.seconds:.0f} s")
        yield Figure(f"{count} shards: largest memory of a process", f"{max(self.memory):.0f} MB")


def _divide(folder: Path, names: Mapping[str, str], urls: Sequence[str], count: int) -> Division:
    folder.mkdir()
    config = shipped(names, shards=count, **LIGHT)
    for item in config["relays"]:
        item["confirm"] = {"every": "10m"}
    with ExitStack() as stack:
        daemons = [
            stack.enter_context(Daemon(folder / str(number), config, shard=f"{number}/{count}"))
            for number in range(count)
        ]
        started = time.time()
        expected = Counter(shard_number(name, count) for name in names)
        for number, daemon in enumerate(daemons):
            daemon.wait_for(expected[number], START_TIMEOUT)
        seconds = time.time() - started
        of_relay: dict[str, list[int]] = {name: [] for name in names}
        for number, daemon in enumerate(daemons):
            for name in daemon.scrape()[1].label("relay_up", "relay"):
                of_relay[name].append(number)
        opened = _connections_of(urls, len(names))
        return Division(of_relay, opened, seconds, [daemon.peak_memory() for daemon in daemons])


def _connections_of(urls: Sequence[str], expected: int) -> int:
    """Return the number of connections once it is the expected one, or after ten seconds: attempts may be under way."""
    for _ in range(10):
        if (found := connections(urls)) == expected:
            break
        time.sleep(1)
    return found


def lines(figures: Sequence[Figure]) -> list[str]:
    """Return figures as a Markdown table."""
    rows = [f"| {each.name} | {each.goal} | {each.value} |".replace("|  |", "| |") for each in figures]
    return ["| figure | goal | measured |", "|---|---|---|", *rows, "", measured_on()]


def measured_on() -> str:
    """Return a sentence that names the machine and the date."""
    host = describe()
    day = f"{utc(SYSTEM_CLOCK):%Y-%m-%d}"
    return f"Measured on {host['cpus']} processors ({host['cpu']}) with Python {host['python']}, on {day}."


def main() -> int:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("parts", nargs="*", help="relays or shards; both by default")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the 200 relays run (10; 3 at least)")
    parser.add_argument("--relays", type=int, help=f"relays: {RELAYS}, divided among shards: {SHARDED:,}")
    parser.add_argument("--write", action="store_true", help="write the table to docs/performance.md")
    options = parser.parse_args()
    ENGINE.obtain()  # the embedded relay counts no connects
    parts = {
        "relays": lambda: many_relays(options.minutes, options.relays or RELAYS),
        "shards": lambda: shards(options.relays or SHARDED),
    }
    if unknown := set(options.parts) - parts.keys():
        parser.error(f"no such part: {', '.join(unknown)}; there are relays and shards")
    good = True
    for part in options.parts or parts:
        figures = parts[part]()
        for figure in figures:
            verdict = "" if not figure.goal else f"goal {figure.goal:<8} {'met' if figure.good else 'MISSED'}"
            print(f"{figure.name:<58} {figure.value:>44}   {verdict}".rstrip(), flush=True)
        if options.write:
            write(PAGE, f"scale_{part}", lines(figures))
        good &= all(figure.good for figure in figures)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
