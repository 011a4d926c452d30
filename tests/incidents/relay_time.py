"""One relay whose incidents a test plays in a time of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from monitor.incidents import ChangeKind, Entry, Failed, Incident, IncidentMachine
from monitor.incidents.identifier import incident_id
from monitor.results import Cause, RelayStatus
from monitor.vocabulary import Condition, Reason, Step

if TYPE_CHECKING:
    from monitor.incidents import Change

START = datetime(2026, 11, 28, 10, 0, tzinfo=UTC)

UP, DEGRADED, NOT_ACCEPTING = Condition.UP, Condition.DEGRADED, Condition.NOT_ACCEPTING
DOWN, UNKNOWN = Condition.DOWN, Condition.UNKNOWN


def seconds(incident: Incident) -> dict[str, int]:
    """Return how long each condition of an incident lasted, in whole seconds."""
    return {name: round(lasted) for name, lasted in incident.seconds.items() if round(lasted)}


class PlayedRelay:
    """`changes` has all changes of incidents, `now` is the time in seconds since `START`."""

    def __init__(self, relay: str = "demo", *, now: float = 0.0) -> None:
        self.relay = relay
        self.now = now
        self.changes: list[Change] = []
        self.incidents = self.machine_of(now)

    def machine_of(self, now: float) -> IncidentMachine:
        name = partial(incident_id, relay=self.relay, install="default", location="here")
        return IncidentMachine(self.relay, now=now, wall=self.wall, name=name)

    def wall(self, ago: float = 0.0) -> datetime:
        return START + timedelta(seconds=self.now - ago)

    def keep(self, changes: list[Change]) -> list[ChangeKind]:
        self.changes += changes
        return [change.kind for change in changes]

    # Time and inputs.

    def wait(self, seconds: float, *, step: float = 1.0) -> list[ChangeKind]:
        """Let time pass, with a tick each second."""
        kinds: list[ChangeKind] = []
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + step)
            kinds += self.keep(self.incidents.tick(self.now))
        return kinds

    def becomes(
        self, condition: Condition, why: str = "", *, since: float = 0.0, up: bool | None = None
    ) -> list[ChangeKind]:
        """Let the relay be in a condition, which began `since` seconds ago."""
        delivers = {UP: True, DEGRADED: True, NOT_ACCEPTING: True, DOWN: False}.get(condition) if up is None else up
        status = RelayStatus(
            relay=self.relay,
            condition=condition,
            since=self.wall(since),
            up=delivers,
            accepting=condition in {UP, DEGRADED},
            cause=Cause(step=Step.TCP, reason=Reason.REFUSED),
        )
        return self.keep(self.incidents.status(self.now, status, why))

    def attempt_fails(self, reason: str = "refused", **more: str) -> None:
        failed = Failed(self.wall(), None, "tcp", reason, run_id="run-attempt", **more)
        self.keep(self.incidents.attempt(self.now, failed.run_id, failed))

    def attempt_delivers(self) -> None:
        self.keep(self.incidents.attempt(self.now, "run-ok", None))

    def run_fails(self, probe: str = "steady", step: str = "tcp", reason: str = "refused", **more: str) -> None:
        self.keep(self.incidents.run_failed(self.now, Failed(self.wall(), probe, step, reason, run_id="run-1", **more)))

    def loses(self, number: int = 1, verdict: str = "lost") -> None:
        self.keep(self.incidents.messages(self.now, verdict, number, "run-2"))

    def maintenance(self, reason: str | None) -> list[ChangeKind]:
        return self.keep(self.incidents.maintenance(self.now, reason))

    def restart(self, gone: float) -> None:
        """Let the monitor stop now and another one start later."""
        left, seen_at = self.incidents.incident, self.wall()
        self.now += gone
        self.incidents = self.machine_of(self.now)
        if left is not None:
            self.keep(self.incidents.restore(self.now, left, seen_at))

    # Results.

    @property
    def incident(self) -> Incident:
        assert self.incidents.incident is not None
        return self.incidents.incident

    @property
    def ids(self) -> list[str]:
        return list(dict.fromkeys(change.incident.id for change in self.changes))

    def texts(self) -> list[str]:
        """Return the time line, each entry with its second."""
        return [f"{_second(entry)} {entry.text}" for entry in self.incident.entries]


def _second(entry: Entry) -> str:
    return f"{(entry.at - START).total_seconds():g}"


def down_relay() -> PlayedRelay:
    """Return a relay that was up and is down since second 100."""
    played = PlayedRelay()
    played.becomes(UP)
    played.wait(98)
    for _ in range(3):
        played.attempt_fails()
    played.wait(2)
    played.becomes(DOWN, "tcp refused, 3 of 3 attempts failed", since=2)
    return played
