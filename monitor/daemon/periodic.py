"""What the daemon does once a second: gauges, incidents, expired windows and files that are due."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from monitor.logs import REPETITIONS

if TYPE_CHECKING:
    from typing import Never

    from monitor.config import Config
    from monitor.daemon.conditions import Conditions
    from monitor.daemon.incidents import IncidentRecorder
    from monitor.daemon.maintenance import MaintenanceOnDemand
    from monitor.daemon.pipeline import ResultPipeline
    from monitor.health import SelfCheck
    from monitor.journal import Journal
    from monitor.metrics import Metrics
    from monitor.relays import MonitoredRelays
    from monitor.schedule import Maintenance

INTERVAL: Final = 1.0
"""Seconds between two rounds."""

RELAYS_AT_ONCE: Final = 20
"""Relays whose gauges and incidents are updated without a pause for the event loop."""


class Parts(Protocol):
    """The parts of the daemon that `run_periodic` reads and updates."""

    config: Config
    conditions: Conditions | None
    health: SelfCheck
    incidents: IncidentRecorder
    journal: Journal
    maintenance: Maintenance
    maintenance_on_demand: MaintenanceOnDemand
    metrics: Metrics
    monitored_relays: MonitoredRelays
    pipeline: ResultPipeline


async def run_periodic(parts: Parts) -> Never:
    """Update gauges, incidents, windows and files once a second, until it is cancelled."""
    exported: dict[str, tuple[object, ...]] = {}
    of_config = parts.config
    while True:
        await asyncio.sleep(INTERVAL)
        parts.pipeline.review()
        parts.metrics.set_journal_healthy(parts.journal.healthy)
        parts.maintenance_on_demand.review()
        REPETITIONS.summarize()
        if parts.conditions is not None:
            parts.conditions.write()
        if of_config is not parts.config:  # series may be new
            of_config, exported = parts.config, {}
        await _export_relays(parts, exported)
        parts.incidents.save()
        parts.metrics.set_reference_up(parts.health.reference_up)


async def _export_relays(parts: Parts, exported: dict[str, tuple[object, ...]]) -> None:
    """Update the incident of each relay, and its gauges where they are not those in `exported`."""
    for number, (name, relay) in enumerate(list(parts.monitored_relays.relays.items())):
        if number % RELAYS_AT_ONCE == 0:
            await asyncio.sleep(0)
        active = parts.maintenance.active(name) is not None
        parts.incidents.tick(name, parts.maintenance)
        expires, lifetime = relay.admission.credentials.life.expires, relay.admission.credentials.lifetime
        if exported.get(name) != (active, expires, lifetime):
            exported[name] = (active, expires, lifetime)
            parts.metrics.set_relay_maintenance(name, active)
            parts.metrics.set_credentials_expiry(name, expires, lifetime)
            await asyncio.sleep(0)
