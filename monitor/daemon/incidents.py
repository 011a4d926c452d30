"""Feeds the incidents of all relays, stores them, logs them and counts them."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from monitor.clock import utc
from monitor.errors import JournalUnavailableError
from monitor.incidents import Change, ChangeKind, EntryKind, Failed, Incident, IncidentMachine
from monitor.incidents.identifier import incident_id
from monitor.incidents.incident import MAX_TEXT
from monitor.incidents.record import closed
from monitor.incidents.state_machine import REOPEN_WITHIN
from monitor.incidents.text import main_cause, summarize
from monitor.reachability.sentence import explain
from monitor.results import MessagesJudged, Run
from monitor.vocabulary import Condition, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from monitor.clock import Clock
    from monitor.incidents.incident import Value
    from monitor.journal import Journal
    from monitor.results import RelayStatus, Report
    from monitor.schedule import Maintenance

_log = structlog.get_logger(__name__)

SAVE_INTERVAL: Final = 5.0
"""Seconds between two writes of an open incident of which only counts changed."""

RESAVE_INTERVAL: Final = 15.0
"""Seconds between two writes of an open incident of which nothing changed: what was observed is known to within it."""

RESTORE_INTERVAL: Final = 10.0
"""Seconds between two attempts to read the incidents of the process before this one."""

MAX_LISTED: Final = 1000
"""Largest number of incidents in a list."""

_BAD_VERDICTS: Final = frozenset(Verdict) - {Verdict.DELIVERED}


class Store(Protocol):
    """Keeps incidents; the journal. `save_incident` never blocks, the others may."""

    def save_incident(self, incident: Incident) -> None:
        """Store an incident, in place of an earlier state of it."""

    def incident(self, incident_id: str) -> Incident | None:
        """Return an incident by its id, or None."""

    def incidents(
        self,
        *,
        relay: str | None = None,
        since: datetime | None = None,
        open: bool | None = None,  # noqa: A002 - what it is called
        limit: int,
    ) -> list[Incident]:
        """Return incidents, newest first; None matches all. `since`: those that were open then or later."""


class Counts(Protocol):
    """What is exported of incidents; the metrics."""

    def set_incident_open(self, relay: str, is_open: bool) -> None:  # noqa: FBT001 - a state, named
        """Set whether a relay has an open incident."""

    def count_incident(self) -> None:
        """Count an incident that opened."""


async def restore_incidents(recorder: IncidentRecorder, journal: Journal, relays: Iterable[str]) -> bool:
    """Continue with what the process before this one left; return False if the journal cannot be read."""
    try:
        left = await journal.read(recorder.left_by_predecessor())
    except JournalUnavailableError as error:
        _log.warning("incidents of the process before are unknown until the journal can be read", why=str(error))
        return False
    recorder.restore(left, relays)
    return True


async def restore_incidents_later(
    recorder: IncidentRecorder, journal: Journal, relays: Callable[[], Iterable[str]]
) -> None:
    """Continue with them once the journal can be read: an incident that was left open would stay so for ever."""
    restored = False
    while not restored:
        await asyncio.sleep(RESTORE_INTERVAL)
        restored = await restore_incidents(recorder, journal, relays())


class IncidentRecorder:
    """The incidents of all relays. To be used on the event loop; `get` and `list` may block, for any thread."""

    def __init__(self, store: Store, counts: Counts, clock: Clock, *, install: str, location: str) -> None:
        self._store = store
        self._counts = counts
        self._clock = clock
        self._name = partial(_id_of, install, location)
        self._by_relay: dict[str, IncidentMachine] = {}
        self._unsaved: dict[str, Incident] = {}  # by id
        self._saved_at: dict[str, float] = {}  # by id, of open incidents

    # Before and after.

    def left_by_predecessor(self) -> Callable[[], Sequence[Incident]]:
        """Return a query for a thread, of the incidents of the process before this one that may continue."""
        recent = utc(self._clock, REOPEN_WITHIN)  # a thread may not read the clock

        def query() -> Sequence[Incident]:
            found = self._store.incidents(open=True, limit=MAX_LISTED)
            known = {incident.id for incident in found}
            closed = self._store.incidents(open=False, since=recent, limit=MAX_LISTED)
            return found + [each for each in closed if each.id not in known]

        return query

    def restore(self, found: Iterable[Incident], relays: Iterable[str], seen_at: datetime | None = None) -> None:
        """Continue with the latest incident of each of these relays, which were observed until `seen_at`.

        One of this process takes the place of those before it.
        """
        monitored, begun = set(relays), {incident.relay: incident for incident in self.present()}
        latest: dict[str, Incident] = {}
        for incident in sorted(found, key=lambda each: each.opened_at):
            if incident.relay in latest:  # a process could not read it, and began another one
                self._close_continued(latest[incident.relay], incident)
            latest[incident.relay] = incident
        for relay, incident in latest.items():
            if relay in begun:
                self._close_continued(incident, begun[relay])
                continue
            now = self._clock.monotonic()
            seen = max(incident.updated_at, seen_at or incident.updated_at)
            incidents = self._of(relay)
            self._apply(incidents.restore(now, incident, seen))
            self._counts.set_incident_open(relay, incidents.open is not None)
            if relay not in monitored:
                self.removed(relay)

    def _close_continued(self, incident: Incident, by: Incident) -> None:
        """Close an incident that another one of its relay has followed."""
        if incident.is_open and incident.id != by.id:
            self._store.save_incident(closed(incident, incident.updated_at, f"continued as {by.id}"))

    def close(self) -> None:
        """Store what is not stored yet; the monitor stops."""
        now = self._clock.monotonic()
        for incidents in self._by_relay.values():
            self._apply(incidents.tick(now))
            if incidents.open is not None:
                self._apply(incidents.note(now, EntryKind.GAP, "Monitor stopped."))
        self._save(always=True)

    # Inputs.

    def status(self, status: RelayStatus, maintenance: Maintenance) -> None:
        """Handle what is said of a relay."""
        now = self._clock.monotonic()
        incidents = self._of(status.relay)
        self._apply(incidents.maintenance(now, _window(maintenance, status.relay)))
        self._apply(incidents.status(now, status, explain(status)))

    def attempt(self, run: Run) -> None:
        """Handle the run of a fresh attempt."""
        if run.outcome in {Outcome.OK, Outcome.FAILED}:
            failed = self._failed(run, None) if run.outcome is Outcome.FAILED else None
            self._apply(self._of(run.relay).attempt(self._clock.monotonic(), run.id, failed))

    def recorded(self, report: Run | Report) -> None:
        """Handle a report of a probe that is final."""
        if isinstance(report, Run):
            if report.outcome is Outcome.FAILED:
                failed = self._failed(report, report.probe)
                self._apply(self._of(report.relay).run_failed(self._clock.monotonic(), failed))
        elif isinstance(report, MessagesJudged) and report.verdict in _BAD_VERDICTS:
            incidents, verdict = self._of(report.relay), report.verdict.value
            self._apply(incidents.messages(self._clock.monotonic(), verdict, report.messages, report.run_id))

    def removed(self, relay: str) -> None:
        """Handle a relay that is not watched any more."""
        if (incidents := self._by_relay.pop(relay, None)) is not None:
            self._apply(incidents.removed(self._clock.monotonic()))

    def reloaded(self, text: str, fields: Mapping[str, Value]) -> None:
        """Note a reload of the configuration in all open incidents."""
        for incidents in self._by_relay.values():
            self._apply(incidents.note(self._clock.monotonic(), EntryKind.RELOAD, text, fields))

    def tick(self, relay: str, maintenance: Maintenance) -> None:
        """Let time pass for a relay. To be called every second or so."""
        if (incidents := self._by_relay.get(relay)) is not None:
            now = self._clock.monotonic()
            self._apply(incidents.maintenance(now, _window(maintenance, relay)))
            self._apply(incidents.tick(now))
            incident = incidents.open
            if incident is not None and now - self._saved_at.get(incident.id, now) >= RESAVE_INTERVAL:
                self._unsaved[incident.id] = incident

    def save(self) -> None:
        """Store incidents that changed; to be called every second or so."""
        self._save(always=False)

    # What is known.

    def current(self) -> dict[str, Incident]:
        """Return the open incident of each relay that has one."""
        return {
            relay: incidents.open for relay, incidents in list(self._by_relay.items()) if incidents.open is not None
        }

    def present(self, relay: str | None = None) -> Sequence[Incident]:
        """Return the open incidents and those that may be reopened, of one relay or of all. Never blocks."""
        # Read once: the event loop may forget an incident meanwhile.
        found = [
            incident for incidents in list(self._by_relay.values()) if (incident := incidents.incident) is not None
        ]
        return _sorted(incident for incident in found if relay in {None, incident.relay})

    def get(self, incident_id: str) -> Incident | None:
        """Return an incident by its id, or None. May block."""
        for incident in self.present():
            if incident.id == incident_id:
                return incident
        return self._store.incident(incident_id)

    def list(
        self,
        *,
        relay: str | None = None,
        since: datetime | None = None,
        open: bool | None = None,  # noqa: A002 - what it is called
        limit: int = 50,
    ) -> list[Incident]:
        """Return incidents, open ones first, each newest first; None matches all. May block."""
        stored = self._store.incidents(relay=relay, since=since, open=open, limit=limit)
        found = {incident.id: incident for incident in stored}
        for incident in self.present(relay):
            found.pop(incident.id, None)
            matches = open in {None, incident.is_open}
            if matches and (since is None or incident.closed_at is None or incident.closed_at >= since):
                found[incident.id] = incident
        return _sorted(found.values())[:limit]

    # Common parts.

    def _of(self, relay: str) -> IncidentMachine:
        incidents = self._by_relay.get(relay)
        if incidents is None:
            incidents = self._by_relay[relay] = IncidentMachine(
                relay,
                now=self._clock.monotonic(),
                wall=partial(utc, self._clock),
                name=partial(self._name, relay),
            )
        return incidents

    def _failed(self, run: Run, probe: str | None) -> Failed:
        failure = run.failure
        at = run.failed_at or utc(self._clock)
        if failure is None:
            return Failed(at, probe, "", "failed", run_id=run.id)
        return Failed(
            at,
            probe,
            failure.step.value,
            failure.reason.value,
            failure.status,
            failure.detail[:MAX_TEXT],
            failure.endpoint[:MAX_TEXT],
            run.id,
        )

    def _apply(self, changes: Sequence[Change]) -> None:
        for change in changes:
            incident = change.incident
            self._unsaved[incident.id] = incident
            if change.kind is ChangeKind.UPDATED:
                continue
            self._log_change(change)
            self._store_now(incident)
            self._counts.set_incident_open(incident.relay, incident.is_open)
            if change.kind is ChangeKind.OPENED:
                self._counts.count_incident()

    def _store_now(self, incident: Incident) -> None:
        self._store.save_incident(incident)
        self._unsaved.pop(incident.id, None)
        self._saved_at[incident.id] = self._clock.monotonic()
        if not incident.is_open:
            self._saved_at.pop(incident.id, None)

    def _save(self, *, always: bool) -> None:
        now = self._clock.monotonic()
        for incident in list(self._unsaved.values()):
            if always or now - self._saved_at.get(incident.id, float("-inf")) >= SAVE_INTERVAL:
                self._store_now(incident)

    def _log_change(self, change: Change) -> None:
        incident = change.incident
        names = {"incident": incident.id, "relay": incident.relay}
        last = incident.entries[-1].text if incident.entries else ""
        match change.kind:
            case ChangeKind.OPENED | ChangeKind.REOPENED:
                cause = main_cause(incident)
                _log.warning(f"incident {change.kind.value}", **names, condition=incident.condition.value, cause=cause)
            case ChangeKind.CLOSED:
                summary = summarize(incident, utc(self._clock))
                _log.info("incident closed", **names, because=incident.closed_because, summary=summary)
            case _:
                log = _log.info if incident.condition is Condition.UP else _log.warning
                log("incident changed", **names, condition=incident.condition.value, change=last)


def _id_of(install: str, location: str, relay: str, opened_at: datetime) -> str:
    return incident_id(opened_at, relay, install=install, location=location)


def _sorted(incidents: Iterable[Incident]) -> list[Incident]:
    """Return the open incidents first, each the newest first."""
    return sorted(incidents, key=lambda each: (each.is_open, each.opened_at), reverse=True)


def _window(maintenance: Maintenance, relay: str) -> str | None:
    """Return what is said of the maintenance window of a relay, None outside one. It does not change with the time."""
    window = maintenance.window(relay)
    if window is None:
        return None
    day = "" if window.end.date() == window.start.date() else f"{window.end:%Y-%m-%d} "
    by = f", by {window.by}" if window.by else ""
    return f"{window.reason or 'no reason given'}, until {day}{window.end:%H:%M} UTC{by}"
