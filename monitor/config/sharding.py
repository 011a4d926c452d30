"""The relays of each shard, by rendezvous hashing: a relay that is added or removed moves no other.

Of N shards, another one takes over one relay in N + 1 and moves no relay between the others.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.config.model import Config


def shard_number(relay: str, count: int) -> int:
    """Return which of `count` shards monitors a relay: the one with the largest hash of both.

    The hash is part of the interface: all processes of a location must agree, whatever their version.
    """
    return max(range(count), key=lambda index: blake2b(f"{index}/{relay}".encode(), digest_size=8).digest())


def shard_of(config: Config, index: int, count: int) -> Config:
    """Return the configuration of shard `index` of `count`; it has no relay if there are too few."""
    mine = tuple(relay for relay in config.relays if shard_number(relay.name, count) == index)
    names = {relay.name for relay in mine}
    probes = tuple(
        probe.model_copy(update={"relays": tuple(name for name in probe.relays if name in names)})
        for probe in config.probes
        if names & set(probe.relays)
    )
    probe_names = {probe.name for probe in probes}
    slos = tuple(slo for slo in config.slos if probe_names & set(slo.probe))
    return config.model_copy(update={"relays": mine, "probes": probes, "slos": slos})


def relays_of_shards(config: Config) -> list[list[str]]:
    """Return the names of the relays of each shard."""
    found: list[list[str]] = [[] for _ in range(config.shards)]
    for relay in config.relays:
        found[shard_number(relay.name, config.shards)].append(relay.name)
    return found
