"""Alerts about the monitors themselves: presence, restarts, schedule, health, configuration, and the watchdog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.config import show_duration
from monitor.slo.rules.rule import HEALTH_DASHBOARD, Alert, Record, any_of
from monitor.slo.rules.timing import Timing
from monitor.slo.rules.verdicts import DEFAULT_PAGE_AFTER, LOCAL_RELAY, SETTINGS, UP_VOTE, Selectors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.config import Config

SHARD: Final = "relay_monitor_shard_info"
STARTED: Final = "relay_monitor:started"
"""Recorded: start time of the newest process of each location and shard."""

MIN_STALE_WINDOW: Final = 300.0
"""Shortest time without a run, in seconds, after which a probe is stale."""

MIN_UNHEALTHY_WINDOW: Final = 120.0
"""Shortest time in seconds of which most scrapes must report an unhealthy monitor, before the alert is pending."""

ABSENT_WAIT: Final = {"warning": 300.0, "critical": 180.0}
"""Seconds for which a monitor must be absent; a rolling update or the drain of a node takes less."""

RESTART_WINDOW: Final = 900.0
"""Seconds within which three restarts warn."""


FAULT_WINDOW: Final = 900.0
"""Seconds for which one failed task warns."""


def records(config: Config) -> Iterator[Record]:
    """Yield the recorded series about monitors."""
    started = Selectors(config)("relay_monitor_start_time_seconds")
    yield Record(name=STARTED, expr=f"max by (install, location, shard) ({started})")


def alerts(config: Config) -> Iterator[Alert]:
    """Yield the alerts about monitors."""
    own, timing = Selectors(config), Timing.of(config)
    yield from _stale(config, own, timing)
    yield from _absent(config, own, timing)
    yield _restarting(own, timing)
    yield from _unhealthy(own, timing)
    yield _all_relays(own, timing)
    yield Alert(
        name="RelayMonitorConfigReloadFailed",
        severity="warning",
        expr=f"{own('relay_monitor_config_last_reload_successful')} == 0",
        pending_for=timing.wait(300.0),
        summary="Configuration reload failed on monitor {{ $labels.location }}",
        description="The monitor at {{ $labels.location }} continues with its previous configuration, because the new "
        "one is invalid. `relay-monitor check` lists every error with its line.",
        dashboard=HEALTH_DASHBOARD,
    )
    yield from _faults(own, timing)
    yield Alert(
        name="Watchdog",
        severity="none",
        expr="vector(1)",
        summary="Alerting works: this alert always fires",
        description="Route it to a receiver that pages when the alert stops arriving.",
        dashboard=HEALTH_DASHBOARD,
    )


def _faults(own: Selectors, timing: Timing) -> Iterator[Alert]:
    """Yield the warnings about faults of the monitor's own that its health checks do not see."""
    window = show_duration(timing.window(FAULT_WINDOW))
    failures = own("relay_monitor_task_failures_total")
    yield Alert(
        name="RelayMonitorTaskFailed",
        severity="warning",
        expr=f"sum by (install, location, task) (increase({failures}[{window}])) > 0",
        summary="Task {{ $labels.task }} of monitor {{ $labels.location }} failed by a bug",
        description="Task {{ $labels.task }} of the monitor at {{ $labels.location }} ended by a fault of its own and "
        "was started again. Its log has the traceback; please report it.",
        dashboard=HEALTH_DASHBOARD,
    )
    yield Alert(
        name="RelayMonitorJournalFailed",
        severity="warning",
        expr=f"max by (install, location) ({own('relay_monitor_journal_healthy')}) == 0",
        pending_for=timing.wait(300.0),
        summary="Monitor {{ $labels.location }} cannot write its journal",
        description="The monitor at {{ $labels.location }} goes on without its journal: runs and incidents since then "
        "are lost at its next restart. Check `state_dir` and its disk.",
        dashboard=HEALTH_DASHBOARD,
    )


def _stale(config: Config, own: Selectors, timing: Timing) -> Iterator[Alert]:
    by_window: dict[float, list[str]] = {}
    for probe in config.probes:
        # Two runs may be missed. The pauses of a cron schedule count once, as its longest gap.
        missed = 2 * (probe.period or probe.longest_gap)
        window = max(timing.window(MIN_STALE_WINDOW), probe.longest_gap + missed)
        by_window.setdefault(window, []).append(probe.name)
    for window, names in sorted(by_window.items()):
        started = own("relay_monitor_runs_total", f'result="started", probe=~"{any_of(names)}"')
        span, by = show_duration(window), f"{LOCAL_RELAY}, probe"
        yield Alert(
            name="RelayProbeStale",
            severity="warning",
            # A series must exist at both ends of the window. A newer probe may not be due yet; an older one was removed
            # from the configuration, or its monitor is absent, which is RelayMonitorAbsent.
            expr=own.owned(
                f"sum by ({by}) (increase({started}[{span}])) == 0\n"
                f"and\nsum by ({by}) ({started} offset {span})\nand\nsum by ({by}) ({started})"
            ),
            pending_for=timing.wait(60.0),
            labels={"window": span},
            summary="Probe {{ $labels.probe }} on {{ $labels.relay }} has not run for " + span,
            description="Probe {{ $labels.probe }} on {{ $labels.relay }} ({{ $labels.location }}) has not run for "
            f"{span}; its results are out of date.",
            dashboard=HEALTH_DASHBOARD,
        )


