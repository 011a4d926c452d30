"""The view of one relay, of what the daemon knows of it and what the journal says. Pure: called in a thread."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from monitor.config import Cron, Every, show_duration
from monitor.daemon.figures import DAY_CELL, LATENCY_CELL, MINUTE_CELL
from monitor.daemon.strips import latencies, strip
from monitor.reachability.sentence import describe
from monitor.slo.dashboard_uid import dashboard_uid
from monitor.vocabulary import Condition, Outcome, Sli
from monitor.web.model import (
    BudgetView,
    CauseView,
    LastRun,
    MaintenanceView,
    ProbeView,
    RelayLinks,
    RelayView,
    RoundTripView,
    Source,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.config import Config, ProbeConfig, ProbeKey, RelayConfig, SloConfig
    from monitor.daemon.figures import Figures
    from monitor.journal import Cell, Events, FailureGroup
    from monitor.results import Cause, RelayStatus
    from monitor.schedule import Window

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


def relay_view(facts: RelayFacts, config: Config, figures: Figures, now: datetime) -> RelayView:
    """Return the view of one relay."""
    name, status = facts.config.name, facts.status
    probes = [probe for probe in config.probes if name in probe.relays]
    hour = strip(_of(figures.hour, name, probes), now, MINUTE_CELL, HOUR_CELLS)
    failed, ok = (sum(getattr(cell, what) for cell in hour) for what in ("failed", "ok"))
    delivered = facts.delivered_age
    return RelayView(
        name=name,
        url=facts.config.url.partition("?")[0],  # the query may contain a token
        condition=status.condition,
        since=status.since,
        seconds=max(0.0, (now - status.since).total_seconds()),
        sentence=printable(describe(status, now)),
        cause=_cause(status.cause, facts.cause_age or 0.0),
        up=facts.up,
        accepting=status.accepting,
        last_delivered=None if delivered is None else now - timedelta(seconds=delivered),
        maintenance=_maintenance(facts.maintenance),
        hour=hour,
        day=strip(_of(figures.day, name, probes), now, DAY_CELL, DAY_CELLS),
        success_ratio_1h=ok / (ok + failed) if ok + failed else None,
        round_trip=_round_trip(name, config, figures, now),
        lost_1h=sum(cell.lost for cell in hour),
        budgets=tuple(_budgets(name, config, figures, now)),
        certificate_days=None if facts.certificate is None else (facts.certificate - now.timestamp()) / _DAY,
        probes=tuple(_probe(probe, facts, figures, now) for probe in probes),
        failures=failure_groups(figures, name)[:MAX_RELAY_FAILURES],
        incident=facts.incident,
        links=_links(name, status.condition, config),
    )


def failure_groups(figures: Figures, relay: str | None = None) -> tuple[FailureGroup, ...]:
    """Return the groups of failures of one relay, or of all."""
    found = (group for group in figures.failures if relay in {None, group.relay})
    return tuple(replace(group, status=printable(group.status), detail=printable(group.detail)) for group in found)


def worst_first(view: RelayView) -> tuple[bool, int]:
    """Return the key by which relays are sorted: one in maintenance comes after those that are not; else by config."""
    healthy = view.condition is Condition.UP
    return (healthy or view.maintenance is not None, _ORDER.index(view.condition))


def printable(text: str) -> str:
    """Return a relay's words without lone surrogates, which neither UTF-8 nor JSON can carry."""
    return text.encode(errors="replace").decode()


def _of(by_key: Mapping[ProbeKey, Sequence[Cell]], relay: str, probes: Sequence[ProbeConfig]) -> list[Sequence[Cell]]:
    return [by_key[relay, probe.name] for probe in probes if (relay, probe.name) in by_key]


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
    last = None if last is None else replace(last, detail=printable(last.detail))
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


def _slos(relay: str, config: Config) -> list[SloConfig]:
    probes = {probe.name for probe in config.probes if relay in probe.relays}
    return [slo for slo in config.slos if probes & set(slo.probe)]


def _round_trip(relay: str, config: Config, figures: Figures, now: datetime) -> RoundTripView:
    """Return the round trips of the probes with a latency SLO, or of all probes without one."""
    slos = [slo for slo in _slos(relay, config) if slo.sli is Sli.LATENCY]
    named = {probe for slo in slos for probe in slo.probe}
    probes = [probe for probe in config.probes if relay in probe.relays and (not named or probe.name in named)]
    series = [figures.latencies[relay, probe.name] for probe in probes if (relay, probe.name) in figures.latencies]
    thresholds = [slo.threshold_for(relay) for slo in slos]
    return latencies(
        series, now, LATENCY_CELL, threshold=min((each for each in thresholds if each is not None), default=None)
    )


def _budgets(relay: str, config: Config, figures: Figures, now: datetime) -> list[BudgetView]:
    found = []
    for slo in _slos(relay, config):
        objective = slo.objective_for(relay)
        if objective is None:
            continue
        events: Events | None = figures.events.get((relay, slo.name))
        good, bad = (events.good, events.bad) if events is not None else (0.0, 0.0)
        found.append(
            BudgetView(
                slo=slo.name,
                objective=float(objective),
                left=budget_left(float(objective), good, bad),
                good=good,
                bad=bad,
                span_seconds=0.0 if events is None else min(slo.window, (now - events.since).total_seconds()),
                window_seconds=slo.window,
                source=Source.JOURNAL,
            )
        )
    return found


def budget_left(objective: float, good: float, bad: float) -> float | None:
    """Return the share of an error budget that is left; None without events.

    An objective of 100 % has no budget: without a bad event all of nothing is left (1), with one none of it (0).
    """
    if good + bad <= 0:
        return None
    if objective >= 1:
        return 1.0 if bad == 0 else 0.0
    return 1 - bad / (good + bad) / (1 - objective)


def _links(relay: str, condition: Condition, config: Config) -> RelayLinks:
    settings = config.alerts
    runbook = RUNBOOKS.get(condition)
    dashboard = dashboard_uid("relay-monitor-relay", config.install)
    query = f"var-install={quote(config.install)}&var-relay={quote(relay)}"
    return RelayLinks(
        runbook=None if runbook is None else f"{settings.runbook_base_url.rstrip('/')}/{runbook}",
        dashboard=f"{settings.grafana_url.rstrip('/')}/d/{dashboard}?{query}",
        incidents=f"/incidents?relay={quote(relay)}",
    )
