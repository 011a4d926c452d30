"""What a relay costs the process that watches it: `python -m bench.costs [--write]`. Takes ten minutes.

Each daemon has much of one thing: idle connections, messages, attempts, or relays with their series. Their differences
to a daemon with almost nothing give the constants of `monitor.config.process_cost`, which `check` uses.
`--write` writes them to docs/performance.md, beside those in use.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trustme

from bench.daemons import Daemon, shipped
from bench.markdown import write
from bench.programs import relay
from bench.scale import PAGE, START_TIMEOUT, measured_on
from monitor.config import parse, process_cost
from monitor.config.attempts import attempt_costs
from monitor.config.capacity import footprint
from monitor.schedule.spread import start_spacing

if TYPE_CHECKING:
    from bench.daemons import JsonObject

IDLE: Final = {"name": "idle", "scenario": "steady-state"}
ONE: Final = IDLE | {"connections": 1}
MESSAGING: Final = {"name": "steady", "scenario": "steady-messaging", "message_interval": "1s", "max_age": "7d"}
INFREQUENT: Final = (
    {"name": "steady", "scenario": "steady-messaging", "message_interval": "1h", "max_age": "7d", "pairs": 1},
    {"name": "offline", "scenario": "async-delivery", "schedule": {"every": "7d"}, "delay": "1s"},
    {"name": "session", "scenario": "realistic-session", "schedule": {"every": "7d"}},
)
"""Probes that have series and do little."""

UNLIMITED: Final = {"connects_per_minute": 100_000, "messages_per_minute": 1_000_000}
FEW: Final = 50
MANY: Final = 200
SCRAPES: Final = 10
SETTLING: Final = 15.0
"""Seconds until first pairings and imports are over, after all relays are up and all probes have begun."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a process took within a window: share of a core, and resident bytes at its end.

    connections, messages and connects (both a second) are those that `check` says of its configuration.
    """

    cpu: float
    memory: float
    connections: int
    messages: float
    connects: float
    series: int
    scrape: float  # CPU seconds of a scrape; 0 if none was made


def variant(url: str, relays: int, *probes: JsonObject, attempts: str = "10m", **more: Any) -> JsonObject:
    """Return a configuration with these probes at each of some relays, and an attempt so often."""
    config = shipped({f"relay-{number:03}": url for number in range(relays)}, probes=list(probes), slos=[])
    for item in config["relays"]:
        item |= {"limits": UNLIMITED, "confirm": {"every": attempts}, **more}
    return config


def measure(folder: Path, config: JsonObject, window: float, *, scraped: bool = False) -> Measured:
    """Run a daemon and measure it."""
    relays = len(config["relays"])
    with Daemon(folder, config) as daemon:
        daemon.wait_for(relays, START_TIMEOUT)
        begun = daemon.started_at + relays * start_spacing(relays)
        time.sleep(max(0.0, begun - time.time()) + SETTLING)
        used, since = daemon.cpu(), time.time()
        time.sleep(window)
        share, memory = (daemon.cpu() - used) / (time.time() - since), daemon.memory()
        used, since = daemon.cpu(), time.time()
        series = 0
        for _ in range(SCRAPES if scraped else 0):
            series = daemon.scrape()[1].series
            time.sleep(1)
        scrape = (daemon.cpu() - used - share * (time.time() - since)) / SCRAPES if scraped else 0.0
        memory = max(memory, daemon.memory())
    parsed = parse((folder / "config.yaml").read_text("utf-8"), "config.yaml", {})
    probes, attempts = footprint(parsed), attempt_costs(parsed)
    return Measured(
        cpu=share,
        memory=memory,
        connections=sum(each.connections for each in probes),
        messages=(sum(each.messages for each in probes) + sum(each.messages for each in attempts)) / 60,
        connects=(sum(each.connects for each in probes) + sum(each.connects for each in attempts)) / 60,
        series=series,
        scrape=scrape,
    )


def constants(window: float) -> dict[str, float]:
    """Return the constants of `monitor.config.process_cost`, by name."""
    found: dict[str, Measured] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        tls, flags = certificate(folder)
        url, secure = stack.enter_context(relay()), stack.enter_context(relay(*flags))
        variants: dict[str, tuple[JsonObject, bool]] = {
            "nothing": (variant(url, 1, ONE), False),
            "connections": (variant(url, FEW, IDLE | {"connections": 20}), False),
            "TLS connections": (variant(secure, FEW, IDLE | {"connections": 20}, tls=tls), False),
            "messages": (variant(url, 1, MESSAGING | {"pairs": 50}), False),
            "attempts": (variant(url, FEW, ONE, attempts="5s"), False),
            "TLS attempts": (variant(secure, FEW, ONE, attempts="5s", tls=tls), False),
            "relays": (variant(url, MANY, ONE), True),
            "series": (variant(url, MANY, ONE, *INFREQUENT), True),
        }
        for name, (config, scraped) in variants.items():
            found[name] = measure(folder / name, config, window, scraped=scraped)
            print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
    return fitted(found)


def certificate(folder: Path) -> tuple[JsonObject, list[str]]:
    """Create a certificate; returns the section `tls` of a relay with it, and the engine's flags."""
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    made.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    made.private_key_pem.write_to_path(folder / "key.pem")
    flags = ["-tls-cert", str(folder / "cert.pem"), "-tls-key", str(folder / "key.pem")]
    return {"ca_file": str(folder / "ca.pem")}, flags


