"""Variables, links, states and queries that several dashboards have."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from monitor.config import monitor_url
from monitor.slo.dashboard_uid import DEFAULT_INSTALL, dashboard_uid
from monitor.slo.dashboards.model import OBJECTIVE_PREFIX, Query, State, Variable
from monitor.slo.dashboards.palette import CONDITIONS as CONDITION_COLOURS
from monitor.slo.dashboards.palette import GREEN, RED, UNKNOWN
from monitor.slo.dashboards.promql import (
    CONDITIONS,
    MONITOR,
    OWN,
    SELECTED_RELAYS,
    Subject,
    select,
)
from monitor.vocabulary import Condition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.config import Config
    from monitor.scenarios import Scenario

LONG_NAME: Final = 24
"""Characters of a name that a legend, a timeline or a column of usual width has room for."""

_NAME: Final = "name"
_LONG: Final = re.compile("(.{11}).{4,}(.{12})")
_SHORT: Final = "$1…$2"
"""The label with a short name, and how it is made of a long one."""

NO_DATA_STATE: Final = State(value=-1, text="no data", colour=UNKNOWN)
UP_STATES: Final = (State(value=1, text="up", colour=GREEN), State(value=0, text="DOWN", colour=RED), NO_DATA_STATE)
HEALTH_STATES: Final = (
    State(value=1, text="healthy", colour=GREEN),
    State(value=0, text="UNHEALTHY", colour=RED),
    NO_DATA_STATE,
)

DETAIL_UID: Final = "relay-monitor-relay"
"""The uid of the dashboard of one relay, of the default install."""

_BUILD_INFO: Final = "relay_monitor_build_info"
_INSTALL: Final = 'install="$install"'


def monitors(config: Config) -> tuple[Variable, ...]:
    """Return the variables that select monitors; the install is that of the configuration at first."""
    return (
        Variable(name="install", label="Install", source=_BUILD_INFO, several=False, value=config.install),
        Variable(name="job", label="Job", source=select(_BUILD_INFO, _INSTALL)),
        Variable(name="instance", label="Instance", source=select(_BUILD_INFO, _INSTALL, 'job=~"$job"')),
        Variable(name="location", label="Location", source=select(_BUILD_INFO, _INSTALL, OWN)),
    )


def titled(config: Config, title: str) -> str:
    """Return the title of a dashboard, with the install unless it is the default one."""
    return title if config.install == DEFAULT_INSTALL else f"{title} ({config.install})"


def location_label(config: Config) -> tuple[str, ...]:
    """Return the label of the location where there are several; one location is no news in a legend."""
    return ("location",) if len(config.locations) > 1 else ()


def has_long_names(config: Config) -> bool:
    """Return True if a relay, probe, SLO or location has a long name."""
    names = [*config.locations, *(relay.name for relay in config.relays), *(probe.name for probe in config.probes)]
    return any(len(name) > LONG_NAME for name in (*names, *(slo.name for slo in config.slos)))


def short_names(config: Config, expr: str) -> tuple[str, str]:
    """Return series, and the legend that names their relay, without the middle of a long name.

    Where a panel cuts long names off, their beginning or their end would be missing, and one of the two often is the
    same for all.
    """
    if not any(len(relay.name) > LONG_NAME for relay in config.relays):
        return expr, legend("relay")
    copied = f'label_replace({expr}, "{_NAME}", "$1", "relay", "(.*)")'
    return f'label_replace({copied}, "{_NAME}", "{_SHORT}", "relay", "{_LONG.pattern}")', legend(_NAME)


def short_name(name: str) -> str:
    """Return a name as `short_names` shows it."""
    found = _LONG.fullmatch(name)
    return _SHORT.replace("$1", found[1]).replace("$2", found[2]) if found is not None else name


def legend(*labels: str) -> str:
    """Return the legend that shows these labels."""
    return " · ".join(f"{{{{{label}}}}}" for label in labels)


def page_url(config: Config) -> str:
    """Return the on-call page of the generating monitor, without a slash at its end."""
    return monitor_url(config.alerts.external_url, config.location)


def relay_link(config: Config, relay: str = "${__field.labels.relay}") -> tuple[str, str]:
    """Return the link to the dashboard of a relay, whose name Grafana puts in."""
    uid = dashboard_uid(DETAIL_UID, config.install)
    url = f"/d/{uid}?var-install=${{install}}&var-relay={relay}"
    return "Relay detail", f"{url}&${{location:queryparam}}&${{datasource:queryparam}}&${{__url_time_range}}"


def relay_links(config: Config, relay: str = "${__data.fields.relay}") -> tuple[tuple[str, str], ...]:
    """Return the links of a relay: its dashboard, the on-call page at it, its incidents."""
    page = page_url(config)
    return (
        relay_link(config, relay),
        ("On-call page", f"{page}/?relay={relay}"),
        ("Incidents", f"{page}/incidents?relay={relay}"),
    )


_ROW_PIXELS: Final = 36
_WRAPPED_PIXELS: Final = 64
_GRID_PIXELS: Final = 38
_FRAME_PIXELS: Final = 60


def table_height(rows: int, most: int, *, wrapped: bool = False) -> int:
    """Return the height, in lines of the grid, of a table that shows so many rows without scrolling.

    wrapped: whether names have two lines or three.
    """
    row, most = (_WRAPPED_PIXELS, math.ceil(most * _ROW_PIXELS / _WRAPPED_PIXELS)) if wrapped else (_ROW_PIXELS, most)
    return math.ceil((min(rows, most) * row + _ROW_PIXELS + _FRAME_PIXELS) / _GRID_PIXELS)


RELAYS: Final = Variable(name="relay", label="Relay", source=select("relay_monitor_runs_total", MONITOR))
THIS_RELAY: Final = Variable(
    name="relay", label="Relay", source=select("relay_monitor_runs_total", MONITOR), several=False
)

NO_ALERT: Final = "no alert is firing"


def intervals_since_success(where: str) -> str:
    """Return the time since a probe's last success, in units of its interval."""
    last = select("relay_probe_last_success_timestamp_seconds", where)
    return f"(time() - {last}) / {select('relay_probe_interval_seconds', where)}"


