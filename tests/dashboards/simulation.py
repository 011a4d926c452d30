"""A recording of simulated worlds, made in seconds: nothing is run, and every sample is written in advance.

The rules are evaluated by promtool. It evaluates recording rules only, so the alerts are written as recording rules of
the series `ALERTS`: they fire without the time that they wait for.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
from typing import TYPE_CHECKING, Any, Final

import yaml

from monitor.config import parse
from monitor.slo.generate import generated
from tests.dashboards.backfill import JOB, Series, scrape, write
from tests.dashboards.recording import Recorded, Recording
from tests.dashboards.simulated import Fault, SimulatedMonitor
from tests.dashboards.worlds import SIMULATED
from tests.e2e.programs import PROMTOOL, find

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.dashboards.worlds import JsonObject, SimulatedWorld

INTERVAL: Final = 15.0
"""Seconds between two scrapes and two evaluations."""

LENGTH: Final = 1800.0
FAULT_AT: Final = 600.0
"""Seconds of data, and from its begin to the begin of the faults."""

SOURCE: Final = (
    "the series of simulated monitors, whose results are drawn at random, as scraped every 15 s; alerts fire without "
    "the time that they wait for"
)

NAME: Final = re.compile(r"[a-zA-Z_:][\w:]*")
RULES_TIMEOUT: Final = 300.0


def simulate(folder: Path, worlds: Sequence[SimulatedWorld] = SIMULATED) -> Recording:
    """Record these worlds."""
    folder.mkdir(parents=True)
    end = time.time() // INTERVAL * INTERVAL
    start = end - LENGTH
    series: Series = {}
    recorded = []
    rules: list[JsonObject] = []
    for world in worlds:
        for location in world.locations:
            _scrape(series, world, location, start)
        text = json.dumps(world.config(world.locations[0]))
        recorded.append(Recorded(world.name, world.caption, world.detail, text))
        text_of_rules = generated(parse(text, world.name, {}))["alerts/relay-monitor.rules.yml"]
        rules += as_recorded(text_of_rules.decode(), start + FAULT_AT)
    write(series, folder)
    recording = Recording(folder, end, INTERVAL, LENGTH - INTERVAL, SOURCE, tuple(recorded))
    for level in levels(rules):
        asyncio.run(_evaluate(recording, start, level))
    recording.save()
    return recording


def _scrape(series: Series, world: SimulatedWorld, location: str, start: float) -> None:
    config = parse(json.dumps(world.config(location)), world.name, {})
    faults = {name: Fault(start + FAULT_AT, start + LENGTH + 1, share) for name, share in world.shares}
    monitor = SimulatedMonitor(config, start, faults)
    target = {"job": JOB, "instance": f"{world.name}-{location[:20]}:9464"}  # each world has monitors of its own
    for number in range(int(LENGTH / INTERVAL) + 1):
        at = start + number * INTERVAL
        monitor.advance(at)
        scrape(series, monitor.metrics.registry, at, target)


def as_recorded(rules: str, since: float) -> list[JsonObject]:
    """Return the rules, with alerts recorded as `ALERTS` and `ALERTS_FOR_STATE`, which have one time of their begin."""
    groups = yaml.safe_load(rules)["groups"]
    return [made for group in groups for rule in group["rules"] for made in _recorded(rule, since)]


def levels(rules: Sequence[JsonObject]) -> Iterator[list[JsonObject]]:
    """Yield the rules in the order in which they can be evaluated: each level reads what those before it recorded."""
    left = list(rules)
    while left:
        names = {rule["record"] for rule in left}
        ready = [rule for rule in left if not names & set(NAME.findall(rule["expr"])) - {rule["record"]}]
        if not ready:
            raise ValueError(f"these rules read each other: {', '.join(sorted(names))}")
        yield ready
        left = [rule for rule in left if rule not in ready]


def _recorded(rule: JsonObject, since: float) -> Iterator[JsonObject]:
    if "record" in rule:
        yield rule
        return
    labels: dict[str, Any] = rule["labels"] | {"alertname": rule["alert"]}
    zero = f"0 * ({rule['expr']})"
    yield {"record": "ALERTS", "expr": f"1 + {zero}", "labels": labels | {"alertstate": "firing"}}
    yield {"record": "ALERTS_FOR_STATE", "expr": f"{since} + {zero}", "labels": labels}


async def _evaluate(recording: Recording, start: float, rules: list[JsonObject]) -> None:
    file = recording.folder / "rules.yml"
    text = yaml.safe_dump({"groups": [{"name": "level", "rules": rules}]}, sort_keys=False)
    await asyncio.to_thread(file.write_text, text, "utf-8")
    async with recording.opened() as program:
        await asyncio.to_thread(
            subprocess.run,
            [
                *(find(PROMTOOL), "tsdb", "create-blocks-from", "rules", f"--url={program.url}"),
                *(f"--start={start:.0f}", f"--end={recording.until:.0f}", f"--eval-interval={INTERVAL:.0f}s"),
                *(f"--output-dir={recording.folder / 'prometheus'}", str(file)),
            ],
            check=True,
            capture_output=True,
            timeout=RULES_TIMEOUT,
        )
