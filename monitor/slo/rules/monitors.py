"""Alerts about the monitors themselves: presence, schedule, health, configuration, and the watchdog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.burn_rate import MIN_SCRAPES
from monitor.config import show_duration
from monitor.slo.rules.rule import HEALTH_DASHBOARD, Alert, any_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.config import Config

SHARD: Final = "relay_monitor_shard_info"
MIN_STALE_WINDOW: Final = 300.0
"""Shortest time without a run, in seconds, after which a probe is stale."""

MIN_UNHEALTHY_WINDOW: Final = 60.0
"""Shortest time in seconds for which every scrape must report an unhealthy monitor, before the alert is pending."""


def alerts(config: Config) -> Iterator[Alert]:
    """Yield the alerts about monitors."""
    yield from _stale(config)
    yield from _absent(config)
    yield from _unhealthy(config)
    yield Alert(
        name="RelayMonitorConfigReloadFailed",
        severity="warning",
        expr="relay_monitor_config_last_reload_successful == 0",
        pending_for=300.0,
        summary="Configuration reload failed on monitor {{ $labels.location }}",
        description="The monitor at {{ $labels.location }} continues with its previous configuration, because the new "
        "one is invalid. `relay-monitor check` lists every error with its line.",
        dashboard=HEALTH_DASHBOARD,
    )
    yield Alert(
        name="Watchdog",
        severity="none",
        expr="vector(1)",
        summary="Alerting works: this alert always fires",
        description="Route it to a receiver that pages when the alert stops arriving.",
        dashboard=HEALTH_DASHBOARD,
    )
    yield Alert(
        name="RelayInMaintenance",
        severity="info",
        expr="max by (relay) (relay_probe_maintenance) == 1",
        summary="{{ $labels.relay }} is in a maintenance window; its other alerts are inhibited",
        description="Runs on {{ $labels.relay }} continue and are excluded from every SLO.",
        dashboard=HEALTH_DASHBOARD,
    )


def _stale(config: Config) -> Iterator[Alert]:
    by_window: dict[float, list[str]] = {}
    shortest = max(MIN_STALE_WINDOW, MIN_SCRAPES * config.prometheus.scrape_interval)
    for probe in config.probes:
        # Two runs may be missed. The pauses of a cron schedule count once, as its longest gap.
        missed = 2 * (probe.period or probe.longest_gap)
        by_window.setdefault(max(shortest, probe.longest_gap + missed), []).append(probe.name)
    for window, names in sorted(by_window.items()):
        started = f'relay_monitor_runs_total{{result="started", probe=~"{any_of(names)}"}}'
        span, by = show_duration(window), "relay, probe, location"
        yield Alert(
            name="RelayProbeStale",
            severity="warning",
            # A series must exist at both ends of the window. A newer probe may not be due yet; an older one was removed
            # from the configuration, or its monitor is absent, which is RelayMonitorAbsent.
            expr=f"sum by ({by}) (increase({started}[{span}])) == 0\n"
            f"and\nsum by ({by}) ({started} offset {span})\nand\nsum by ({by}) ({started})",
            pending_for=60.0,
            labels={"window": span},
            summary="Probe {{ $labels.probe }} on {{ $labels.relay }} has not run for " + span,
            description="Probe {{ $labels.probe }} on {{ $labels.relay }} ({{ $labels.location }}) has not run for "
            f"{span}; its results are out of date.",
            dashboard=HEALTH_DASHBOARD,
        )


def _absent(config: Config) -> Iterator[Alert]:
    """Yield one rule for each monitor, since `absent` of several is silent while one of them is scraped, and the page.

    The page fires once more than half of the locations are absent.
    """
    single = len(config.locations) == 1
    shards = [f"{index}/{config.shards}" for index in range(config.shards)]
    for location in config.locations:
        for shard in shards:
            monitor = f"shard {shard} of location {location}" if config.shards > 1 else f"location {location}"
            yield Alert(
                name="RelayMonitorAbsent",
                severity="critical" if single else "warning",
                expr=f'absent({SHARD}{{location="{location}", shard="{shard}"}})',
                pending_for=60.0,
                labels={"location": location, "shard": shard},
                summary=f"Monitor of {monitor} is absent",
                description=f"Prometheus scrapes no monitor of {monitor}: the monitor is down or cannot be reached.",
                dashboard=HEALTH_DASHBOARD,
            )
    for shard in () if single else shards:
        scraped = f'{SHARD}{{location=~"{any_of(config.locations)}", shard="{shard}"}}'
        yield Alert(
            name="RelayMonitorAbsent",
            severity="critical",
            expr=f"count(count by (location) ({scraped})) < {len(config.locations) / 2:g}\nor\nabsent({scraped})",
            pending_for=60.0,
            labels={"shard": shard},
            summary=f"Monitors of shard {shard} are absent at most locations",
            description=f"Prometheus scrapes no monitor of shard {shard} at more than half of the locations: the "
            "monitors are down or cannot be reached.",
            dashboard=HEALTH_DASHBOARD,
        )


def _unhealthy(config: Config) -> Iterator[Alert]:
    # Over a window, so that the alert of a host that is overloaded again and again does not start anew each time.
    window = show_duration(max(MIN_UNHEALTHY_WINDOW, MIN_SCRAPES * config.prometheus.scrape_interval))
    for severity, pending_for in (("warning", 120.0), ("critical", 900.0)):
        yield Alert(
            name="RelayMonitorUnhealthy",
            severity=severity,
            expr=f"min_over_time(relay_monitor_healthy[{window}]) == 0",
            pending_for=pending_for,
            summary="Monitor {{ $labels.location }} is unhealthy; its verdicts are suspended",
            description="The monitor at {{ $labels.location }} aborts its runs, because of its event loop, clock, file "
            "descriptors, memory or network. Its log and /api/v1/status show the reason.",
            dashboard=HEALTH_DASHBOARD,
        )
