"""Faults of locations, and what docs/locations.md says of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.locations.measurement import page, resolved, voted, warning
from tests.locations.network import LOCATIONS
from tests.locations.world import DIRECT, FEDERATED, REMOTE_WRITE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from tests.locations.measurement import Measurement, Notice

UNHEALTHY: Final = 270.0
"""Seconds to the warning about a monitor without a network: two minutes unhealthy, one of waiting, and what comes."""

ABSENT: Final = 390.0
MOST_ABSENT: Final = 250.0
"""Seconds to the warning about a monitor that is not scraped, and to the page about most of them."""

PAGE: Final = 90.0
SILENT_PAGE: Final = 120.0
"""Seconds to the page about a relay that is dead, and about one that does not answer."""

LOOK_BACK: Final = 330.0
"""Seconds for which the last sample of a series counts that is not scraped, and what comes."""

WARNING: Final = 120.0
RESOLVED: Final = 240.0
VOTES: Final = 90.0

ALL: Final = dict.fromkeys(LOCATIONS, 1.0)


async def one_without_network(measurement: Measurement) -> None:
    """A location reaches neither relays nor references, and is scraped."""
    change = measurement.begin("fra reaches nothing; its monitor is scraped")
    measurement.world.network.cut_egress("fra")
    await measurement.follows(
        change, warning("RelayMonitorUnhealthy", UNHEALTHY, location="fra"), voted(VOTES, iad=1, sin=1)
    )
    await _restored(measurement, "its network is back", ("fra",))


async def two_without_network(measurement: Measurement) -> None:
    """The location that is left pages alone, and only when it sees the relay down itself."""
    change = measurement.begin("fra and iad reach nothing; their monitors are scraped")
    measurement.world.network.cut_egress("fra")
    measurement.world.network.cut_egress("iad", at_router=True)
    await measurement.follows(
        change,
        warning("RelayMonitorUnhealthy", UNHEALTHY, location="fra"),
        warning("RelayMonitorUnhealthy", UNHEALTHY, location="iad"),
        voted(VOTES, sin=1),
    )
    change = measurement.begin("meanwhile the relay is killed")
    await measurement.world.kill_relay()
    await measurement.follows(change, page("RelayDown", PAGE, relay="relay"), voted(VOTES, sin=0))
    await measurement.world.revive_relay()
    ended = resolved("RelayDown", RESOLVED, relay="relay")
    await _restored(measurement, "the relay and both networks are back", ("fra", "iad"), ended)


async def one_cut_off(measurement: Measurement) -> None:
    """A location reaches nothing, and nothing reaches it."""
    change = measurement.begin("fra is cut off, its monitor too")
    _cut_off(measurement, "fra")
    await measurement.follows(change, warning("RelayMonitorAbsent", ABSENT, location="fra"), voted(VOTES, iad=1, sin=1))
    await _restored(measurement, "its network is back", ("fra",))


async def two_cut_off(measurement: Measurement) -> None:
    """Most monitors are missing: the watch itself fails, and no relay is said to be down."""
    change = measurement.begin("fra and iad are cut off, their monitors too")
    _cut_off(measurement, "fra")
    _cut_off(measurement, "iad")
    await measurement.follows(change, page("RelayMonitorAbsent", MOST_ABSENT), voted(VOTES, sin=1))
    ended = resolved("RelayMonitorAbsent", RESOLVED)
    await _restored(measurement, "their networks are back", ("fra", "iad"), ended)


async def monitor_killed(measurement: Measurement) -> None:
    """The others page with two votes while one monitor is missing."""
    killed = measurement.begin("the monitor of fra is killed")
    await measurement.world.monitors["fra"].kill()
    await measurement.follows(killed, voted(VOTES, iad=1, sin=1))
    await _relay_killed(measurement, fra=None)
    await measurement.follows(killed, warning("RelayMonitorAbsent", ABSENT, location="fra"))
    change = measurement.begin("the monitor is started again")
    await measurement.world.monitors["fra"].start()
    await measurement.follows(change, voted(VOTES, **ALL))


async def path_lost(measurement: Measurement) -> None:
    """The relay does not answer one location, then two; their references do."""
    change = measurement.begin("fra does not reach the relay; references answer")
    measurement.world.network.cut_path("fra")
    await measurement.follows(
        change, warning("RelayProbeFailing", WARNING, relay="relay", location="fra"), voted(VOTES, fra=0, iad=1, sin=1)
    )
    change = measurement.begin("iad does not reach it either")
    measurement.world.network.cut_path("iad")
    await measurement.follows(change, page("RelayDown", SILENT_PAGE, relay="relay"), voted(VOTES, fra=0, iad=0, sin=1))
    ended = resolved("RelayDown", RESOLVED, relay="relay")
    await _restored(measurement, "both reach it again", ("fra", "iad"), ended)


async def federated_cut_off(measurement: Measurement) -> None:
    """A location with its Prometheus is gone at once for the central one, which federates it."""
    cut = measurement.begin("fra is cut off, its Prometheus too")
    _cut_off(measurement, "fra")
    await measurement.follows(cut, voted(VOTES, iad=1, sin=1))
    await _relay_killed(measurement, fra=None)
    await measurement.follows(cut, warning("RelayMonitorAbsent", ABSENT, location="fra"))
    await _restored(measurement, "its network is back", ("fra",))


async def written_cut_off(measurement: Measurement) -> None:
    """A location that stops writing keeps its last vote for five minutes; the others outvote it."""
    cut = measurement.begin("fra is cut off, its Prometheus does not write")
    _cut_off(measurement, "fra")
    await _relay_killed(measurement, fra=1)
    await measurement.follows(cut, voted(LOOK_BACK, iad=1, sin=1))
    await _restored(measurement, "its network is back", ("fra",))


async def _restored(measurement: Measurement, what: str, locations: Sequence[str], *due: Notice) -> None:
    """Restore the networks of these locations; all vote again, and what else is due follows."""
    change = measurement.begin(what)
    for location in locations:
        measurement.world.network.restore(location)
    await measurement.follows(change, *due, voted(VOTES, **ALL))


async def _relay_killed(measurement: Measurement, *, fra: float | None) -> None:
    """Kill the relay and start it again, while the vote of one location does not change."""
    unchanged = {} if fra is None else {"fra": fra}
    change = measurement.begin("meanwhile the relay is killed")
    await measurement.world.kill_relay()
    await measurement.follows(change, page("RelayDown", PAGE, relay="relay"), voted(VOTES, iad=0, sin=0, **unchanged))
    change = measurement.begin("the relay is back")
    await measurement.world.revive_relay()
    await measurement.follows(
        change, resolved("RelayDown", RESOLVED, relay="relay"), voted(VOTES, iad=1, sin=1, **unchanged)
    )


def _cut_off(measurement: Measurement, location: str) -> None:
    measurement.world.network.cut_egress(location)
    measurement.world.network.cut_scrapes(location)


@dataclass(frozen=True, slots=True)
class Case:
    """What is done in one world, the warnings that may come besides what is due, and the topology."""

    run: Callable[[Measurement], Awaitable[None]]
    allowed: frozenset[str] = frozenset()
    topology: str = DIRECT


SYMPTOMS: Final = frozenset({"RelayProbeFailing", "RelayErrorBudgetBurn", "RelayPairsUnstable", "RelayMessagesLost"})
"""Warnings that a relay which was down or not reached may leave."""

CASES: Final = {
    "two-without-network": Case(two_without_network, SYMPTOMS),
    "monitor-killed": Case(monitor_killed, SYMPTOMS),
    "written-cut-off": Case(written_cut_off, SYMPTOMS, REMOTE_WRITE),
    "federated-cut-off": Case(federated_cut_off, SYMPTOMS, FEDERATED),
    "one-cut-off": Case(one_cut_off),
    "two-cut-off": Case(two_cut_off),
    "path-lost": Case(path_lost, SYMPTOMS),
    "one-without-network": Case(one_without_network),
}
"""By name, the longest ones first."""
