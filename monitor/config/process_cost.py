"""What a configuration costs the process that runs it: CPU, memory, connections, and descriptors also in an outage.

The constants are those that `bench.costs` measures; docs/performance.md has the machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from monitor.config.attempts import CONNECTS, attempt_costs, round_attempts
from monitor.config.capacity import footprint
from monitor.config.sharding import shard_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.config.attempts import AttemptCost
    from monitor.config.capacity import RelayFootprint
    from monitor.config.model import Config
    from monitor.config.relay import RelayConfig

CPU_OF_PROCESS: Final = 0.003
"""Share of a core that a process takes without relays."""

CPU_OF_RELAY: Final = 0.000035
"""Share of a core that is needed for each relay, whatever its probes do."""

CPU_OF_CONNECTION: Final = 0.00003
"""Share of a core for each persistent connection: pings, timers, and a run of an idle connection every 30 s."""

CPU_OF_MESSAGE: Final = 0.0012
"""CPU seconds for each published message, with its delivery and its share of an exchange."""

CPU_OF_CONNECT: Final = 0.002
"""CPU seconds for each connect, with its share of a pairing."""

CPU_OF_TLS: Final = 0.002
"""CPU seconds for each connect over TLS, in addition."""

CPU_OF_SERIES: Final = 2.7e-6
"""CPU seconds for each series in each scrape, compressed."""

BYTES_OF_PROCESS: Final = 85e6
"""Resident memory of a process without relays."""

BYTES_OF_RELAY: Final = 15e3
"""Resident memory for each relay, without its series and connections."""

BYTES_OF_CONNECTION: Final = 17e3
"""Resident memory for each persistent connection."""

BYTES_OF_TLS: Final = 37e3
"""Resident memory for each persistent connection over TLS, in addition."""

BYTES_OF_SERIES: Final = 1500.0
"""Resident memory for each series, with its part of the pages that are rendered."""

BYTES_OF_JOURNAL: Final = 32e6
"""Resident memory of the journal, at most: the database without `state_dir`, its caches with one."""

DESCRIPTORS: Final = 64
"""Descriptors of a process without relays: files, the web server with some readers, references."""

_MINUTE: Final = 60.0

MAX_CPU: Final = 0.4
"""Share of a core above which a process delays the messages that it measures: another shard should take a part."""

MAX_SHARDS: Final = 100
"""Shards that `check` advises at most."""


class Limit(StrEnum):
    """What a process may exceed: `MAX_CPU`, or a limit of the machine."""

    CPU = "cpu"
    DESCRIPTORS = "descriptors"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessCost:
    """The cost of one process.

    cpu: share of a core, scrapes included. memory: resident bytes.
    connections: persistent ones. descriptors: at most, when all bounded probes run at the same time, and a round of
    attempts to each relay waits for replies.
    """

    relays: int
    cpu: float
    memory: float
    connections: int
    descriptors: int

    def exceeded(self, *, descriptors: int | None, memory: int | None) -> dict[Limit, float]:
        """Return those of `MAX_CPU` and these limits (memory in bytes, None for no limit) that the process exceeds."""
        limits = {
            Limit.CPU: (self.cpu, MAX_CPU),
            Limit.DESCRIPTORS: (self.descriptors, descriptors),
            Limit.MEMORY: (self.memory, memory),
        }
        return {limit: most for limit, (value, most) in limits.items() if most is not None and value > most}


def _relay_cost(
    relay: RelayConfig, probes: RelayFootprint, attempts: AttemptCost, series: int, scrape_interval: float
) -> ProcessCost:
    """Return what one relay adds to the cost of a process."""
    secure = relay.url.startswith("wss:")
    messages = (probes.messages + attempts.messages) / _MINUTE
    connects = (probes.connects + attempts.connects) / _MINUTE
    return ProcessCost(
        relays=1,
        cpu=CPU_OF_RELAY
        + CPU_OF_CONNECTION * probes.connections
        + CPU_OF_MESSAGE * messages
        + (CPU_OF_CONNECT + CPU_OF_TLS * secure) * connects
        + CPU_OF_SERIES * series / scrape_interval,
        memory=BYTES_OF_RELAY
        + (BYTES_OF_CONNECTION + BYTES_OF_TLS * secure) * probes.connections
        + BYTES_OF_SERIES * series,
        connections=probes.connections,
        descriptors=probes.connections + probes.run_connections + CONNECTS * round_attempts(relay),
    )


class ProcessCosts:
    """The costs of the processes that divide the relays of a configuration.

    series: number of series of each relay. own_series: those of the monitor itself.
    """

    def __init__(self, config: Config, series: Mapping[str, int], own_series: int) -> None:
        self._shards = config.shards
        interval = config.prometheus.scrape_interval
        self._own_cpu = CPU_OF_PROCESS + CPU_OF_SERIES * own_series / interval
        self._relays = {
            relay.name: _relay_cost(relay, probes, attempts, series[relay.name], interval)
            for relay, probes, attempts in zip(config.relays, footprint(config), attempt_costs(config), strict=True)
        }

    @property
    def largest(self) -> ProcessCost:
        """The largest value of each cost over all processes, with the configured number of them."""
        processes = self.divided(self._shards)
        return ProcessCost(
            relays=max(process.relays for process in processes),
            cpu=max(process.cpu for process in processes),
            memory=max(process.memory for process in processes),
            connections=max(process.connections for process in processes),
            descriptors=max(process.descriptors for process in processes),
        )

    def divided(self, shards: int) -> list[ProcessCost]:
        """Return the cost of each of so many processes."""
        parts: list[list[ProcessCost]] = [[] for _ in range(shards)]
        for name, cost in self._relays.items():
            parts[shard_number(name, shards)].append(cost)
        return [self._process(part) for part in parts]

    def shards_needed(self, *, descriptors: int | None, memory: int | None) -> int | None:
        """Return a number of shards with which each process stays within `MAX_CPU` and these limits (memory in bytes).

        Returns None if one relay is too much for a process, and more than `MAX_SHARDS` if so many are too few.
        """

        def fits(cost: ProcessCost) -> bool:
            return not cost.exceeded(descriptors=descriptors, memory=memory)

        if not all(fits(self._process([relay])) for relay in self._relays.values()):
            return None
        least = math.ceil(math.fsum(relay.cpu for relay in self._relays.values()) / MAX_CPU)
        counts = range(max(self._shards, least), MAX_SHARDS + 1)
        return next((count for count in counts if all(fits(cost) for cost in self.divided(count))), MAX_SHARDS + 1)

    def _process(self, relays: list[ProcessCost]) -> ProcessCost:
        return ProcessCost(
            relays=len(relays),
            cpu=self._own_cpu + math.fsum(relay.cpu for relay in relays),
            memory=BYTES_OF_PROCESS + BYTES_OF_JOURNAL + math.fsum(relay.memory for relay in relays),
            connections=sum(relay.connections for relay in relays),
            descriptors=DESCRIPTORS + sum(relay.descriptors for relay in relays),
        )
