"""The view of one relay, of what the daemon knows of it and what the journal says. Pure: called in a thread."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

from monitor.config import Cron, Every, show_duration
from monitor.daemon.budgets import budgets, slos_of
from monitor.daemon.figures import DAY_CELL, LATENCY_CELL, MINUTE_CELL
from monitor.daemon.strips import latencies, strip, with_present
from monitor.errors import printable
from monitor.reachability.sentence import describe, explain
from monitor.slo.dashboard_uid import dashboard_uid
from monitor.vocabulary import Condition, Outcome, Sli
from monitor.web.model import (
    CauseView,
    LastRun,
    MaintenanceView,
    ProbeView,
    RelayLinks,
    RelayView,
    RoundTripView,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from monitor.config import Config, ProbeConfig, ProbeKey, RelayConfig
    from monitor.daemon.figures import Figures
    from monitor.daemon.prometheus_reading import Reading
    from monitor.journal import Cell, FailureGroup
    from monitor.results import Cause, RelayStatus
    from monitor.schedule import Window
    from monitor.web.model import LocationView

T = TypeVar("T")

HOUR_CELLS: Final = 60
DAY_CELLS: Final = 96
MAX_RELAY_FAILURES: Final = 20
"""Groups of failures of one relay."""

_DAY: Final = 86_400.0

_ORDER: Final = (Condition.DOWN, Condition.NOT_ACCEPTING, Condition.DEGRADED, Condition.UNKNOWN, Condition.UP)
"""Worst first."""

RUNBOOKS: Final = {
    Condition.DOWN: "RelayDown",
    Condition.NOT_ACCEPTING: "RelayNotAccepting",
    Condition.DEGRADED: "RelayPartialFailure",
    Condition.UNKNOWN: "RelayUnobserved",
}
"""The alert whose runbook says what to do in a condition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayFacts:
    """What the daemon knows of one relay at one time.

    cause_age, delivered_age: seconds; None without a cause, and if no message was delivered. next_due: by probe.
    """

    config: RelayConfig
    status: RelayStatus
    up: bool | None
    cause_age: float | None
    delivered_age: float | None
    maintenance: Window | None
    certificate: float | None  # when it expires, in Unix time
    next_due: Mapping[str, datetime | None]
    incident: str | None = None


@dataclass(frozen=True, slots=True)
class _Past:
    """What the journal's figures say of one relay."""

    hour: tuple[Cell, ...]
    day: tuple[Cell, ...]
    round_trip: RoundTripView
    failures: tuple[FailureGroup, ...]


class RelayViews:
    """Builds the views of relays. To be used by one thread at a time.

    What depends on a figure of the journal is kept until that is read again: with 200 relays it is most of the work.
    """

    def __init__(self) -> None:
        self._config: Config | None = None
        self._kept: dict[tuple[str, str], tuple[object, Any]] = {}  # by relay and part: its source, and the part

    def view(
        self, facts: RelayFacts, config: Config, figures: Figures, reading: Reading | None, now: datetime
    ) -> RelayView:
        """Return the view of one relay."""
        if self._config is not config:
            self._config, self._kept = config, {}
        name, status = facts.config.name, facts.status
        probes = [probe for probe in config.probes if name in probe.relays]
        past = self._past(name, probes, config, figures, now)
        failed, ok = sum(cell.failed for cell in past.hour), sum(cell.ok for cell in past.hour)
        delivered = facts.delivered_age
        return RelayView(
            name=name,
            url=facts.config.url.partition("?")[0],  # the query may contain a token
            condition=status.condition,
            since=status.since,
            seconds=max(0.0, (now - status.since).total_seconds()),
            sentence=printable(describe(status, now)),
            why=printable(explain(status)),
            cause=_cause(status.cause, facts.cause_age or 0.0),
            up=facts.up,
            accepting=status.accepting,
            last_delivered=None if delivered is None else now - timedelta(seconds=delivered),
            maintenance=_maintenance(facts.maintenance),
            hour=past.hour,
            day=past.day,
            success_ratio_1h=ok / (ok + failed) if ok + failed else None,
            round_trip=past.round_trip,
            lost_1h=sum(cell.lost for cell in past.hour),
            budgets=tuple(budgets(name, config, figures, reading, now)),
            certificate_days=None if facts.certificate is None else (facts.certificate - now.timestamp()) / _DAY,
            probes=tuple(_probe(probe, facts, figures, now) for probe in probes),
            failures=past.failures,
            incident=facts.incident,
            links=_links(name, status.condition, config),
            locations=() if reading is None else reading.conditions.get(name, ()),
        )

    def _past(
        self, relay: str, probes: Sequence[ProbeConfig], config: Config, figures: Figures, now: datetime
    ) -> _Past:
        keys = [(relay, probe.name) for probe in probes]
        hour, day, latencies = figures.hour, figures.day, figures.latencies
        minutes = self._keep(relay, "hour", hour, lambda: strip(_of(hour, keys), now, MINUTE_CELL, HOUR_CELLS))
        quarters = self._keep(relay, "day", day, lambda: strip(_of(day, keys), now, DAY_CELL, DAY_CELLS))
        return _Past(
            minutes,
            self._keep(relay, "present", hour, lambda: with_present(quarters, minutes, now, DAY_CELL)),
            self._keep(relay, "round trip", latencies, lambda: _round_trip(relay, config, figures, now)),
            self._keep(
                relay, "failures", figures.failures, lambda: failure_groups(figures, relay)[:MAX_RELAY_FAILURES]
            ),
        )

    def _keep(self, relay: str, part: str, source: object, make: Callable[[], T]) -> T:
        """Return a part that was made of the same source, or a new one."""
        known = self._kept.get((relay, part))
        if known is None or known[0] is not source:
            known = self._kept[relay, part] = source, make()
        kept: T = known[1]
        return kept


