"""The view of the whole monitor: facts are collected on the event loop, and the view is built of them in a thread.

With 200 relays building takes longer than the event loop may be blocked, and the journal's queries may wait for a disk.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import structlog

import monitor
from monitor.clock import utc
from monitor.daemon.figures import DAY, Figures, JournalFigures
from monitor.daemon.relay_views import RelayFacts, RelayViews, failure_groups, unobserved, worst_first
from monitor.errors import MonitorError, printable
from monitor.incidents.text import summarize
from monitor.threads import BoundedCalls, run_in_thread
from monitor.web.banner import banner
from monitor.web.model import DrillView, IncidentView, MonitorView, PrometheusView, WindowView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.clock import Clock
    from monitor.config import Config
    from monitor.daemon.drills import Drills
    from monitor.daemon.incidents import IncidentRecorder
    from monitor.daemon.maintenance import MaintenanceOnDemand
    from monitor.daemon.prometheus_reading import PrometheusReader, Reading
    from monitor.drill import Drill
    from monitor.health import SelfCheck
    from monitor.incidents import Incident
    from monitor.journal import Journal
    from monitor.metrics import Metrics
    from monitor.relays import MonitoredRelay, MonitoredRelays
    from monitor.schedule import Maintenance, Schedule, Window

_log = structlog.get_logger(__name__)

JOURNAL_TIMEOUT: Final = 2.0
"""Seconds for the journal's figures. Then the view has the last ones; a disk that hangs costs one thread."""

HANGING_TIMEOUT: Final = 0.1
"""Seconds for them while the journal does not answer, so that the pages are not slow meanwhile."""

MAX_AGE: Final = 1.0
"""Seconds for which a view is served to all who ask."""

MAX_INCIDENTS: Final = 50
"""Incidents of a view: the open ones, then the newest of the last 24 hours."""

SLICE: Final = 10
"""Relays whose facts are collected before the event loop runs on."""


