"""The view model: all that the pages, the API and `relay-monitor status` say, as values.

`daemon/status.py` builds them; the pages render them, the API serializes them and the status command reads them back
(`serialization`). Lists are tuples and are sorted as they are shown. All times are aware datetimes in UTC, all
durations are seconds. A relay's words have no lone surrogates, which JSON cannot carry.
"""

# ruff: noqa: TC001, TC003 - pydantic reads annotations at run time

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import ConfigDict

from monitor.journal import Cell, FailureGroup, RunSummary
from monitor.scenarios import Scenario
from monitor.vocabulary import Condition, Reason, Step


def _camel(name: str) -> str:
    head, *others = name.split("_")
    return head + "".join(other[:1].upper() + other[1:] for other in others)


_JSON = ConfigDict(alias_generator=_camel, serialize_by_alias=True, ser_json_inf_nan="null")
"""How views are written as JSON; it holds for the values inside of a view too."""


class Level(StrEnum):
    """How bad the state of all relays is: the colour of banner and icon."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"


class Source(StrEnum):
    """Where the figures of a budget come from."""

    JOURNAL = "journal"  # the runs of this monitor
    PROMETHEUS = "prometheus"  # those of all locations


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """One sentence about everything: "1 of 40 relays is down: staging-3, tcp refused, for 2 min 04 s"."""

    level: Level
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseView:
    """Why a relay is not up: what the latest real attempt says, which ended `age` seconds ago."""

    step: Step
    reason: Reason
    status: str
    detail: str
    endpoint: str
    age: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """The last finished run of a probe, and how long ago it ended."""

    run: RunSummary
    age: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeView:
    """One probe at one relay.

    last, last_good_age: None if there was no run, or no good one. next_due: None for a continuous probe.
    condition: what the last run says ("ok", "failed", …), "stale" if its "ok" is older than the relay's outage, and
    "none" without a run.
    """

    name: str
    scenario: Scenario
    schedule: str
    condition: str
    last: LastRun | None
    last_good_age: float | None
    next_due: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyPoint:
    """Round trips in one span of time from `start`; None without one."""

    start: datetime
    p50: float | None
    p99: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTripView:
    """Round trips of the last hour. `threshold` is the strictest latency objective, None without one."""

    p50: float | None = None
    p99: float | None = None
    threshold: float | None = None
    series: tuple[LatencyPoint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetView:
    """The error budget of one SLO at one relay.

    left: share of the budget that is left, negative if it is overspent; None without an event.
    good, bad: numbers of events, or seconds of connections where `in_seconds`.
    span_seconds: the time that the figures cover, at most the SLO's window, `window_seconds`.
    """

    slo: str
    in_seconds: bool = False
    objective: float  # 0.999 for 99.9 %
    left: float | None
    good: float
    bad: float
    span_seconds: float
    window_seconds: float
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceView:
    """A maintenance window in force at a relay. `id` is that of a window on demand, None for one of the config."""

    reason: str
    until: datetime | None = None
    by: str = ""
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LocationView:
    """The condition of a relay as another location sees it, from Prometheus."""

    location: str
    condition: Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayLinks:
    """Where to read more of a relay; None if no address is known."""

    runbook: str | None = None
    dashboard: str | None = None
    incidents: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayView:
    """One relay.

    url: without its query, which may contain a token. seconds: since `since`. up, accepting: None if not observed.
    sentence: the condition in words: "down for 2 min 04 s: upgrade 502, 9 of 9 attempts failed". why: only the reason.
    last_delivered: when the last message was delivered, None if none was since the start.
    hour, day: cells of a minute for 60 minutes, and of a quarter of an hour for 24 hours, oldest first, of all probes.
    success_ratio_1h: None without a run. lost_1h: lost messages. incident: the id of the open one.
    observed: False for a relay of another shard, of which only `locations` is known.
    """

    __pydantic_config__ = _JSON

    name: str
    url: str
    condition: Condition
    since: datetime
    seconds: float
    sentence: str
    why: str
    cause: CauseView | None
    up: bool | None
    accepting: bool | None
    last_delivered: datetime | None
    maintenance: MaintenanceView | None
    hour: tuple[Cell, ...]
    day: tuple[Cell, ...]
    success_ratio_1h: float | None
    round_trip: RoundTripView
    lost_1h: int
    budgets: tuple[BudgetView, ...]
    certificate_days: float | None
    probes: tuple[ProbeView, ...]
    failures: tuple[FailureGroup, ...]
    incident: str | None
    links: RelayLinks
    locations: tuple[LocationView, ...] = ()
    observed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentView:
    """An incident in a list; `sentence` is its summary.

    began_at: its first failure. opened_at: the verdict. recovered_at: since when the relay is up, None while it is not.
    closed_at: None while it is open. detection_seconds: from the first failure to the verdict, None if it is not known.
    """

    __pydantic_config__ = _JSON

    id: str
    relay: str
    began_at: datetime
    opened_at: datetime
    recovered_at: datetime | None
    closed_at: datetime | None
    worst: Condition
    sentence: str
    detection_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowView:
    """A maintenance window on demand. `relays` is empty for all."""

    __pydantic_config__ = _JSON

    id: str
    relays: tuple[str, ...]
    start: datetime
    until: datetime
    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertView:
    """A firing alert, from Prometheus."""

    name: str
    severity: str
    relay: str | None
    location: str | None
    since: datetime | None
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusView:
    """What Prometheus says of the whole install, as of `asked_at`. With a `failure`, the rest is the last answer."""

    url: str
    asked_at: datetime | None
    failure: str | None
    alerts: tuple[AlertView, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillView:
    """The last drill of the page chain.

    seconds: until its notification was received, None if it was not; `why` then says what to check.
    """

    __pydantic_config__ = _JSON

    ended_at: datetime
    seconds: float | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorView:
    """The whole state of one monitor.

    reasons: why the monitor is unhealthy. shard: "0/1" for the only one. relays: worst first.
    incidents: open ones and recent ones, newest first. prometheus: None if `prometheus.url` is not set. drill: None
    before the first one.
    """

    __pydantic_config__ = _JSON

    version: str
    install: str
    location: str
    shard: str
    started_at: datetime
    now: datetime
    healthy: bool
    reasons: tuple[str, ...]
    config_hash: str
    reloaded_at: datetime
    journal_healthy: bool
    banner: Banner
    relays: tuple[RelayView, ...]
    incidents: tuple[IncidentView, ...] = ()
    maintenance: tuple[WindowView, ...] = ()
    failures: tuple[FailureGroup, ...] = ()
    prometheus: PrometheusView | None = None
    drill: DrillView | None = None
