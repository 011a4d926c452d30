"""What a configuration costs Prometheus: series and samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.config.sharding import shard_number
from monitor.metrics.exporter import Metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.config import Config, RelayConfig

BYTES_A_SERIES = 4000
"""Memory that Prometheus takes for an active series, with its share of the index and of the latest samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesCost:
    """Active series: of the largest process, of the largest relay, and of all locations and shards.

    own: those of the monitor itself. of_relays: those of each relay.
    interval: seconds between two scrapes.
    """

    own: int
    of_relays: Mapping[str, int]
    of_process: int
    of_relay: int
    of_all: int
    interval: float


def series_cost(config: Config) -> SeriesCost:
    """Count the series of a configuration before its first run, which adds ten or so to each relay: its verdicts."""
    known: dict[tuple[object, ...], int] = {}  # relays that differ in nothing have the same number
    of_shard = [0] * config.shards
    own, of_relays = 0, {}
    for relay in config.relays:
        key = _kind(config, relay)
        if key not in known:
            known[key], own = _count(_only(config, relay), relay.name)
        of_shard[shard_number(relay.name, config.shards)] += known[key]
        of_relays[relay.name] = known[key]
    return SeriesCost(
        own=own,
        of_relays=of_relays,
        of_process=own + max(of_shard),
        of_relay=max(of_relays.values()),
        of_all=len(config.locations) * (own * config.shards + sum(of_shard)),
        interval=config.prometheus.scrape_interval,
    )


def _kind(config: Config, relay: RelayConfig) -> tuple[object, ...]:
    """What determines the number of a relay's series."""
    probes = tuple(probe.name for probe in config.probes if relay.name in probe.relays)
    thresholds = tuple(slo.threshold_for(relay.name) is None for slo in config.slos)
    return probes, thresholds, relay.url.startswith("wss:")


def _only(config: Config, relay: RelayConfig) -> Config:
    """The configuration with one relay."""
    probes = tuple(
        probe.model_copy(update={"relays": (relay.name,)}) for probe in config.probes if relay.name in probe.relays
    )
    return config.model_copy(update={"relays": (relay,), "probes": probes})


def _count(config: Config, relay: str) -> tuple[int, int]:
    """Count the series of a relay, and those of the monitor itself."""
    samples = [sample for metric in Metrics(config, version="").registry.collect() for sample in metric.samples]
    of_relay = sum(sample.labels.get("relay") == relay for sample in samples)
    return of_relay, len(samples) - of_relay