class Parts(Protocol):
    """What a view is made of: the daemon."""

    config: Config
    clock: Clock
    incidents: IncidentRecorder
    journal: Journal
    metrics: Metrics
    maintenance: Maintenance
    maintenance_on_demand: MaintenanceOnDemand
    monitored_relays: MonitoredRelays
    prometheus: PrometheusReader
    schedule: Schedule
    health: SelfCheck
    started_at: datetime
    reloaded_at: datetime
    config_hash: str
    shard: str
    drills: Drills


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What the event loop knows, at one time."""

    config: Config
    now: datetime
    healthy: bool
    reasons: tuple[str, ...]
    relays: Sequence[RelayFacts]
    windows: Sequence[Window]
    reading: Reading | None
    drill: Drill | None


@dataclass(frozen=True, slots=True)
class _Past:
    """What the journal knows: figures, and the open and recent incidents."""

    figures: Figures = field(default_factory=Figures)
    incidents: Sequence[Incident] = ()


class StatusViews:
    """Builds the view of a monitor, at most once a second however many ask."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._reader = JournalFigures(parts.journal)
        self._relay_views = RelayViews()
        self._past = _Past()
        self._answered = True  # the journal, the last time
        self._calls = BoundedCalls()
        self._building: asyncio.Task[MonitorView] | None = None
        self._built_at = float("-inf")

    async def view(self) -> MonitorView:
        """Return the present view; it may be `MAX_AGE` old."""
        if self._building is None or (self._building.done() and self._is_old(self._building)):
            self._built_at = self._parts.clock.monotonic()
            self._building = asyncio.ensure_future(self._build())
        # One who gives up must not cancel the view of the others.
        return await asyncio.shield(self._building)

    def _is_old(self, built: asyncio.Task[MonitorView]) -> bool:
        failed = built.cancelled() or built.exception() is not None
        return failed or self._parts.clock.monotonic() - self._built_at >= MAX_AGE

    async def _build(self) -> MonitorView:
        facts = await self._collect()
        answered = await self._read_journal(facts)
        return await run_in_thread("status view", lambda: self._assemble(facts, answered=answered))

    async def _read_journal(self, facts: _Facts) -> bool:
        """Read the journal; return False if it did not answer in time, so that what it said before remains."""
        timeout = JOURNAL_TIMEOUT if self._answered else HANGING_TIMEOUT
        try:
            self._past = await self._calls.call("journal figures", partial(self._read_past, facts), timeout)
            self._answered = True
        except (MonitorError, TimeoutError) as error:
            _log.debug("journal not read for the status", why=str(error) or "timeout")
            self._answered = False
        except Exception as error:  # noqa: BLE001 - a bug there must not cost the page
            # Not recorded by the supervision: it would make the monitor unhealthy.
            self._parts.metrics.count_task_failure("status")
            _log.error("journal not read for the status, by a bug in this program", exc_info=error, repeats=True)
            self._answered = False
        return self._answered

    def _read_past(self, facts: _Facts) -> _Past:
        windows = {slo.name: slo.window for slo in facts.config.slos}
        incidents = self._parts.incidents.list(since=facts.now - DAY, limit=MAX_INCIDENTS)
        return _Past(self._reader.read(facts.now, windows), incidents)

    async def _collect(self) -> _Facts:
        parts, relays = self._parts, []
        incidents = parts.incidents.current()
        for number, relay in enumerate(list(parts.monitored_relays.relays.values()), 1):
            relays.append(self._relay(relay, incidents.get(relay.config.name)))
            if number % SLICE == 0:
                await asyncio.sleep(0)
        return _Facts(
            config=parts.config,
            now=utc(parts.clock),
            healthy=parts.health.healthy,
            reasons=tuple(parts.health.reasons),
            relays=relays,
            windows=parts.maintenance_on_demand.list(),
            reading=parts.prometheus.reading,
            drill=parts.drills.last,
        )

    def _relay(self, relay: MonitoredRelay, incident: Incident | None) -> RelayFacts:
        parts, name, verdict = self._parts, relay.config.name, relay.verdict
        status, now = verdict.status, parts.clock.monotonic()
        delivered = now - verdict.delivered_at
        probes = [probe for probe in parts.config.probes if name in probe.relays and not probe.is_continuous]
        return RelayFacts(
            config=relay.config,
            status=status,
            up=verdict.up,
            cause_age=None if status.cause is None else max(0.0, now - status.cause.at),
            delivered_age=None if delivered == float("inf") else delivered,
            maintenance=parts.maintenance.window(name),
            certificate=parts.metrics.certificate_expiry(name),
            next_due={probe.name: parts.schedule.next_due(name, probe.name) for probe in probes},
            incident=None if incident is None else incident.id,
        )

    def _in_memory(self) -> _Past:
        """Return what is known while the journal does not answer: its last figures, the last runs, open incidents."""
        parts, past = self._parts, self._past
        figures = replace(past.figures, last=parts.journal.last_all(), last_good=parts.journal.last_good_all())
        incidents = {each.id: each for each in (*past.incidents, *parts.incidents.present())}
        newest = sorted(incidents.values(), key=lambda each: (each.is_open, each.opened_at), reverse=True)
        return _Past(figures, newest[:MAX_INCIDENTS])

    def _assemble(self, facts: _Facts, *, answered: bool) -> MonitorView:
        past = self._past if answered else self._in_memory()
        parts, config, figures = self._parts, facts.config, past.figures
        reading = facts.reading
        relays = [self._relay_views.view(each, config, figures, reading, facts.now) for each in facts.relays]
        if reading is not None:
            relays += unobserved(reading, {relay.name for relay in relays}, config, facts.now)
        relays.sort(key=worst_first)
        return MonitorView(
            version=monitor.__version__,
            install=config.install,
            location=config.location,
            shard=parts.shard,
            started_at=parts.started_at,
            now=facts.now,
            healthy=facts.healthy,
            reasons=facts.reasons,
            config_hash=parts.config_hash,
            reloaded_at=parts.reloaded_at,
            journal_healthy=answered and parts.journal.healthy,
            banner=banner(relays, healthy=facts.healthy, reasons=facts.reasons),
            relays=tuple(relays),
            incidents=tuple(_incident(incident, facts.now) for incident in past.incidents),
            maintenance=tuple(_window(window) for window in facts.windows),
            failures=failure_groups(figures),
            prometheus=None if reading is None else _prometheus(reading),
            drill=None if facts.drill is None else _drill(facts.drill),
        )


def _incident(incident: Incident, now: datetime) -> IncidentView:
    return IncidentView(
        id=incident.id,
        relay=incident.relay,
        began_at=incident.began_at,
        opened_at=incident.opened_at,
        recovered_at=incident.recovered_at,
        closed_at=incident.closed_at,
        worst=incident.worst,
        sentence=printable(summarize(incident, now)),
        detection_seconds=incident.detection_seconds,
    )


def _prometheus(reading: Reading) -> PrometheusView:
    return PrometheusView(url=reading.url, asked_at=reading.at, failure=reading.failure, alerts=reading.alerts)


def _drill(drill: Drill) -> DrillView:
    ended_at = datetime.fromtimestamp(drill.started_at + (drill.ended or 0.0), UTC)
    return DrillView(ended_at=ended_at, seconds=drill.received, why=drill.why)


def _window(window: Window) -> WindowView:
    return WindowView(
        id=window.id,
        relays=window.relays,
        start=window.start,
        until=window.end,
        reason=window.reason,
        by=window.by,
    )
