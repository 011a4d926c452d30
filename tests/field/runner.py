"""Starts all programs, causes all faults side by side, and returns what was measured."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.balancer import Balancer
from tests.counterparts import ENGINE
from tests.e2e.monitoring import Monitoring, shipped
from tests.e2e.observer import Observer
from tests.faults.certificates import Certificates
from tests.field.faults import KINDS, FaultyRelay, Kind, durations, relays_of
from tests.field.locations import AT, LOCATIONS, Site, all_of_a_site, crash_loop, rolling_update, site
from tests.field.record import Fault, Measured, Received, measure, received, unexpected
from tests.relays import Engine

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine
    from pathlib import Path

MAIN: Final = "main"
OTHERS: Final = ("locations", "egress", "absent", "rolling-update", "crash-loop")
"""What is not a kind of a relay's fault."""

TRIES: Final = 3
RESOLVED: Final = 330.0
"""Seconds between two faults of one relay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is run, and at which pace."""

    kinds: Collection[str]
    interval: str = "15s"
    waits: str | None = None
    tries: int = TRIES
    relays: int = 1000
    """At most so many relays for one try."""

    seconds: float | None = None
    """Duration of each fault, if not as usual."""

    healthy: float = 60.0
    """Seconds without a fault before the first one."""

    after: float = 240.0
    """Seconds after the last repair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was measured, and the pages that no fault explains."""

    measured: list[Measured]
    unexpected: list[Received]


class Field:
    """Relays, sites and monitors of one run."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.settings = folder, settings
        self.tries: list[tuple[Kind, int, list[FaultyRelay]]] = []
        self.sites: list[Site] = []
        self.single: dict[str, Balancer] = {}
        """The relay of each install that has only one."""

        self.faults: list[Fault] = []

    async def start_relays(self, upstream: str, stack: AsyncExitStack) -> list[dict[str, Any]]:
        """Start everything before the relay at `upstream`, and return the configuration of each monitor."""
        certificates = Certificates(self.folder)
        settings = self.settings
        for kind in KINDS:
            if kind.name in settings.kinds:
                for number in range(1, min(settings.tries * kind.tries // TRIES or 1, kind.tries) + 1):
                    relays = await relays_of(kind, number, upstream, stack, certificates)
                    self.tries.append((kind, number, relays))
        configs = []
        if relays := [relay for _, _, some in self.tries for relay in some]:
            configs.append(await self._config(MAIN, [relay.entry() for relay in relays], stack))
        numbers = range(1, settings.tries + 1)
        if set(settings.kinds) & {"locations", "egress", "absent"}:
            self.sites = [await site(f"site-{number}", upstream, stack) for number in numbers]
            configs += [config for made in self.sites for config in made.configs()]
        singles = [f"rolling-update-{number}" for number in numbers] if "rolling-update" in settings.kinds else []
        singles += ["crash-loop-1"] if "crash-loop" in settings.kinds else []
        for install in singles:
            self.single[install] = await stack.enter_async_context(Balancer(upstream))
            configs.append(await self._config(install, [{"name": "demo", "url": self.single[install].url}], stack))
        return configs

    async def _config(self, install: str, relays: list[dict[str, Any]], stack: AsyncExitStack) -> dict[str, Any]:
        references = [await stack.enter_async_context(Balancer(host=host)) for host in ("127.0.0.2", "127.0.0.3")]
        return shipped(
            install=install,
            location=AT,
            locations=[AT],
            relays=relays,
            references=[reference.address for reference in references],
        )

    def work(self, monitoring: Monitoring, observer: Observer) -> list[Coroutine[Any, Any, list[Fault]]]:
        """Return what is to be done at the same time."""
        kinds = set(self.settings.kinds)
        work: list[Coroutine[Any, Any, list[Fault]]] = [self._one(*each) for each in self.tries]
        work += [all_of_a_site(made, monitoring, kinds) for made in self.sites]
        for install, relay in self.single.items():
            if install.startswith("rolling-update"):
                work.append(rolling_update(install, relay, monitoring, observer))
            else:
                work.append(crash_loop(install, monitoring))
        return work

    async def _one(self, kind: Kind, number: int, relays: list[FaultyRelay]) -> list[Fault]:
        """Cause the faults of one try, from a random time on."""
        chance = random.Random(f"{kind.name}-{number}")
        spread = 120.0 if kind.rounds > 1 else 60.0
        faults: list[Fault] = []
        for seconds in durations(kind, number):
            if faults:
                await asyncio.sleep(RESOLVED)
            await asyncio.sleep(chance.uniform(0.0, spread if self.settings.seconds is None else 1.0))
            fault = Fault(
                kind=kind.name,
                number=number,
                install=MAIN,
                location=AT,
                relays=tuple(relay.name for relay in relays),
                alert=kind.alert,
                labels={"group": f"{kind.name}-{number}"} if kind.relays > 1 else {},
                warning=kind.warning,
                allowed=kind.allowed,
            )
            fault.began = time.monotonic()
            for relay in relays:
                await kind.cause(relay)
            await asyncio.sleep(seconds if self.settings.seconds is None else self.settings.seconds)
            for relay in relays:
                await kind.repair(relay)
            fault.repaired = time.monotonic()
            faults.append(fault)
        return faults


async def run(folder: Path, settings: Settings) -> Outcome:
    """Run all that is selected, and measure it."""
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(await Engine.start(await asyncio.to_thread(ENGINE.obtain)))
        field = Field(folder, settings)
        configs = await field.start_relays(engine.url.split("/")[2], stack)
        monitoring = Monitoring(folder, configs, interval=settings.interval, waits=settings.waits)
        await stack.enter_async_context(monitoring)
        observer = Observer(monitoring.monitors, 3.0 if settings.waits is None else 0.5)
        observing = asyncio.create_task(observer.run())
        stack.callback(observing.cancel)
        await _healthy(
            observer,
            [
                (config["install"], config["location"], relay["name"])
                for config in configs
                for relay in config["relays"]
            ],
        )
        sys.stderr.write(f"{len(configs)} monitors are ready\n")
        await asyncio.sleep(settings.healthy)
        done = await asyncio.gather(*field.work(monitoring, observer))
        await asyncio.sleep(settings.after)
        faults = sorted((fault for some in done for fault in some), key=lambda fault: fault.began)
        alerts, verdicts = received(monitoring.receiver), await observer.verdicts()
        return Outcome(
            measured=[measure(fault, alerts, observer, verdicts, _next(fault, faults)) for fault in faults],
            unexpected=unexpected(faults, alerts),
        )


async def _healthy(observer: Observer, keys: list[tuple[str, str, str]]) -> None:
    """Wait until every relay is said to be up."""
    for key in keys:
        if await observer.until(key, lambda said: said.up == 1, 300.0) is None:
            raise RuntimeError(f"{key} is not said to be up: {observer.now(key)}")


def _next(fault: Fault, faults: list[Fault]) -> float:
    """Return when the next fault of the same relays began."""
    later = [
        other.began
        for other in faults
        if other.began > fault.began + 1
        and other.install == fault.install
        and (other.relays == fault.relays or set(other.relays) & set(fault.relays))
    ]
    return min(later, default=float("inf"))


__all__ = ["LOCATIONS", "OTHERS", "Outcome", "Settings", "run"]
