"""What follows a fault, as it is expected and as it was measured: notifications, and votes about the relay."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.e2e.receiver import Notification
    from tests.locations.world import Votes, World

PAGES: Final = "relay-monitor-production-pages"
TICKETS: Final = "relay-monitor-production-tickets"
"""How the names of Alertmanager's receivers begin."""

LATENCY: Final = "round-trip"
"""The objective whose alerts say of a test how busy its machine is, and nothing of locations."""

POLL: Final = 1.0
WAIT_FACTOR: Final = 1.3
"""What is late is awaited until this multiple of its limit, for its time to be known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A notification about an alert that is due within `limit` seconds."""

    alert: str
    severity: str
    limit: float
    labels: tuple[tuple[str, str], ...]
    resolved: bool = False

    @property
    def text(self) -> str:
        """What it is, for people."""
        what = "resolved:" if self.resolved else "page:" if self.severity == "critical" else "warning:"
        return " ".join([what, self.alert, *(value for _, value in self.labels)])

    def is_in(self, notification: Notification) -> dict[str, Any] | None:
        """Return the alert that is meant if the notification has it, and is one of its receiver."""
        receiver = PAGES if self.severity == "critical" else TICKETS
        for alert in notification.alerts if notification.receiver.startswith(receiver) else ():
            status = "resolved" if self.resolved else "firing"
            if alert["status"] == status and self.matches(alert["labels"]):
                return alert
        return None

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return True if an alert with these labels is meant."""
        wanted = {"alertname": self.alert, "severity": self.severity, **dict(self.labels)}
        return wanted.items() <= labels.items()


def page(alert: str, limit: float, **labels: str) -> Notice:
    """Return a page that is due."""
    return Notice(alert=alert, severity="critical", limit=limit, labels=tuple(labels.items()))


def warning(alert: str, limit: float, **labels: str) -> Notice:
    """Return a warning that is due."""
    return Notice(alert=alert, severity="warning", limit=limit, labels=tuple(labels.items()))


def resolved(alert: str, limit: float, **labels: str) -> Notice:
    """Return the end of a page that is due."""
    return Notice(alert=alert, severity="critical", limit=limit, labels=tuple(labels.items()), resolved=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Voted:
    """The votes about the relay that are due within `limit` seconds: of these locations, and no others."""

    votes: Mapping[str, float]
    limit: float

    @property
    def text(self) -> str:
        """What it is, for people."""
        return "votes: " + ", ".join(f"{location} {vote:g}" for location, vote in sorted(self.votes.items()))


def voted(limit: float, **votes: float) -> Voted:
    """Return votes that are due."""
    return Voted(votes=votes, limit=limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What was done, what followed, and after how many seconds; None if it never did."""

    case: str
    done: str
    followed: str
    seconds: float | None
    limit: float
    summary: str = ""

    @property
    def wrong(self) -> bool:
        """Whether it came too late, or never."""
        return self.seconds is None or self.seconds > self.limit


@dataclass(frozen=True, slots=True)
class Change:
    """What was done, and when by time.monotonic."""

    what: str
    at: float


@dataclass(slots=True)
class Measurement:
    """Waits for what follows in a world. `rows` has what was measured."""

    case: str
    world: World
    rows: list[Row] = field(default_factory=list)
    _due: list[Notice] = field(default_factory=list)

    def begin(self, what: str) -> Change:
        """Say what is changed now; the times of what follows begin here."""
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {self.case}: {what}\n")
        return Change(what, time.monotonic())

    async def follows(self, change: Change, *due: Notice | Voted) -> None:
        """Wait for all that is due after a change."""
        self._due += [each for each in due if isinstance(each, Notice) and not each.resolved]
        self.rows += await asyncio.gather(*(self._row(change, each) for each in due))

    async def _row(self, change: Change, due: Notice | Voted) -> Row:
        summary, at = "", None
        try:
            async with asyncio.timeout(max(POLL, change.at + due.limit * WAIT_FACTOR - time.monotonic())):
                if isinstance(due, Voted):
                    at = await self._until_voted(due.votes)
                else:
                    at, summary = await self._until_notified(change, due)
        except TimeoutError:
            pass
        seconds = None if at is None else round(at - change.at, 1)
        return Row(
            case=self.case, done=change.what, followed=due.text, seconds=seconds, limit=due.limit, summary=summary
        )

    async def _until_voted(self, votes: Votes | Mapping[str, float]) -> float:
        while await self.world.votes() != votes:  # noqa: ASYNC110 - of another program
            await asyncio.sleep(POLL)
        return time.monotonic()

    async def _until_notified(self, change: Change, due: Notice) -> tuple[float, str]:
        while True:
            for notification in self.world.receiver.notifications:
                if notification.at >= change.at and (alert := due.is_in(notification)) is not None:
                    return notification.at, alert["annotations"]["summary"]
            await asyncio.sleep(POLL)

    def surplus(self, allowed: frozenset[str]) -> list[str]:
        """Return what nobody expected: pages, and warnings unless they are `allowed`."""
        return list(dict.fromkeys(self._surplus(allowed)))

    @property
    def on_busy_machine(self) -> bool:
        """Whether round trips took so long that their objective burned."""
        alerts = (alert for notification in self.world.receiver.notifications for alert in notification.alerts)
        return any(alert["labels"].get("slo") == LATENCY for alert in alerts)

    def _surplus(self, allowed: frozenset[str]) -> Iterator[str]:
        seen: dict[int, set[str]] = {}
        for notification in self.world.receiver.notifications:
            for alert in notification.alerts:
                labels = alert["labels"]
                if alert["status"] != "firing" or labels["severity"] not in {"critical", "warning"}:
                    continue
                if labels["severity"] == "warning" and labels["alertname"] in allowed:
                    continue
                if labels.get("slo") == LATENCY:
                    continue
                known = next((index for index, due in enumerate(self._due) if due.matches(labels)), None)
                starts = seen.setdefault(-1 if known is None else known, set())
                starts.add(alert["startsAt"])
                if known is None or len(starts) > 1:
                    yield f"{self.case}: {labels['severity']} {labels['alertname']}: {alert['annotations']['summary']}"
