"""Alerts about the monitors themselves: are they there, do they run, do they trust themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.burn_rate import MIN_SCRAPES
from monitor.config import show_duration
from monitor.slo.rules.rule import Alert, any_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.config import Config

HEALTH: Final = "relay-monitor-health"
SHARD: Final = "relay_monitor_shard_info"
LEAST: Final = 300.0
"""Seconds without a run after which a probe is stale at the soonest, where scrapes are close enough to see it."""


def alerts(config: Config) -> Iterator[Alert]:
    """All of them."""
    yield from _stale(config)
    yield from _absent(config)
    yield from _unhealthy(config)
    yield Alert(
        name="RelayMonitorConfigReloadFailed",
        severity="warning",
        expr="relay_monitor_config_last_reload_successful == 0",
        wait=300.0,
        summary="The monitor could not take up its new configuration.",
        description="The monitor at {{ $labels.location }} goes on with its old configuration: the new one has faults. "
        "`relay-monitor check` names them.",
        panel=HEALTH,
    )
    yield Alert(
        name="Watchdog",
        severity="none",
        expr="vector(1)",
        summary="Always fires: whoever hears it no more knows that alerting is broken.",
        description="Send it to a receiver that pages when it falls silent.",
        panel=HEALTH,
    )
    yield Alert(
        name="RelayInMaintenance",
        severity="info",
        expr="max by (relay) (relay_probe_maintenance) == 1",
        summary="The relay is in a maintenance window; its other alerts are held back.",
        description="Runs at {{ $labels.relay }} go on and are excluded from every SLO.",
        panel=HEALTH,
    )


def _stale(config: Config) -> Iterator[Alert]:
    by_window: dict[float, list[str]] = {}
    least = max(LEAST, MIN_SCRAPES * config.prometheus.scrape_interval)
    for probe in config.probes:
        # Two runs may be missed; a cron line's nights are no silence.
        missed = 2 * (probe.period or probe.longest_gap)
        by_window.setdefault(max(least, probe.longest_gap + missed), []).append(probe.name)
    for window, names in sorted(by_window.items()):
        started = f'relay_monitor_runs_total{{result="started", probe=~"{any_of(names)}"}}'
        span, by = show_duration(window), "relay, probe, location"
        yield Alert(
            name="RelayProbeStale",
            severity="warning",
            # What was not there yet when the window began may have its first run ahead of it; what is gone by now was
            # taken out of the configuration, or its monitor is gone, which RelayMonitorAbsent tells.
            expr=f"sum by ({by}) (increase({started}[{span}])) == 0\n"
            f"and\nsum by ({by}) ({started} offset {span})\nand\nsum by ({by}) ({started})",
            wait=60.0,
            labels={"window": span},
            summary="A probe has not run for a long time.",
            description="Probe {{ $labels.probe }} at {{ $labels.relay }} ({{ $labels.location }}) has not run for "
            f"{span}: what it should tell is not known.",
            panel=HEALTH,
        )


def _absent(config: Config) -> Iterator[Alert]:
    """One rule for each monitor, since one over several is silent while any lives; a page once most are gone."""
    alone = len(config.locations) == 1
    parts = [f"{shard}/{config.shards}" for shard in range(config.shards)]
    for location in config.locations:
        for part in parts:
            who = f"shard {part} of location {location}" if config.shards > 1 else f"location {location}"
            yield Alert(
                name="RelayMonitorAbsent",
                severity="critical" if alone else "warning",
                expr=f'absent({SHARD}{{location="{location}", shard="{part}"}})',
                wait=60.0,
                labels={"location": location, "shard": part},
                summary="A monitor is gone: nobody watches from there.",
                description=f"No monitor of {who} is scraped: it is down, or Prometheus cannot reach it.",
                panel=HEALTH,
            )
    for part in () if alone else parts:
        there = f'{SHARD}{{location=~"{any_of(config.locations)}", shard="{part}"}}'
        yield Alert(
            name="RelayMonitorAbsent",
            severity="critical",
            expr=f"count(count by (location) ({there})) < {len(config.locations) / 2:g}\nor\nabsent({there})",
            wait=60.0,
            labels={"shard": part},
            summary="Most monitors are gone: hardly anybody watches.",
            description=f"Of shard {part}, monitors of more than half of all locations are not scraped: they are down, "
            "or Prometheus cannot reach them.",
            panel=HEALTH,
        )


def _unhealthy(config: Config) -> Iterator[Alert]:
    """It is not well before it has been for a minute: a host that is starved time and again lets it recover between."""
    span = show_duration(max(60.0, MIN_SCRAPES * config.prometheus.scrape_interval))
    for severity, wait in (("warning", 120.0), ("critical", 900.0)):
        yield Alert(
            name="RelayMonitorUnhealthy",
            severity=severity,
            expr=f"min_over_time(relay_monitor_healthy[{span}]) == 0",
            wait=wait,
            summary="A monitor does not trust itself; its verdicts are frozen.",
            description="The monitor at {{ $labels.location }} aborts its runs: its event loop, its clock, its "
            "descriptors, its memory or its own network are in trouble. Its log and /api/v1/status say which.",
            panel=HEALTH,
        )
