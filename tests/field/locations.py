"""Faults of one of three locations, of a monitor, and of the relays of one of two installs with the same names."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.balancer import Balancer
from tests.e2e.monitoring import shipped
from tests.field.record import Fault

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from tests.e2e.monitoring import Monitoring
    from tests.e2e.observer import Observer

LOCATIONS: Final = ("a", "b", "c")
AT: Final = LOCATIONS[0]
"""The location at which something fails."""

SCOPES: Final = {"everywhere": "global", "here": "regional", "third": "global"}
"""The relays of a site, by their scope."""

DEAD: Final = 120.0
CUT: Final = 180.0
ABSENT: Final = 390.0
"""Seconds of each fault: a dead monitor is a warning after five minutes."""

PAUSE: Final = 305.0
"""Seconds between a repair and the next fault: what comes later is not booked for the first one, and its alert may take
as long to be resolved."""


@dataclass(slots=True, kw_only=True)
class Site:
    """An install with three locations, each of which has its own way to each relay and to the references."""

    install: str
    ways: dict[tuple[str, str], Balancer]
    """By location and relay."""

    references: dict[str, list[Balancer]]

    def configs(self) -> list[dict[str, Any]]:
        """Return the configuration of each location's monitor."""
        return [
            shipped(
                install=self.install,
                location=location,
                locations=list(LOCATIONS),
                references=[reference.address for reference in self.references[location]],
                relays=[
                    {"name": relay, "url": self.ways[location, relay].url, "scope": scope}
                    for relay, scope in SCOPES.items()
                ],
            )
            for location in LOCATIONS
        ]

    def cut(self) -> list[Balancer]:
        """Return all ways out of the location that fails."""
        return [way for (location, _), way in self.ways.items() if location == AT] + self.references[AT]


async def site(install: str, upstream: str, stack: AsyncExitStack) -> Site:
    """Start the ways of an install. The relays have different addresses."""
    made = Site(install=install, ways={}, references={})
    for location in LOCATIONS:
        for number, relay in enumerate(SCOPES):
            way = Balancer(upstream, host=f"127.0.0.{4 + number}")
            made.ways[location, relay] = await stack.enter_async_context(way)
        made.references[location] = [
            await stack.enter_async_context(Balancer(host=host)) for host in ("127.0.0.2", "127.0.0.3")
        ]
    return made


def _fault(made: Site, kind: str, relays: tuple[str, ...], alert: str | None, **more: Any) -> Fault:
    fault = Fault(
        kind=kind,
        number=int(made.install.rpartition("-")[2]),
        install=made.install,
        location=AT,
        relays=relays,
        alert=alert,
        labels={},
        **more,
    )
    fault.began = time.monotonic()
    return fault


async def dead_relays(made: Site) -> list[Fault]:
    """From one location, one relay of each scope is dead."""
    faults = [
        _fault(made, "dead-at-one-location-global", ("everywhere",), None, warning="RelayProbeFailing"),
        _fault(made, "dead-at-one-location-regional", ("here",), "RelayDown"),
    ]
    for relay in ("everywhere", "here"):
        await made.ways[AT, relay].stop()
    await asyncio.sleep(DEAD)
    for fault in faults:
        await made.ways[AT, fault.relays[0]].start()
        fault.repaired = time.monotonic()
    return faults


async def egress_cut(made: Site) -> list[Fault]:
    """One location reaches nothing at all: neither a relay nor a reference."""
    faults = [
        _fault(made, "egress-cut", (), "RelayMonitorUnhealthy"),
        _fault(made, "egress-cut-relays", tuple(SCOPES), None),
    ]
    for way in made.cut():
        await way.stop()
    await asyncio.sleep(CUT)
    for way in made.cut():
        await way.start()
    for fault in faults:
        fault.repaired = time.monotonic()
    return faults


async def dead_monitor(made: Site, monitoring: Monitoring) -> list[Fault]:
    """The monitor of one location is killed."""
    faults = [
        _fault(made, "monitor-dead", (), None, warning="RelayMonitorAbsent"),
        _fault(made, "monitor-dead-relays", tuple(SCOPES), None),
    ]
    monitor = monitoring.of(made.install, AT)
    await monitor.kill()
    await asyncio.sleep(ABSENT)
    await monitor.start()
    for fault in faults:
        fault.repaired = time.monotonic()
    return faults


async def all_of_a_site(made: Site, monitoring: Monitoring, kinds: set[str]) -> list[Fault]:
    """Cause the three faults one after the other."""
    faults: list[Fault] = []
    if "locations" in kinds:
        faults += await dead_relays(made)
        await asyncio.sleep(PAUSE)
    if "egress" in kinds:
        faults += await egress_cut(made)
        await asyncio.sleep(PAUSE)
    if "absent" in kinds:
        faults += await dead_monitor(made, monitoring)
    return faults


async def rolling_update(install: str, relay: Balancer, monitoring: Monitoring, observer: Observer) -> list[Fault]:
    """The monitor is replaced while its relay is down: one page, and nothing resolved before the repair."""
    fault = Fault(
        kind="rolling-update",
        number=int(install.rpartition("-")[2]),
        install=install,
        location=AT,
        relays=("demo",),
        alert="RelayDown",
        labels={},
    )
    fault.began = time.monotonic()
    await relay.stop()
    await asyncio.sleep(120)
    restarted = time.monotonic()
    await monitoring.of(install).restart()
    await asyncio.sleep(120)
    said = [what for at, what in observer.since((install, AT, "demo"), restarted) if at > 0 and what.up == 1]
    if said:
        fault.notes.append(f"said up during the outage: {said[0]}")
    await relay.start()
    fault.repaired = time.monotonic()
    return [fault]


async def crash_loop(install: str, monitoring: Monitoring) -> list[Fault]:
    """A monitor crashes every 45 seconds, five times."""
    fault = Fault(
        kind="crash-loop",
        number=1,
        install=install,
        location=AT,
        relays=(),
        alert=None,
        labels={},
        warning="RelayMonitorAbsent",
    )
    fault.began = time.monotonic()
    for _ in range(5):
        await asyncio.sleep(45)
        await monitoring.of(install).kill()
        await monitoring.of(install).start()
    await asyncio.sleep(120)
    fault.repaired = time.monotonic()
    return [fault]
