"""The monitor itself: whether it is there, keeps its schedule and is fit to judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.scenarios import Scenario
from monitor.slo.dashboards import parts
from monitor.slo.dashboards.model import BLUE, GREEN, RED, Board, Event, Kind, Panel, Query, Row, State
from monitor.slo.dashboards.promql import (
    MONITOR,
    RELAY,
    WATCHDOG,
    add,
    buckets,
    increase,
    quantile,
    rate,
    select,
    state,
)

if TYPE_CHECKING:
    from monitor.config import Config

UID: Final = "relay-monitor-health"
_OWN: Final = 'job=~"$job", instance=~"$instance"'
_LAG: Final = "relay_monitor_event_loop_lag_seconds"


def health(config: Config) -> Board:
    """The dashboard of the monitor's own health."""
    version = f"count by (version, location) ({select('relay_monitor_build_info', MONITOR)}"
    return Board(
        uid=UID,
        file="monitor-health.json",
        title="Health of the monitor",
        description="Can I trust the monitor? Is it there, does it keep its schedule, is it fit to judge?",
        variables=(*parts.MONITORS, parts.RELAYS),
        events=(
            parts.ALERTS,
            Event(
                name="Deploys of the monitor",
                expr=f"{version}) unless {version} offset 5m)",
                title="Monitor {{version}} at {{location}}",
                text="First run of this version here.",
                colour=BLUE,
                quiet="no other version of it has come up for five minutes",
            ),
        ),
        rows=(_now(), _schedule(config), _fitness()),
        scrape_interval=config.prometheus.scrape_interval,
        external_url=config.alerts.external_url,
        runbook_base_url=config.alerts.runbook_base_url,
    )


def _stat(
    title: str, description: str, expr: str, *, unit: str = "none", states: tuple[State, ...] = (), least: float = 0
) -> Panel:
    """A number that is good from `least` on, or a word for it."""
    return Panel(
        kind=Kind.STAT,
        title=title,
        description=description,
        queries=(Query(expr=expr),),
        unit=unit,
        width=4,
        height=4,
        states=states,
        steps=((least, GREEN),),
    )


def _now() -> Row:
    reload = "relay_monitor_config_last_reload_successful"
    return Row(
        title="Now",
        panels=(
            parts.trust(),
            _stat(
                "Monitors scraped",
                "Is every location watched? The monitors that Prometheus reaches now.",
                f"count({select('up', _OWN)} == 1)",
                least=1,
            ),
            _stat(
                "Rules",
                "Would anybody be told? The Watchdog fires for as long as Prometheus evaluates the rules.",
                f"count({WATCHDOG})",
                states=(State(value=1, word="evaluated", colour=GREEN),),
            ),
            _stat(
                "Configuration",
                "Does it run what was last written? A bad file changes nothing, and shows here.",
                f"min({select(reload, MONITOR)})",
                states=(
                    State(value=1, word="in force", colour=GREEN),
                    State(value=0, word="REFUSED", colour=RED),
                ),
            ),
            _stat(
                "Configuration read",
                "Since when does it run with this configuration?",
                f"1000 * min({select('relay_monitor_config_last_reload_success_timestamp_seconds', MONITOR)})",
                unit="dateTimeFromNow",
            ),
            parts.oldest_run(RELAY),
            Panel(
                kind=Kind.STATES,
                title="Health, as each monitor judges itself",
                description="When was it unfit to judge? Meanwhile the verdicts on relays are frozen and runs are "
                "aborted. A gap in time is shown as such.",
                queries=(
                    Query(
                        expr=state("relay_monitor_healthy", MONITOR, ("location", "instance")),
                        legend="{{location}} · {{instance}}",
                    ),
                ),
                unit="none",
                states=parts.TRUST,
            ),
            Panel(
                kind=Kind.TABLE,
                title="Monitors",
                description="What runs where? Version, Python and shard of each monitor.",
                queries=(
                    Query(
                        expr=f"{select('relay_monitor_build_info', MONITOR)} * on (job, instance, location) "
                        f"group_left (shard) {select('relay_monitor_shard_info', MONITOR)}",
                        column="runs",
                        unit="none",
                    ),
                ),
                unit="none",
                labels=("location", "instance", "version", "python", "shard"),
            ),
        ),
    )


