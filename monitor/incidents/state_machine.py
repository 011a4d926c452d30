"""The incidents of one relay as a state machine without I/O.

Its inputs are the relay's conditions, failures, maintenance, reloads and time; its output are changes of an incident.
An incident opens with a bad condition outside maintenance and closes once the relay was up for `CLOSE_AFTER` seconds; a
bad condition within `REOPEN_WITHIN` seconds of that continues it. While the condition is unknown, no time counts.
Times are monotonic seconds; each input names the present time, which never decreases.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from monitor.durations import duration
from monitor.incidents.incident import BAD, SEVERITY, Change, ChangeKind, Entry, EntryKind
from monitor.incidents.recent import BadMessages, RecentFailures, counted
from monitor.incidents.record import add_entry, closed, condition_texts, new_incident, reopened, with_seconds
from monitor.incidents.spans import condition_since
from monitor.incidents.text import WORDS
from monitor.vocabulary import Condition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from monitor.incidents.incident import Failed, Incident, Value
    from monitor.results import RelayStatus

CLOSE_AFTER: Final = 300.0
"""Seconds of being up after which an incident closes."""

REOPEN_WITHIN: Final = 1800.0
"""Seconds after its closing within which an incident is continued by another failure."""

_UNNAMED: Final = ""  # the reason of a window that the process before this one noted
NOT_WATCHED: Final = "no longer watched"


class IncidentMachine:
    """The state machine. `wall` returns the wall clock some seconds ago, `name` the id of an incident opened then."""

    def __init__(
        self, relay: str, *, now: float, wall: Callable[[float], datetime], name: Callable[[datetime], str]
    ) -> None:
        self.incident: Incident | None = None  # the open one, or the latest while it may be reopened
        self._relay = relay
        self._wall = wall
        self._name = name
        self._now = now
        self._condition = Condition.UNKNOWN
        self._said = Condition.UNKNOWN  # the latest condition, also that which an incident was restored with
        self._said_seconds = 0.0  # how long it has lasted
        # How much of that the next condition may claim: what `incident` has counted since this process observes it, and
        # after its first condition also the time since its first failure.
        self._counted_seconds = 0.0
        self._status: RelayStatus | None = None
        self._observed_since: float | None = None  # when this process learned something of the relay first
        # Seconds since then that belong to no incident.
        self._unrecorded: defaultdict[Condition, float] = defaultdict(float)
        self._why = ""
        self._up_seconds = 0.0  # observed since the latest bad condition
        self._closed = now  # when `incident` closed
        self._maintenance: str | None = None  # the reason of the window
        self._recent = RecentFailures()
        self._awaits_delivery = False
        self._changes: list[Change] = []

    @property
    def open(self) -> Incident | None:
        """The open incident, or None."""
        return self.incident if self.incident is not None and self.incident.is_open else None

    # Inputs.

    def restore(self, now: float, incident: Incident, seen_at: datetime) -> list[Change]:
        """Continue with an incident of the process before this one, which observed the relay until `seen_at`.

        It may come late, after the first statuses: what was observed since then counts for it.
        """
        self._advance(now)
        self.incident, wall, condition = incident, self._wall(0.0), self._condition
        if incident.closed_at is not None:
            self._closed = now - max(0.0, (wall - incident.closed_at).total_seconds())
            return self._taken()
        observed = now - self._observed_since if self._observed_since is not None else 0.0
        gap = max(0.0, (self._wall(observed) - seen_at).total_seconds())
        self._said, self._counted_seconds = incident.condition, 0.0
        self._said_seconds = max(0.0, (wall - condition_since(incident)).total_seconds())
        self._awaits_delivery = incident.recovered_at is None
        self._up_seconds = 0.0 if condition in BAD else self._up_seconds + incident.up_seconds
        self._maintenance = _UNNAMED if incident.in_maintenance else None
        excess = max(0.0, self._up_seconds - CLOSE_AFTER) if condition is Condition.UP else 0.0
        self._up_seconds -= excess
        seconds = with_seconds(incident.seconds, condition, -excess) if excess else incident.seconds
        for each, lasted in self._unrecorded.items():
            seconds = with_seconds(seconds, each, lasted)
        self.incident = replace(incident, seconds=seconds, unobserved_seconds=incident.unobserved_seconds + gap)
        text = f"Monitor restarted: nothing was observed for {duration(gap)}, since {seen_at:%H:%M:%S} UTC."
        self._enter(EntryKind.GAP, text, {"seconds": round(gap, 3), "since": seen_at.isoformat()}, ago=observed)
        if self._status is not None:
            self._counted_seconds = min(max(0.0, (wall - self._status.since).total_seconds()), observed)
            if condition is not self._said:
                self._set_condition(condition, self._counted_seconds)
            if condition is Condition.UP and self._up_seconds >= CLOSE_AFTER:
                self._close(f"up for {duration(CLOSE_AFTER)}", excess)
        return self._taken(ChangeKind.UPDATED)

    def status(self, now: float, status: RelayStatus, why: str = "") -> list[Change]:
        """Handle what is said of the relay; `why` explains it in words."""
        self._advance(now)
        before, self._condition = self._condition, status.condition
        known = self._status is not None
        was_up = self._status.up if self._status is not None else None
        self._observed_since = now if self._observed_since is None else self._observed_since
        self._status, self._why = status, why
        if status.condition in BAD:
            self._up_seconds = 0.0
            if self.open is None:
                self._open_unless_in_maintenance(detected=known)
                return self._taken()
        if self.open is None:
            self._say(status.condition)
            return self._taken()
        if status.condition is self._said and status.up and was_up is False:
            self._note_delivery("")  # over a persistent pair
        if status.condition is not self._said:
            self._set_condition(status.condition, self._reassign_seconds(status))
        return self._taken(ChangeKind.UPDATED if before is not status.condition else None)

    def attempt(self, now: float, run_id: str, failed: Failed | None) -> list[Change]:
        """Handle a fresh attempt that ended, by a failure or with its message delivered."""
        self._advance(now)
        if failed is None and self.open is None:
            return self._taken()
        if failed is not None:
            self._count(failed)
        if (incident := self.open) is not None:
            self.incident = replace(
                incident,
                attempts=incident.attempts + 1,
                failed_attempts=incident.failed_attempts + (failed is not None),
            )
            if failed is None:
                self._note_delivery(run_id)
        return self._taken(ChangeKind.UPDATED if self.open is not None else None)

    def run_failed(self, now: float, failed: Failed) -> list[Change]:
        """Handle a failed run of a probe."""
        self._advance(now)
        self._count(failed)
        return self._taken(ChangeKind.UPDATED if self.open is not None else None)

    def messages(self, now: float, verdict: str, count: int, run_id: str) -> list[Change]:
        """Handle messages that got a bad verdict."""
        self._advance(now)
        self._count(BadMessages(self._wall(0.0), verdict, count, run_id))
        return self._taken(ChangeKind.UPDATED if self.open is not None else None)

    def maintenance(self, now: float, reason: str | None) -> list[Change]:
        """Handle the beginning of a maintenance window, for a `reason`, or its end. A relay still down then opens."""
        self._advance(now)
        if reason == self._maintenance:
            return self._taken()
        before, self._maintenance = self._maintenance, reason
        if before == _UNNAMED and reason is not None:
            return self._taken()
        if self.open is None:
            if reason is None and self._condition in BAD:
                self._open_unless_in_maintenance(detected=False)
            return self._taken()
        self._mark_maintenance(before)
        return self._taken(ChangeKind.UPDATED)

    def note(self, now: float, kind: EntryKind, text: str, fields: Mapping[str, Value] | None = None) -> list[Change]:
        """Add an entry about the monitor itself, such as a reload, to an open incident."""
        self._advance(now)
        if self.open is None:
            return self._taken()
        self._enter(kind, text, fields or {})
        return self._taken(ChangeKind.UPDATED)

    def removed(self, now: float) -> list[Change]:
        """Close the incident: the relay is not watched any more."""
        self._advance(now)
        if self.open is not None:
            self._close(NOT_WATCHED, 0.0)
        changes = self._taken()
        self.incident = None
        return changes

    def tick(self, now: float) -> list[Change]:
        """Let time pass."""
        self._advance(now)
        return self._taken()

    # Rules.

    def _advance(self, now: float) -> None:
        """Account for the time since the previous input, and do what it makes due."""
        elapsed, self._now = max(0.0, now - self._now), max(now, self._now)
        self._said_seconds += elapsed
        if self._condition is Condition.UP:
            self._up_seconds += elapsed
        incident = self.open
        if incident is None:
            if self._status is not None:
                self._unrecorded[self._condition] += elapsed
            if self.incident is not None and self._now - self._closed > REOPEN_WITHIN:
                self.incident = None
            return
        excess = self._up_seconds - CLOSE_AFTER if self._condition is Condition.UP else -1.0
        counted = elapsed - max(0.0, excess)
        if self._condition is self._said:
            self._counted_seconds += counted
        self.incident = replace(
            incident,
            seconds=with_seconds(incident.seconds, self._condition, counted),
            maintenance_seconds=incident.maintenance_seconds + counted * (self._maintenance is not None),
            updated_at=self._wall(max(0.0, excess)),
            up_seconds=min(self._up_seconds, CLOSE_AFTER),
        )
        if excess >= 0.0:
            self._close(f"up for {duration(CLOSE_AFTER)}", excess)

    def _open_unless_in_maintenance(self, *, detected: bool) -> None:
        """Open an incident, or continue the latest, for the present condition.

        `detected`: the condition is new, and not known from before.
        """
        status, wall = self._status, self._wall(0.0)
        if self._maintenance is not None or status is None:
            self._say(self._condition)
            return
        said = f"relay is {WORDS[status.condition]}" + (f": {self._why}" if self._why else "")
        latest = self.incident
        lasted = ago = max(0.0, (wall - status.since).total_seconds())
        if latest is None:
            latest = new_incident(self._name(wall), self._relay, min(status.since, wall), wall, status.condition)
            kind, entry, text = ChangeKind.OPENED, EntryKind.OPENED, f"Opened: {said}"
        else:
            kind, entry = ChangeKind.REOPENED, EntryKind.REOPENED
            text = f"Reopened {duration(self._now - self._closed)} after it was closed: {said}"
            ago = min(ago, self._now - self._closed)
            latest = reopened(latest, status.condition)
        self.incident = replace(latest, seconds=with_seconds(latest.seconds, status.condition, ago))
        self.incident = self._recent.move_to(self.incident, self._now, self._now - lasted, status.condition)
        # Without a failure, as where all is slow, it is not known when it began.
        if detected and kind is ChangeKind.OPENED and (self._present().causes or self._present().messages):
            delay = max(0.0, (wall - self._present().began_at).total_seconds())
            self.incident = replace(self._present(), detection_seconds=round(delay, 3))
        self._set_condition(status.condition, ago, entry=entry, text=text)
        if kind is ChangeKind.OPENED:
            self._counted_seconds = max(ago, (wall - self._present().began_at).total_seconds())
        self._changes[-1:] = [Change(kind, self._present())]

    def _reassign_seconds(self, status: RelayStatus) -> float:
        """Count the time since a condition began for it, and no longer for the one before; return how long that is.

        A relay is down since its first failed attempt, and is known to be so seconds later. Time without observation
        stays so.
        """
        if self._said is Condition.UNKNOWN:
            return 0.0
        incident = self._present()
        ago = min(max(0.0, (self._wall(0.0) - status.since).total_seconds()), self._counted_seconds)
        taken = min(ago, incident.seconds.get(self._said.value, 0.0))
        seconds = with_seconds(with_seconds(incident.seconds, self._said, -taken), status.condition, ago)
        self.incident = replace(incident, seconds=seconds)
        return ago

    def _set_condition(
        self, condition: Condition, ago: float, *, entry: EntryKind = EntryKind.CONDITION, text: str = ""
    ) -> None:
        """Record another condition, which began `ago` seconds ago, in the open incident."""
        incident = self._present()
        before, lasted = self._said, max(0.0, self._said_seconds - ago)
        self._said, self._said_seconds, self._counted_seconds = condition, ago, ago
        recovered = incident.recovered_at
        if condition in BAD:
            recovered = None
        elif condition is Condition.UP and recovered is None:
            recovered = self._wall(ago)
        if condition is not Condition.UNKNOWN:
            self._awaits_delivery = condition in {Condition.DOWN, Condition.NOT_ACCEPTING}
        worst = max(incident.worst, condition, key=SEVERITY.__getitem__)
        self.incident = replace(
            incident, condition=condition, worst=worst, recovered_at=recovered, up_seconds=self._up_seconds
        )
        changed, fields = condition_texts(condition, before, lasted, self._why, since=self._wall(ago))
        self._enter(entry, text or changed, fields)
        self._changes.append(Change(ChangeKind.CONDITION, self._present()))

    def _say(self, condition: Condition) -> None:
        if condition is not self._said:
            self._said, self._said_seconds = condition, 0.0

    def _note_delivery(self, run_id: str) -> None:
        if self._awaits_delivery:
            self._awaits_delivery = False
            text = f"First message delivered again after {duration(self._said_seconds)} {WORDS[self._said]}."
            self._enter(EntryKind.DELIVERED, text, {"runId": run_id})

    def _mark_maintenance(self, before: str | None) -> None:
        reason = self._maintenance
        self.incident = replace(self._present(), in_maintenance=reason is not None)
        text = f"Maintenance {'began' if before is None else 'changed'}: {reason}"
        if reason is None:
            text = "Maintenance ended."
        self._enter(EntryKind.MAINTENANCE, text, {"active": reason is not None, "reason": reason or ""})

    def _count(self, failure: Failed | BadMessages) -> None:
        """Add a failure to the open incident, or remember it for the one that it may lead to."""
        if self.open is None:
            self._recent.remember(self._now, failure)
        else:
            self.incident = counted(self._present(), failure)

    def _close(self, because: str, ago: float) -> None:
        """Close the open incident, which was due `ago` seconds ago."""
        at = self._wall(ago)
        self._closed = self._now - ago
        self.incident = closed(self._present(), at, because)
        self._changes.append(Change(ChangeKind.CLOSED, self.incident))

    # Common parts.

    def _present(self) -> Incident:
        assert self.incident is not None
        return self.incident

    def _enter(self, kind: EntryKind, text: str, fields: Mapping[str, Value], ago: float = 0.0) -> None:
        self.incident = add_entry(self._present(), Entry(self._wall(ago), kind, text, fields))

    def _taken(self, otherwise: ChangeKind | None = None) -> list[Change]:
        """Return the changes since the previous input; `otherwise` if there is none but the incident is another."""
        changes, self._changes = self._changes, []
        if changes:
            changes[-1] = Change(changes[-1].kind, self.incident or changes[-1].incident)
        elif otherwise is not None and self.incident is not None:
            changes.append(Change(otherwise, self.incident))
        return changes
