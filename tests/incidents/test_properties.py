"""What holds of incidents whatever happens to a relay, its monitor and the clock."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from monitor.incidents import BAD, ChangeKind, EntryKind, incident_from_json, incident_to_json, spans
from monitor.incidents.incident import MAX_CAUSES, MAX_ENTRIES, MAX_NAMES, MAX_TEXT, SEVERITY
from monitor.vocabulary import Condition
from tests.incidents.relay_time import DOWN, UNKNOWN, UP, PlayedRelay

if TYPE_CHECKING:
    from monitor.incidents import Incident

CLOSE_AFTER = 300.0
REOPEN_WITHIN = 1800.0
SECONDS = st.sampled_from([0.0, 0.5, 1.0, 10.0, 150.0, 299.0, 300.0, 301.0, 900.0, 1799.0, 1800.0, 1802.0, 5000.0])
TEXTS = st.text(max_size=8) | st.sampled_from(["<b>", "\x1b[31m", "x" * 1000, "\ud800"])


class AnyHistory(RuleBasedStateMachine):
    """A model of the rules: what is observed of the relay decides when an incident may open and close."""

    @initialize()
    def begin(self) -> None:
        self.played = PlayedRelay()
        self.condition = UNKNOWN
        self.window = False
        self.up_seconds = 0.0  # observed in a row
        self.closed_at: float | None = None
        self.seen = 0  # changes checked

    def pass_time(self, seconds: float) -> None:
        """Let time pass, one tick at its end."""
        if self.condition is UP:
            self.up_seconds += seconds
        self.played.wait(seconds, step=max(seconds, 1.0))

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.pass_time(seconds)

    @rule(condition=st.sampled_from([UP, *Condition]), since=SECONDS, why=TEXTS, duration=SECONDS)
    def the_condition_changes(self, condition: Condition, since: float, why: str, duration: float) -> None:
        if condition in BAD:
            self.up_seconds = 0.0
        self.condition = condition
        self.played.becomes(condition, why, since=since)
        self.changes_follow_the_rules()
        self.pass_time(duration)

    @rule(seconds=SECONDS, again=SECONDS)
    def it_is_up_fails_and_is_up(self, seconds: float, again: float) -> None:
        for condition, duration in ((UP, seconds), (DOWN, 1.0), (UP, again)):
            self.the_condition_changes(condition, 0.0, "", duration)
            self.changes_follow_the_rules()

    @rule(reason=TEXTS, seconds=SECONDS)
    def a_window_is_open_for_some_time(self, reason: str, seconds: float) -> None:
        self.maintenance_changes(reason)
        self.pass_time(seconds)
        self.changes_follow_the_rules()
        self.maintenance_changes(None)

    @rule(reason=TEXTS, probe=st.none() | TEXTS, endpoint=TEXTS)
    def something_fails(self, reason: str, probe: str | None, endpoint: str) -> None:
        if probe is None:
            self.played.attempt_fails(reason, endpoint=endpoint, detail=reason * 50)
        else:
            self.played.run_fails(probe, reason=reason, endpoint=endpoint)

    @rule()
    def an_attempt_delivers(self) -> None:
        self.played.attempt_delivers()

    @rule(number=st.integers(1, 9))
    def messages_are_lost(self, number: int) -> None:
        self.played.loses(number)

    @rule(reason=st.none() | TEXTS)
    def maintenance_changes(self, reason: str | None) -> None:
        self.window = reason is not None
        self.played.maintenance(reason)

    @rule(gone=SECONDS)
    def the_monitor_restarts(self, gone: float) -> None:
        self.played.restart(gone)
        self.played.maintenance("goes on" if self.window else None)  # as the recorder does at once
        self.condition = UNKNOWN

    @rule(times=st.integers(1, 400))
    def it_is_reloaded_often(self, times: int) -> None:
        for _ in range(times):
            self.played.keep(self.played.incidents.note(self.played.now, EntryKind.RELOAD, "reloaded"))

    @rule()
    def the_relay_is_removed(self) -> None:
        self.played.keep(self.played.incidents.removed(self.played.now))
        assert self.played.incidents.incident is None
        self.begin_again()

    def begin_again(self) -> None:
        self.played.incidents = self.played.machine_of(self.played.now)
        self.condition, self.window, self.closed_at = UNKNOWN, False, None
        self.seen = len(self.played.changes)

    @invariant()
    def a_bad_condition_outside_maintenance_has_an_open_incident(self) -> None:
        if self.condition in BAD and not self.window:
            assert self.played.incidents.open is not None

    @invariant()
    def changes_follow_the_rules(self) -> None:
        now = self.played.now
        for change in self.played.changes[self.seen :]:
            incident = change.incident
            match change.kind:
                case ChangeKind.OPENED:
                    assert self.condition in BAD
                    assert not self.window
                    assert self.closed_at is None or now - self.closed_at > REOPEN_WITHIN
                case ChangeKind.REOPENED:
                    assert self.condition in BAD
                    assert not self.window
                    assert self.closed_at is not None
                    assert now - self.closed_at <= REOPEN_WITHIN
                case ChangeKind.CLOSED:
                    assert self.up_seconds >= CLOSE_AFTER or incident.closed_because == "no longer watched"
                    assert incident.closed_at is not None
                    self.closed_at = (incident.closed_at - self.played.wall(now)).total_seconds()
        self.seen = len(self.played.changes)

    @invariant()
    def an_incident_that_is_open_has_not_been_up_for_long(self) -> None:
        if self.played.incidents.open is not None and self.condition is UP:
            assert self.up_seconds < CLOSE_AFTER

    @invariant()
    def each_incident_is_consistent_and_bounded(self) -> None:
        incident = self.played.incidents.incident
        if incident is None:
            return
        assert incident.began_at <= incident.opened_at <= incident.updated_at
        assert incident.worst in BAD
        assert not incident.is_open or incident.in_maintenance == self.window
        assert SEVERITY[incident.worst] >= SEVERITY[incident.condition]
        assert len(incident.entries) <= MAX_ENTRIES
        assert len(incident.causes) <= MAX_CAUSES
        assert max(len(incident.probes), len(incident.endpoints)) <= MAX_NAMES
        assert all(len(entry.text) <= MAX_TEXT and entry.text.isprintable() for entry in incident.entries)
        assert sum(cause.count for cause in incident.causes) >= sum(probe.count for probe in incident.probes)
        assert sum(incident.seconds.values()) <= (self.played.wall() - incident.began_at).total_seconds() + 1e-3

    @invariant()
    def it_survives_its_journal(self) -> None:
        incident = self.played.incidents.incident
        if incident is not None:
            assert as_stored(incident_from_json(incident_to_json(incident))) == as_stored(incident)

    @invariant()
    def its_chart_has_no_gap(self) -> None:
        incident = self.played.incidents.incident
        if incident is None:
            return
        parts = spans(incident, self.played.wall())
        for one, following in pairwise(parts):
            assert one.end == following.start
        assert all(part.end - part.start > timedelta() for part in parts)


def as_stored(incident: Incident) -> object:
    """Return what is compared: lengths of time are stored to the millisecond."""
    return incident_to_json(incident)


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
