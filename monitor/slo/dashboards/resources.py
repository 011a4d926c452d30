"""The row of the resources of the monitors' processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.slo.dashboards import palette
from monitor.slo.dashboards.failures import FEW_EVENTS
from monitor.slo.dashboards.model import Kind, Panel, Query, Row
from monitor.slo.dashboards.promql import MONITOR, OWN, events, events_of_most, quantile, rate, select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.config import Config

NO_TASK_FAILURE: Final = "no task fails"
_LAG: Final = "relay_monitor_event_loop_lag_seconds"


def resource_row(config: Config) -> Row:
    """Return the row of the monitors' resources."""
    return Row(title="Resources", panels=(*_load_panels(config), *_scrape_panels(config)))


def _process(config: Config, expr: str) -> tuple[str, str]:
    """Return a value of a monitor's process by location and shard, which its series lack, and the legend."""
    labels: Sequence[str] = ("location",) if config.shards == 1 else ("location", "shard")
    info = select("relay_monitor_shard_info", MONITOR)
    joined = f"{expr} * on (job, instance) group_left ({', '.join(labels)}) {info}"
    return f"max by ({', '.join(labels)}) ({joined})", " ".join(f"{{{{{label}}}}}" for label in labels)


def _graph(
    config: Config, title: str, description: str, expr: str, unit: str, width: int, *, maximum: float | None = None
) -> Panel:
    """Return a graph of a value of each monitor's process."""
    value, legend = _process(config, expr)
    return Panel(
        kind=Kind.TIME_SERIES,
        title=title,
        description=description,
        queries=(Query(expr=value, legend=legend),),
        unit=unit,
        colours=_of_locations(config),
        width=width,
        height=6,
        minimum=0,
        maximum=maximum,
    )


def _of_locations(config: Config) -> tuple[tuple[str, str], ...]:
    return palette.of_names(config.locations) if config.shards == 1 else ()


def _load_panels(config: Config) -> tuple[Panel, ...]:
    """Return the panels of event loop, CPU and memory."""
    return (
        Panel(
            kind=Kind.TIME_SERIES,
            title="Event-loop lag",
            description="Are latencies measured exactly? P99 of the delay of scheduled callbacks of the event loop.",
            queries=(Query(expr=quantile(0.99, _LAG, MONITOR, by=("location",)), legend="{{location}}"),),
            unit="s",
            colours=_of_locations(config),
            width=8,
            height=6,
            minimum=0,
        ),
        _graph(
            config,
            "CPU",
            "Is its single core overloaded?",
            rate(select("process_cpu_seconds_total", OWN)),
            "percentunit",
            8,
        ),
        _graph(
            config,
            "Memory",
            "Does memory grow? Resident set size.",
            select("process_resident_memory_bytes", OWN),
            "bytes",
            8,
        ),
    )


def _scrape_panels(config: Config) -> tuple[Panel, ...]:
    """Return the panels of descriptors, scrapes, tasks and incidents."""
    descriptors = f"({select('process_open_fds', OWN)} / {select('process_max_fds', OWN)})"
    tasks, incidents = (select(f"relay_monitor_{name}_total", MONITOR) for name in ("task_failures", "incidents"))
    return (
        _graph(
            config, "File descriptors in use", "Are there enough? Share of the limit.", descriptors, "percentunit", 6
        ),
        _graph(
            config, "Scrape duration", "How long does a scrape take?", select("scrape_duration_seconds", OWN), "s", 6
        ),
        _graph(
            config,
            "Series",
            "How much does Prometheus store? Series of the last scrape.",
            select("scrape_samples_scraped", OWN),
            "short",
            6,
        ),
        Panel(
            kind=Kind.TIME_SERIES,
            title="Incidents and failed tasks",
            description="Does the monitor work without faults of its own? Incidents that it opened, and tasks that "
            "ended by a bug and were started again.",
            queries=(
                Query(expr=events(incidents), legend="incidents"),
                Query(
                    expr=events_of_most(tasks, ("task",)), legend="task {{task}} failed", empty_reason=NO_TASK_FAILURE
                ),
            ),
            colours=(("^incidents$", palette.AMBER), ("^task ", palette.RED)),
            width=6,
            height=6,
            bars=True,
            stacked=True,
            minimum=0,
            soft_maximum=FEW_EVENTS,
        ),
    )