def window_of_five_runs(config: Config, *scenarios: Scenario) -> float:
    """Return the seconds of five runs of the slowest probe of these scenarios; 0 if all are continuous."""
    return max((5 * (probe.period or 0.0) for probe in config.probes if probe.scenario in scenarios), default=0.0)


def window_of_100_exchanges(config: Config, *scenarios: Scenario) -> float:
    """Return the seconds in which the slowest continuous probe of these scenarios makes the 100 exchanges of a P99."""
    waits = [
        100 * probe.cycle / probe.pairs
        for probe in config.probes
        if probe.scenario in scenarios and probe.is_continuous
    ]
    return 60.0 * math.ceil(max(waits, default=0.0) / 60)


CONDITION_TEXTS: Final = {
    Condition.UP: "up",
    Condition.DEGRADED: "degraded",
    Condition.UNKNOWN: "unknown",
    Condition.NOT_ACCEPTING: "NOT ACCEPTING",
    Condition.DOWN: "DOWN",
}
CONDITION_STATES: Final = (
    *(
        State(value=number, text=CONDITION_TEXTS[condition], colour=CONDITION_COLOURS[condition])
        for number, condition in enumerate(CONDITIONS)
    ),
    NO_DATA_STATE,
)


def thresholds(subject: Subject = SELECTED_RELAYS, data: str = "", by: Sequence[str] = ("relay", "slo")) -> Query:
    """Return the query of the thresholds in force of latency SLOs.

    With `data`, an expression without labels, only of those that it comes near to: a line far above would press the
    data flat against the axis.
    """
    series = f"max by ({', '.join(by)}) ({select('relay_slo_threshold_seconds', subject.relay)})"
    return Query(
        expr=f"{series} <= {_NEAR} * scalar({data})" if data else series,
        legend=f"{OBJECTIVE_PREFIX} {legend(*by)}",
        empty_reason=FAR_FROM_THRESHOLD if data else "",
    )


_NEAR: Final = 4
"""A threshold is shown from a quarter of it on."""

FAR_FROM_THRESHOLD: Final = "the latency is far from its threshold"