def unobserved(reading: Reading, known: Collection[str], config: Config, now: datetime) -> list[RelayView]:
    """Return the relays of other shards, of which only what the locations say is known."""
    return [
        _unobserved(name, locations, config, reading.at or now)
        for name, locations in sorted(reading.conditions.items())
        if name not in known
    ]


def _unobserved(name: str, locations: Sequence[LocationView], config: Config, at: datetime) -> RelayView:
    counts = Counter(each.condition for each in locations)
    condition = max(counts, key=lambda each: (counts[each], -_ORDER.index(each)))  # of most locations, else the worst
    seen = ", ".join(f"{each.location} {each.condition.value.replace('_', ' ')}" for each in locations)
    return RelayView(
        name=name,
        url="",
        condition=condition,
        since=at,
        seconds=0.0,
        sentence=f"observed by another monitor: {seen}",
        why="",
        cause=None,
        up=None,
        accepting=None,
        last_delivered=None,
        maintenance=None,
        hour=(),
        day=(),
        success_ratio_1h=None,
        round_trip=RoundTripView(),
        lost_1h=0,
        budgets=(),
        certificate_days=None,
        probes=(),
        failures=(),
        incident=None,
        links=_links(name, condition, config),
        locations=tuple(locations),
        observed=False,
    )


def failure_groups(figures: Figures, relay: str | None = None) -> tuple[FailureGroup, ...]:
    """Return the groups of failures of one relay, or of all."""
    found = (group for group in figures.failures if relay in {None, group.relay})
    return tuple(replace(group, status=printable(group.status), detail=printable(group.detail)) for group in found)


def worst_first(view: RelayView) -> tuple[bool, int]:
    """Return the key by which relays are sorted: one in maintenance comes after those that are not; else by config."""
    healthy = view.condition is Condition.UP
    return (healthy or view.maintenance is not None, _ORDER.index(view.condition))


def _of(by_key: Mapping[ProbeKey, Sequence[Cell]], keys: Sequence[ProbeKey]) -> list[Sequence[Cell]]:
    return [by_key[key] for key in keys if key in by_key]


def _cause(cause: Cause | None, age: float) -> CauseView | None:
    if cause is None:
        return None
    return CauseView(
        step=cause.step,
        reason=cause.reason,
        status=printable(cause.status),
        detail=printable(cause.detail),
        endpoint=printable(cause.endpoint),
        age=age,
    )


def _maintenance(window: Window | None) -> MaintenanceView | None:
    if window is None:
        return None
    return MaintenanceView(reason=window.reason, until=window.end, by=window.by, id=window.id or None)


def _probe(probe: ProbeConfig, facts: RelayFacts, figures: Figures, now: datetime) -> ProbeView:
    key = facts.config.name, probe.name
    last, good = figures.last.get(key), figures.last_good.get(key)
    if last is not None and not (last.detail + last.status).isprintable():
        last = replace(last, detail=printable(last.detail), status=printable(last.status))
    condition = "none" if last is None else last.outcome.value
    outage = facts.status.condition in {Condition.DOWN, Condition.NOT_ACCEPTING}
    if last is not None and last.outcome is Outcome.OK and outage:
        ended = last.started_at + timedelta(seconds=last.duration)
        condition = "stale" if ended <= facts.status.since else condition
    return ProbeView(
        name=probe.name,
        scenario=probe.scenario,
        schedule=_schedule_text(probe),
        condition=condition,
        last=None if last is None else LastRun(run=last, age=_age(now, last.started_at, last.duration)),
        last_good_age=None if good is None else _age(now, good),
        next_due=facts.next_due.get(probe.name),
    )


def _age(now: datetime, started: datetime, duration: float = 0.0) -> float:
    return max(0.0, (now - started).total_seconds() - duration)


def _schedule_text(probe: ProbeConfig) -> str:
    match probe.schedule:
        case Every(every=period):
            return f"every {show_duration(period)}"
        case Cron(cron=line, timezone=timezone):
            return f"{line} {timezone}"
    return "continuous"


def _round_trip(relay: str, config: Config, figures: Figures, now: datetime) -> RoundTripView:
    """Return the round trips of the probes with a latency SLO, or of all probes without one."""
    slos = [slo for slo in slos_of(relay, config) if slo.sli is Sli.LATENCY]
    named = {probe for slo in slos for probe in slo.probe}
    probes = [probe for probe in config.probes if relay in probe.relays and (not named or probe.name in named)]
    series = [figures.latencies[relay, probe.name] for probe in probes if (relay, probe.name) in figures.latencies]
    thresholds = [slo.threshold_for(relay) for slo in slos]
    return latencies(
        series, now, LATENCY_CELL, threshold=min((each for each in thresholds if each is not None), default=None)
    )


def runbook_url(config: Config, alert: str, relay: str) -> str:
    """Return the address of an alert's runbook for a relay: its owner may have runbooks of its own."""
    owner = next((each.owner for each in config.relays if each.name == relay), None)
    return config.alerts.runbook_url(alert, owner)


def _links(relay: str, condition: Condition, config: Config) -> RelayLinks:
    runbook = RUNBOOKS.get(condition)
    dashboard = dashboard_uid("relay-monitor-relay", config.install)
    query = f"var-install={quote(config.install)}&var-relay={quote(relay)}"
    return RelayLinks(
        runbook=None if runbook is None else runbook_url(config, runbook, relay),
        dashboard=f"{config.alerts.grafana_url.rstrip('/')}/d/{dashboard}?{query}",
        incidents=f"/incidents?relay={quote(relay)}",
    )
