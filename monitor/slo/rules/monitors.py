"""Alerts about the monitors themselves: are they there, do they trust themselves, do the rules fit them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.catalogue import Sli
from monitor.config import show_duration
from monitor.slo.rules.recorded import budgeted
from monitor.slo.rules.rule import Alert, any_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.config import Config

HEALTH: Final = "relay-monitor-health"
SHARD: Final = "relay_monitor_shard_info"
LEAST: Final = 300.0
"""Seconds without a run after which a probe is stale at the soonest."""


def alerts(config: Config) -> Iterator[Alert]:
    """All of them."""
    yield from _stale(config)
    yield from _absent(config)
    yield from _unhealthy()
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
    yield from _drift(config)
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
    for probe in config.probes:
        # Two runs may be missed; a cron line's nights are no silence.
        missed = 2 * (probe.period or probe.longest_gap)
        by_window.setdefault(max(LEAST, probe.longest_gap + missed), []).append(probe.name)
    for window, names in sorted(by_window.items()):
        started = f'relay_monitor_runs_total{{result="started", probe=~"{any_of(names)}"}}'
        yield Alert(
            name="RelayProbeStale",
            severity="warning",
            expr=f"sum by (relay, probe, location) (increase({started}[{show_duration(window)}])) == 0",
            wait=60.0,
            labels={"window": show_duration(window)},
            summary="A probe has not run for a long time.",
            description="Probe {{ $labels.probe }} at {{ $labels.relay }} ({{ $labels.location }}) has not run for "
            f"{show_duration(window)}: what it should tell is not known.",
            panel=HEALTH,
        )


def _absent(config: Config) -> Iterator[Alert]:
    """One rule for each monitor: a rule over several of them is silent while any one lives."""
    severity = "critical" if len(config.locations) == 1 else "warning"
    for location in config.locations:
        for shard in range(config.shards):
            part = f"{shard}/{config.shards}"
            who = f"shard {part} of location {location}" if config.shards > 1 else f"location {location}"
            yield Alert(
                name="RelayMonitorAbsent",
                severity=severity,
                expr=f'absent({SHARD}{{location="{location}", shard="{part}"}})',
                wait=60.0,
                labels={"location": location, "shard": part},
                summary="A monitor is gone: nobody watches from there.",
                description=f"No monitor of {who} is scraped: it is down, or Prometheus cannot reach it.",
                panel=HEALTH,
            )


def _unhealthy() -> Iterator[Alert]:
    for severity, wait in (("warning", 120.0), ("critical", 900.0)):
        yield Alert(
            name="RelayMonitorUnhealthy",
            severity=severity,
            expr="relay_monitor_healthy == 0",
            wait=wait,
            summary="A monitor does not trust itself; its verdicts are frozen.",
            description="The monitor at {{ $labels.location }} aborts its runs: its event loop, its clock, its "
            "descriptors, its memory or its own network are in trouble. Its log and /api/v1/status say which.",
            panel=HEALTH,
        )


def _drift(config: Config) -> Iterator[Alert]:
    places = any_of(config.locations)
    yield Alert(
        name="RelayMonitorRulesDrift",
        severity="warning",
        expr=f'{SHARD}{{location!~"{places}"}}\nor\n{SHARD}{{shard!~"[0-9]+/{config.shards}"}}',
        wait=600.0,
        labels={"about": "monitors"},
        summary="The monitor's configuration and the deployed rules disagree.",
        description="A monitor runs as shard {{ $labels.shard }} of location {{ $labels.location }}, of which the "
        "rules know nothing: its absence would not be told, and its voice not counted right. Set `locations` and "
        "`shards`, generate the rules and deploy them again.",
        panel=HEALTH,
    )
    if not budgeted(config):
        return
    by = "slo, relay, location"
    pairs: tuple[tuple[str, str], ...] = (
        ("relay_slo_objective_ratio", "slo:objective:ratio"),
        ("relay_slo_threshold_seconds", "slo:threshold:seconds"),
    )
    if not any(slo.sli is Sli.LATENCY for slo in config.slos):
        pairs = pairs[:1]
    differ = [f"(max by ({by}) ({running}) != on ({by}) max by ({by}) ({ruled}))" for running, ruled in pairs]
    unknown = [f"(max by ({by}) ({running}) unless on ({by}) {ruled})" for running, ruled in pairs]
    yield Alert(
        name="RelayMonitorRulesDrift",
        severity="warning",
        expr="\nor\n".join([*differ, *unknown]),
        wait=600.0,
        labels={"about": "objectives"},
        summary="The monitor's configuration and the deployed rules disagree.",
        description="SLO {{ $labels.slo }} of {{ $labels.relay }} is judged by another objective or threshold than the "
        "rules were generated with, or they do not know it: generate and deploy them again.",
        panel=HEALTH,
    )