def fitted(found: dict[str, Measured]) -> dict[str, float]:
    """Return the constants that explain what was measured."""
    nothing, idle, many = found["nothing"], found["connections"], found["relays"]
    attempts, busy, detailed = found["attempts"], found["messages"], found["series"]
    # In `idle` are so many connections more than relays, in `many` one of each.
    more = idle.connections - FEW
    relay_bytes, connection_bytes = solved(
        (idle.memory - nothing.memory, FEW, FEW + more), (many.memory - nothing.memory, MANY, MANY)
    )
    of_relay, connection = solved((idle.cpu - nothing.cpu, FEW, FEW + more), (many.cpu - nothing.cpu, MANY, MANY))
    message = (busy.cpu - nothing.cpu - connection * busy.connections) / busy.messages
    of_attempts = attempts.cpu - nothing.cpu - (of_relay + connection) * FEW - message * attempts.messages
    added = connection_bytes * (detailed.connections - many.connections)
    series_bytes = (detailed.memory - many.memory - added) / (detailed.series - many.series)
    return {
        "CPU_OF_PROCESS": nothing.cpu,
        "CPU_OF_RELAY": of_relay,
        "CPU_OF_CONNECTION": connection,
        "CPU_OF_MESSAGE": message,
        "CPU_OF_CONNECT": of_attempts / attempts.connects,
        "CPU_OF_TLS": (found["TLS attempts"].cpu - attempts.cpu) / attempts.connects,
        "CPU_OF_SERIES": detailed.scrape / detailed.series,
        "BYTES_OF_PROCESS": nothing.memory,
        "BYTES_OF_RELAY": relay_bytes - series_bytes * many.series / MANY,
        "BYTES_OF_CONNECTION": connection_bytes,
        "BYTES_OF_TLS": (found["TLS connections"].memory - idle.memory) / idle.connections,
        "BYTES_OF_SERIES": series_bytes,
    }


def solved(one: tuple[float, float, float], other: tuple[float, float, float]) -> tuple[float, float]:
    """Return x and y of two equations (a, b, c): a = b·x + c·y."""
    (a, b, c), (d, e, f) = one, other
    determinant = b * f - c * e
    return (a * f - c * d) / determinant, (b * d - a * e) / determinant


def lines(found: dict[str, float]) -> list[str]:
    """Return the constants as a Markdown table."""
    rows = [f"| `{name}` | {_show(value)} | {_show(getattr(process_cost, name))} |" for name, value in found.items()]
    return ["| constant | measured | in use |", "|---|---|---|", *rows, "", measured_on()]


def _show(value: float) -> str:
    return f"{value:,.0f} B" if abs(value) > 1 else f"{value * 1e6:,.1f} × 10⁻⁶"


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.costs", description=__doc__)
    parser.add_argument("--window", type=float, default=45.0, help="seconds for which each daemon is measured (45)")
    parser.add_argument("--write", action="store_true", help="write the table to docs/performance.md")
    options = parser.parse_args()
    table = lines(constants(options.window))
    print("\n".join(table))
    if options.write:
        write(PAGE, "costs", table)


if __name__ == "__main__":
    main()