def _absent(config: Config, own: Selectors, timing: Timing) -> Iterator[Alert]:
    """Yield one rule for each monitor, since `absent` of several is silent while one of them is scraped, and the page.

    The page fires once more than half of the locations are absent.
    """
    single = len(config.locations) == 1
    severity = "critical" if single else "warning"
    shards = [f"{index}/{config.shards}" for index in range(config.shards)]
    for location in config.locations:
        for shard in shards:
            monitor = f"shard {shard} of location {location}" if config.shards > 1 else f"location {location}"
            matchers = f'location="{location}", shard="{shard}"'
            yield Alert(
                name="RelayMonitorAbsent",
                severity=severity,
                expr=f"absent({own(SHARD, matchers)})",
                pending_for=timing.absent(ABSENT_WAIT[severity]),
                labels={"location": location, "shard": shard},
                summary=f"Monitor of {monitor} is absent",
                description=f"Prometheus scrapes no monitor of {monitor}: the monitor is down or cannot be reached.",
                dashboard=HEALTH_DASHBOARD,
            )
    for shard in () if single else shards:
        scraped = own(SHARD, f'location=~"{any_of(config.locations)}", shard="{shard}"')
        present = f"count by (install) (count by (install, location) ({scraped}))"
        yield Alert(
            name="RelayMonitorAbsent",
            severity="critical",
            expr=f"{present} < {len(config.locations) / 2:g}\nor\nabsent({scraped})",
            pending_for=timing.absent(ABSENT_WAIT["critical"]),
            labels={"shard": shard},
            summary=f"Monitors of shard {shard} are absent at most locations",
            description=f"Prometheus scrapes no monitor of shard {shard} at more than half of the locations: the "
            "monitors are down or cannot be reached.",
            dashboard=HEALTH_DASHBOARD,
        )


def _restarting(own: Selectors, timing: Timing) -> Alert:
    # A restart is seen a scrape and an evaluation later at most: two that are closer may be seen as one.
    window = show_duration(max(RESTART_WINDOW, 4 * (timing.scrape + timing.evaluation)))
    return Alert(
        name="RelayMonitorAbsent",
        severity="warning",
        expr=f"changes({own(STARTED)}[{window}]) >= 3",
        keep_firing_for=timing.keep(300.0),
        labels={"about": "restarts"},
        summary="Monitor {{ $labels.location }} restarts again and again",
        description="The monitor of shard {{ $labels.shard }} at location {{ $labels.location }} has restarted "
        f'{{{{ $value | printf "%.0f" }}}} times within {window}. Its log shows why.',
        dashboard=HEALTH_DASHBOARD,
    )


def _unhealthy(own: Selectors, timing: Timing) -> Iterator[Alert]:
    # Most of a window, so that the alert of a host that is overloaded again and again does not start anew each time.
    window = show_duration(timing.window(MIN_UNHEALTHY_WINDOW))
    for severity, pending_for in (("warning", 60.0), ("critical", 840.0)):
        yield Alert(
            name="RelayMonitorUnhealthy",
            severity=severity,
            expr=f"avg_over_time({own('relay_monitor_healthy')}[{window}]) < 0.5",
            pending_for=timing.wait(pending_for),
            summary="Monitor {{ $labels.location }} is unhealthy; its verdicts are suspended",
            description="The monitor at {{ $labels.location }} aborts its runs, because of its event loop, clock, file "
            "descriptors, memory or network. Its log and /api/v1/status show the reason.",
            dashboard=HEALTH_DASHBOARD,
        )


def _all_relays(own: Selectors, timing: Timing) -> Alert:
    """The page while all relays fail at once and no reference answers.

    Where another location sees relays up, it is the network of one monitor, a warning; regional relays page still.
    """
    failed = own("relay_monitor_failed_check", 'check="all_relays"')
    may_page, regional = own(SETTINGS, 'severity="critical"'), own(SETTINGS, 'severity="critical", scope="regional"')
    seen = f"(max by (install) ({own(UP_VOTE)}) == 1 unless on (install) {regional})"
    return Alert(
        name="RelayMonitorUnhealthy",
        severity="critical",
        expr=f"max by (install, location) ({failed}) == 1\nand on (install) {may_page}\nunless on (install) {seen}",
        pending_for=timing.wait(DEFAULT_PAGE_AFTER),
        keep_firing_for=timing.keep(120.0),
        labels={"about": "all relays"},
        summary="All relays fail from {{ $labels.location }}: all relays are down, or this monitor's network",
        description="At least 80 % of the relays became unreachable from {{ $labels.location }} at once, and no "
        "reference answers. The monitor's verdicts are suspended.",
        dashboard=HEALTH_DASHBOARD,
    )
