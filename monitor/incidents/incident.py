"""The values of an incident. All are frozen; times are aware datetimes in UTC, durations are seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from monitor.vocabulary import Condition, cause_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

MAX_ENTRIES: Final = 500
"""Entries of one incident; beyond, those in the middle are replaced by one that counts them."""

MAX_CAUSES: Final = 20
"""Causes of one incident that are counted apart; the others are one more."""

MAX_NAMES: Final = 50
"""Probes, and endpoints, of one incident that are counted apart; the others are one more."""

MAX_TEXT: Final = 300
"""Characters of one text."""

BAD: Final = frozenset({Condition.DEGRADED, Condition.NOT_ACCEPTING, Condition.DOWN})
"""The conditions that open an incident."""

SEVERITY: Final = {
    Condition.UP: 0,
    Condition.UNKNOWN: 0,
    Condition.DEGRADED: 1,
    Condition.NOT_ACCEPTING: 2,
    Condition.DOWN: 3,
}
"""How bad a condition is."""

Value = str | int | float | bool | None


class EntryKind(StrEnum):
    """What an entry is about."""

    OPENED = "opened"
    REOPENED = "reopened"
    CONDITION = "condition"
    CLOSED = "closed"
    FAILED = "failed"  # the first failure of a cause, probe or endpoint; of attempts all while a condition lasts
    DELIVERED = "delivered"  # the first message after failures
    MESSAGES = "messages"  # messages lost, late, damaged
    MAINTENANCE = "maintenance"
    RELOAD = "reload"
    GAP = "gap"  # no monitor ran
    OMITTED = "omitted"  # stands for entries that were not kept


@dataclass(frozen=True, slots=True)
class Entry:
    """One line in the time line of an incident. `fields` are values for programs; `runId` is the id of a run."""

    at: datetime
    kind: EntryKind
    text: str
    fields: Mapping[str, Value] = field(default_factory=dict)


class Failed(NamedTuple):
    """A failed attempt (`probe` is None), or a failed run of a probe."""

    at: datetime
    probe: str | None
    step: str
    reason: str
    status: str = ""
    detail: str = ""
    endpoint: str = ""
    run_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseCount:
    """How often one cause occurred, over attempts and runs. `run_id` is that of its first failure."""

    step: str
    reason: str
    status: str = ""
    detail: str = ""
    count: int
    first: datetime
    last: datetime
    run_id: str = ""

    @property
    def name(self) -> str:
        """The cause in few words."""
        return cause_name(self.step, self.reason, self.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureCount:
    """How often one probe or one endpoint failed. `run_id` is that of its first failure."""

    name: str
    count: int
    first: datetime
    last: datetime
    run_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One incident of one relay, as it stands at one time.

    began_at: the first failure that belongs to it, or since when a relay was down that was known to be.
    opened_at: when the condition of the relay said so.
    detection_seconds: how long that took; None if it was known before, as after maintenance or a restart, or if nothing
        failed, as where exchanges are slow.
    recovered_at: since when the relay is up; None while it is not. up_seconds: for how long that was observed.
    closed_because: why it was closed, in words.
    condition: the present one, or that at its end; `worst` the worst so far.
    attempts, failed_attempts: fresh attempts while it was open.
    seconds: how long each condition lasted since it began, which is before it was known; `maintenance_seconds` how long
        maintenance did meanwhile.
    unobserved_seconds: how long no monitor ran.
    messages: how many messages got each verdict that is a failure.
    """

    id: str
    relay: str
    began_at: datetime
    opened_at: datetime
    updated_at: datetime
    detection_seconds: float | None = None
    recovered_at: datetime | None = None
    up_seconds: float = 0.0
    closed_at: datetime | None = None
    closed_because: str = ""
    condition: Condition
    worst: Condition
    attempts: int = 0
    failed_attempts: int = 0
    reopened: int = 0
    in_maintenance: bool = False
    maintenance_seconds: float = 0.0
    unobserved_seconds: float = 0.0
    seconds: Mapping[str, float] = field(default_factory=dict)
    messages: Mapping[str, int] = field(default_factory=dict)
    causes: tuple[CauseCount, ...] = ()
    probes: tuple[FailureCount, ...] = ()
    endpoints: tuple[FailureCount, ...] = ()
    entries: tuple[Entry, ...] = ()

    @property
    def is_open(self) -> bool:
        """True until it is closed."""
        return self.closed_at is None

    @property
    def has_failure(self) -> bool:
        """True if something failed; slow exchanges alone are no failures."""
        return bool(self.causes or self.messages) or self.began_at < self.opened_at

    @property
    def bad_seconds(self) -> float:
        """Seconds for which the relay was degraded, not accepting or down."""
        return sum(seconds for condition, seconds in self.seconds.items() if Condition(condition) in BAD)

    @property
    def lost(self) -> int:
        """Messages lost."""
        return self.messages.get("lost", 0)

    @property
    def ended_at(self) -> datetime | None:
        """Since when the relay is up; for an incident that was closed otherwise, when that was; None before."""
        return self.recovered_at or self.closed_at


class ChangeKind(StrEnum):
    """What happened to an incident."""

    OPENED = "opened"
    REOPENED = "reopened"
    CONDITION = "condition"  # another condition
    UPDATED = "updated"  # anything else
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Change:
    """A change of an incident; `incident` is how it stands after it."""

    kind: ChangeKind
    incident: Incident
