"""What monitors say of relays over time, read from their /metrics."""

from __future__ import annotations

import asyncio
import re
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.e2e.monitoring import Monitor

LINE: Final = re.compile(r"^(?P<name>relay_\w+)\{(?P<labels>[^}]*)\} (?P<value>\S+)")
LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
OF_A_RELAY: Final = ("relay_up{", "relay_accepting{", "relay_state{", "relay_cause_info{", "relay_maintenance{")

MAX_INCIDENTS: Final = 200
"""Incidents that are read of one monitor."""

Key = tuple[str, str, str]
"""Install, location and relay."""

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""Values by the series' name and sorted labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a monitor says of a relay at one time."""

    up: float | None = None
    accepting: float | None = None
    state: str = ""
    cause: str = ""  # step, reason and status

    @property
    def verdict(self) -> tuple[float | None, float | None]:
        """Whether the relay is up, and accepts new clients."""
        return self.up, self.accepting

    def __str__(self) -> str:
        shown = {None: "–", 0.0: "0", 1.0: "1"}
        return f"up {shown[self.up]} accepting {shown[self.accepting]} {self.state or '–'} {self.cause}".rstrip()


def parse(text: str, wanted: Callable[[str], bool] = lambda _: True) -> Series:
    """Return the series of an exposition whose lines are wanted."""
    found: Series = {}
    for line in text.splitlines():
        if wanted(line) and (match := LINE.match(line)) is not None:
            labels = tuple(sorted((name, value) for name, value in LABEL.findall(match["labels"])))
            found[match["name"], labels] = float(match["value"])
    return found


def said_of(series: Series) -> dict[str, Said]:
    """Return what is said of each relay."""
    relays: dict[str, dict[str, float | str]] = defaultdict(dict)
    for (name, pairs), value in series.items():
        labels = dict(pairs)
        said = relays[labels["relay"]]
        if name in {"relay_up", "relay_accepting"}:
            said[name.removeprefix("relay_")] = value
        elif name == "relay_state" and value == 1:
            said["state"] = labels["state"]
        elif name == "relay_cause_info" and value == 1:
            said["cause"] = " ".join(filter(None, (labels["step"], labels["reason"], labels.get("status", ""))))
    return {relay: Said(**said) for relay, said in relays.items()}  # type: ignore[arg-type]  # by name


class Observer:
    """Reads each monitor's /metrics every `interval` seconds while it runs.

    `changes` has, for each relay, the times (time.monotonic) at which something else was said.
    """

    def __init__(self, monitors: Iterable[Monitor], interval: float) -> None:
        self.changes: dict[Key, list[tuple[float, Said]]] = defaultdict(list)
        self._monitors = list(monitors)
        self._interval = interval
        self._read = asyncio.Condition()

    def now(self, key: Key) -> Said:
        """Return what is said now."""
        changes = self.changes.get(key)
        return changes[-1][1] if changes else Said()

    def since(self, key: Key, began: float) -> list[tuple[float, Said]]:
        """Return the changes since a time, as seconds after it, with what was said at that time as the first."""
        changes = self.changes.get(key, [])
        before = [said for at, said in changes if at <= began][-1:]
        return [(0.0, said) for said in before] + [(at - began, said) for at, said in changes if at > began]

    async def until(self, key: Key, done: Callable[[Said], bool], seconds: float) -> float | None:
        """Wait until `done` is true of what is said; return the seconds waited, or None if it never was."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(seconds), self._read:
                while not done(self.now(key)):
                    await self._read.wait()
        except TimeoutError:
            return None
        return time.monotonic() - began

    async def run(self) -> None:
        """Read until cancelled."""
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            while True:
                began = time.monotonic()
                await asyncio.gather(*(self._read_one(client, monitor) for monitor in self._monitors))
                async with self._read:
                    self._read.notify_all()
                await asyncio.sleep(max(0.0, self._interval - (time.monotonic() - began)))

    async def verdicts(self) -> dict[Key, list[float]]:
        """Return when each relay was found down or not accepting (time.monotonic), by its incidents' time lines."""
        found: dict[Key, list[float]] = defaultdict(list)
        offset = time.monotonic() - time.time()
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            for monitor in self._monitors:
                api = f"{monitor.url}/api/v1/incidents"
                for incident in (await client.get(api, params={"limit": MAX_INCIDENTS})).json()["incidents"]:
                    for entry in (await client.get(f"{api}/{incident['id']}")).json()["entries"]:
                        if entry["fields"].get("condition") in {"down", "not_accepting"}:
                            at = datetime.fromisoformat(entry["at"]).timestamp() + offset
                            found[monitor.install, monitor.location, incident["relay"]].append(at)
        return {key: sorted(times) for key, times in found.items()}

    async def _read_one(self, client: httpx.AsyncClient, monitor: Monitor) -> None:
        try:
            text = (await client.get(f"{monitor.url}/metrics")).text
        except httpx.HTTPError:
            return  # it is stopped
        at = time.monotonic()
        for relay, said in said_of(parse(text, lambda line: line.startswith(OF_A_RELAY))).items():
            changes = self.changes[monitor.install, monitor.location, relay]
            if not changes or changes[-1][1] != said:
                changes.append((at, said))


async def counters(monitor: Monitor, relay: str) -> Series:
    """Return the counters of one relay."""
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        text = (await client.get(f"{monitor.url}/metrics")).text
    label = f'relay="{relay}"'
    return parse(text, lambda line: "_total{" in line and label in line)


def increase(before: Series, after: Series, name: str, by: str) -> dict[str, float]:
    """Return by how much a counter grew, by one of its labels; without those that did not."""
    grown: dict[str, float] = defaultdict(float)
    for (metric, pairs), value in after.items():
        if metric == name:
            grown[dict(pairs).get(by, "")] += value - before.get((metric, pairs), 0.0)
    return {label: value for label, value in grown.items() if value}