def _schedule(config: Config) -> Row:
    runs = "relay_monitor_runs_total"
    window = parts.sparse(config, *Scenario)
    return Row(
        title="Does it keep its schedule?",
        panels=(
            Panel(
                kind=Kind.LINES,
                title="Runs missed and skipped",
                description="Which slots passed without a run? Missed: it was too late for them; skipped: the run "
                "before still went on, or the relay's limits left no room.",
                queries=(
                    Query(
                        expr=add(increase(select(runs, RELAY, 'result=~"missed|skipped"')), ("result", "probe")),
                        legend="{{result}} {{probe}}",
                        window=window,
                    ),
                ),
                width=8,
                bars=True,
                stacked=True,
                least=0,
            ),
            Panel(
                kind=Kind.LINES,
                title="Runs started",
                description="Does it work at all? Runs of each probe.",
                queries=(
                    Query(
                        expr=add(increase(select(runs, RELAY, 'result="started"')), ("relay", "probe")),
                        legend="{{relay}} · {{probe}}",
                        window=window,
                    ),
                ),
                width=8,
                bars=True,
                stacked=True,
                least=0,
            ),
            Panel(
                kind=Kind.LINES,
                title="Age of the last good run",
                description="Which probe waits for a good run? In units of the time between its runs.",
                queries=(
                    Query(
                        expr=f"max by (relay, probe, location) ({parts.age(RELAY)})",
                        legend="{{relay}} · {{probe}} · {{location}}",
                    ),
                ),
                unit="none",
                width=8,
                least=0,
            ),
            Panel(
                kind=Kind.LINES,
                title="Exchanges that do not count",
                description="What did it give up itself (aborted), and what fell into maintenance (excluded)?",
                queries=(
                    Query(
                        expr=add(
                            increase(select("relay_probe_exchanges_total", RELAY, 'outcome=~"aborted|excluded"')),
                            ("outcome", "location"),
                        ),
                        legend="{{outcome}} {{location}}",
                        window=window,
                    ),
                ),
                bars=True,
                stacked=True,
                least=0,
            ),
            Panel(
                kind=Kind.LINES,
                title="Messages not judged yet",
                description="Does the account of messages close? Sent, and neither delivered nor past their horizon.",
                queries=(
                    Query(
                        expr=f"sum by (relay, location) ({select('relay_probe_messages_pending', RELAY)})",
                        legend="{{relay}} · {{location}}",
                    ),
                ),
                least=0,
            ),
        ),
    )


def _fitness() -> Row:
    memory, cpu = "process_resident_memory_bytes", "process_cpu_seconds_total"
    return Row(
        title="Is it fit to judge?",
        panels=(
            Panel(
                kind=Kind.LINES,
                title="Lag of the event loop",
                description="Does it measure itself instead of the relay? How late the loop ran what was due.",
                queries=tuple(
                    Query(
                        expr=quantile(q, _LAG, MONITOR, by=("location",)),
                        legend=f"p{round(q * 100)} {{{{location}}}}",
                    )
                    for q in (0.5, 0.99)
                ),
                unit="s",
                least=0,
            ),
            Panel(
                kind=Kind.HEATMAP,
                title="All lags of the event loop",
                description="Now and then, or all the time? How often it was how late.",
                queries=(Query(expr=buckets(_LAG, MONITOR), legend="{{le}}"),),
                unit="s",
            ),
            Panel(
                kind=Kind.LINES,
                title="CPU",
                description="Is it near the end of its one core?",
                queries=(Query(expr=rate(select(cpu, _OWN)), legend="{{instance}}"),),
                unit="percentunit",
                width=6,
                least=0,
            ),
            Panel(
                kind=Kind.LINES,
                title="Memory",
                description="Does it grow? Resident memory.",
                queries=(Query(expr=select(memory, _OWN), legend="{{instance}}"),),
                unit="bytes",
                width=6,
                least=0,
            ),
            Panel(
                kind=Kind.LINES,
                title="File descriptors",
                description="Will connections fail for want of descriptors? Those in use, and how many it may have.",
                queries=(
                    Query(expr=select("process_open_fds", _OWN), legend="{{instance}}"),
                    Query(expr=select("process_max_fds", _OWN), legend=f"{parts.LIMIT} {{{{instance}}}}"),
                ),
                unit="short",
                width=6,
                least=0,
            ),
            Panel(
                kind=Kind.LINES,
                title="Scrapes",
                description="Is reading it cheap? How long Prometheus waits for its metrics.",
                queries=(Query(expr=select("scrape_duration_seconds", _OWN), legend="{{instance}}"),),
                unit="s",
                width=6,
                least=0,
            ),
        ),
    )
