"""Alerts about the monitors themselves: presence, restarts, schedule, health, configuration, and the watchdog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.config import show_duration
from monitor.slo.rules import templates
from monitor.slo.rules.names import SETTINGS, UP_VOTE
from monitor.slo.rules.rule import HEALTH_DASHBOARD, Alert, Record, any_of
from monitor.slo.rules.timing import Timing
from monitor.slo.rules.verdicts import DEFAULT_PAGE_AFTER, LOCAL_RELAY, Selectors

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


_HERE: Final = "install=$install, location=$location"

_FIRST_ABSENT: Final = (
    "\nHow sure: Prometheus has had no sample of it for minutes; the monitor is down, or Prometheus cannot reach it."
    "\nFailing layer: the monitor or its scrape, not a relay."
    "\nFirst: Prometheus' targets page names the scrape's error; then the monitor's process and the end of its log."
)


def _last_scraped(matchers: str) -> str:
    return templates.last(f"{SHARD}{{install=$install, {matchers}}}", "Last scraped at ")


def _others(config: Config, shard: str) -> str:
    """The line that says how many locations are left."""
    present = templates.number(f'count(count by (location) ({SHARD}{{install=$install, shard="{shard}"}}))', "0")
    return f"\nMonitors that are scraped: {present} of {len(config.locations)} locations."


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
        description=templates.at_time(
            f"max(relay_monitor_config_last_reload_success_timestamp_seconds{{{_HERE}}})",
            "The monitor continues with the configuration of ",
        )
        + "The new configuration is invalid, or needs a restart; its changes have no effect."
        "\nFirst: run `relay-monitor check` with the new file: it lists every error with its line.",
        dashboard=HEALTH_DASHBOARD,
        is_of_relay=False,
    )
    yield from _faults(own, timing)
    yield Alert(
        name="Watchdog",
        severity="none",
        expr="vector(1)",
        summary="Alerting works: this alert always fires",
        description="Route it to a receiver that pages when the alert stops arriving.",
        dashboard=HEALTH_DASHBOARD,
        is_of_relay=False,
    )


def _faults(own: Selectors, timing: Timing) -> Iterator[Alert]:
    """Yield the warnings about faults of the monitor's own that its health checks do not see."""
    window = show_duration(timing.window(FAULT_WINDOW))
    failures = own("relay_monitor_task_failures_total")
    yield Alert(
        name="RelayMonitorTaskFailed",
        severity="warning",
        expr=f"sum by (install, location, task) (increase({failures}[{window}])) > 0",
        summary="Task {{ $labels.task }} of monitor {{ $labels.location }} failed because of a bug",
        description=f'Failures within {window}: {{{{ $value | printf "%.0f" }}}}. '
        "The task was started again; until then its runs are missing."
        "\nHow sure: counted by the monitor itself; this is a bug of the monitor, not a fault of a relay."
        "\nFirst: find the traceback in the monitor's log; if the release is new, go back to the one before, and "
        "report it.",
        dashboard=HEALTH_DASHBOARD,
        is_of_relay=False,
    )
    yield Alert(
        name="RelayMonitorJournalFailed",
        severity="warning",
        expr=f"max by (install, location) ({own('relay_monitor_journal_healthy')}) == 0",
        pending_for=timing.wait(300.0),
        summary="Monitor {{ $labels.location }} cannot write its journal",
        description=templates.last(
            f"max by (location) (relay_monitor_journal_healthy{{{_HERE}}}) == 1", "The journal was last written at "
        )
        + "Monitoring goes on; runs and incidents since then are in memory only, and lost at the next restart."
        "\nFirst: check the disk of `state_dir`: full, read-only, not mounted, or without permission.",
        dashboard=HEALTH_DASHBOARD,
        is_of_relay=False,
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
            description=templates.last_success("Its last good run ended at ")
            + f"No run has started at {{{{ $labels.location }}}} for {span}; its results are out of date."
            + templates.condition(templates.HERE)
            + "\nSlots within the time: "
            + templates.rows(
                f"sum by (result) (increase(relay_monitor_runs_total{{{templates.HERE}, probe=$probe}}[{span}]))",
                "result",
                '{{ $each.Value | printf "%.0f" }} {{ $each.Labels.result }}',
                "none now",
            )
            + ".\nFirst: missed: the monitor's host is overloaded or its clock stepped; skipped: runs take longer than "
            "their interval, or `limits` leave no room; neither: the probe is not in the running configuration.",
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
                description=_last_scraped(matchers)
                + "No relay is watched from there"
                + (", and no other alert can fire." if single else ".")
                + _others(config, shard)
                + _FIRST_ABSENT,
                dashboard=HEALTH_DASHBOARD,
                is_of_relay=False,
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
            description=_last_scraped(f'shard="{shard}"')
            + "The relays of this shard are watched from few locations or none."
            + _others(config, shard)
            + _FIRST_ABSENT,
            dashboard=HEALTH_DASHBOARD,
            is_of_relay=False,
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
        description=templates.at_time(f"max({STARTED}{{{_HERE}, shard=$shard}})", "It last started at ")
        + f'It has restarted {{{{ $value | printf "%.0f" }}}} times within {window} (shard {{{{ $labels.shard }}}}).'
        "\nFirst: read the end of its log, and why its supervisor restarts it: memory limit, liveness probe, exit "
        "status.",
        dashboard=HEALTH_DASHBOARD,
        is_of_relay=False,
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
            summary="Monitor {{ $labels.location }} is unhealthy; its verdicts are suspended"
            + templates.first(f"relay_monitor_failed_check{{{_HERE}}} == 1", ": {{ .Labels.check }}"),
            description=templates.last(f"relay_monitor_healthy{{{_HERE}}} == 1", "Last healthy at ")
            + "It aborts its runs; an outage may not be noticed from there."
            "\nFailed checks: "
            + templates.each(f"max by (check) (relay_monitor_failed_check{{{_HERE}}}) == 1", "check")
            + ". Healthy monitors of this install: "
            + templates.number("count(max by (location) (relay_monitor_healthy{install=$install}) == 1)", "0")
            + ".\nFailing layer: the monitor's own host or network, not a relay."
            "\nFirst: event_loop, memory, descriptors: the host's load and limits; clock: its time service; network, "
            "proxy: its way out; loopback, tasks: its log.",
            dashboard=HEALTH_DASHBOARD,
            is_of_relay=False,
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
        description=templates.last(
            f'relay_monitor_failed_check{{{_HERE}, check="all_relays"}} == 0', "This check last succeeded at "
        )
        + "At least 80 % of the relays became unreachable at once, and no reference answers; verdicts are suspended."
        "\nOther locations that see a relay up: "
        + templates.number(f"count(max by (location) ({UP_VOTE}{{install=$install}}) == 1)", "0")
        + ".\nFailing layer: the network of this monitor, or what all relays share."
        "\nFirst: from the monitor's host, connect to a relay and to something else; then check what all relays share.",
        dashboard=HEALTH_DASHBOARD,
        is_of_relay=False,
    )
