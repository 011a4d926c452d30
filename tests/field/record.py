"""What was done to a relay, and what was received and said of it, as times after the fault and after its repair."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.e2e.observer import Key, Observer
    from tests.e2e.receiver import Receiver

PAGES: Final = "pages"
"""Alertmanager's receiver of pages."""

VERDICTS: Final = frozenset({"RelayDown", "RelayNotAccepting"})
"""Alerts that fire `page_after` the verdict on a relay."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault: of which relays of which install and location, when it began, when it was repaired.

    Times are those of time.monotonic. `alert` is the page that is due, None for none, and `labels` those that its
    alerts must have.
    """

    kind: str
    number: int
    install: str
    location: str
    relays: tuple[str, ...]
    alert: str | None
    labels: dict[str, str]
    began: float = 0.0
    repaired: float = 0.0
    warning: str | None = None
    allowed: frozenset[str] = frozenset()
    """Alerts that may page besides, also before the fault."""

    notes: list[str] = field(default_factory=list)

    def is_of(self, labels: dict[str, str]) -> bool:
        """Return whether an alert may be about this fault."""
        if labels.get("install", self.install) != self.install:
            return False
        if "relay" in labels:
            return labels["relay"] in self.relays
        if "group" in labels or "group" in self.labels:
            return labels.get("group") == self.labels.get("group")
        return labels.get("location", self.location) == self.location and not self.relays


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One alert in one notification."""

    at: float
    receiver: str
    status: str
    labels: dict[str, str]
    text: str
    started: str

    @property
    def name(self) -> str:
        """Its name."""
        return self.labels["alertname"]

    @property
    def started_at(self) -> float:
        """When it began to fire, on the clock of `at`."""
        return datetime.fromisoformat(self.started).timestamp() - time.time() + time.monotonic()

    @property
    def pages(self) -> bool:
        """Whether it pages."""
        return self.status == "firing" and self.receiver == PAGES and self.labels.get("severity") == "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The times of one fault in seconds; None for what never came."""

    kind: str
    number: int
    page: float | None
    pages: int
    """Alerts that paged until the end, each once for each time it began to fire."""

    others: tuple[str, ...]
    """Of these, those that were not due."""

    text: str
    seen: float | None
    """From the repair until each of the relays is said to be up and to accept."""

    resolved: float | None
    verdict: float | None
    """Until the incidents of all relays say that these are down or do not accept."""

    warned: float | None
    early: bool
    """Whether "resolved" came before the repair."""

    waited: float | None = None
    """From the verdict on a relay until its alert fired: `page_after`, and up to an interval to the scrape and one from
    there to the evaluation."""

    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return JSON."""
        return asdict(self)


def received(receiver: Receiver) -> list[Received]:
    """Return each alert of each notification, in the order of their receipt."""
    return [
        Received(
            at=item.at,
            receiver=item.receiver,
            status=alert["status"],
            labels=alert["labels"],
            text=alert["annotations"].get("summary", ""),
            started=alert["startsAt"],
        )
        for item in receiver.notifications
        for alert in item.alerts
    ]


def measure(
    fault: Fault,
    alerts: Sequence[Received],
    observer: Observer,
    verdicts: Mapping[Key, Sequence[float]],
    until: float,
) -> Measured:
    """Measure one fault; what came after `until` belongs to a later one. For `verdicts` see `Observer.verdicts`."""
    own = [item for item in alerts if fault.began <= item.at < until and fault.is_of(item.labels)]
    paging = list(_once(item for item in own if item.pages and item.name not in fault.allowed))
    due = [item for item in paging if item.name == fault.alert]
    resolved = [item.at for item in own if item.status == "resolved" and item.name == fault.alert]
    warned = [item.at for item in own if item.name == fault.warning and item.status == "firing"]
    keys = [(fault.install, fault.location, relay) for relay in fault.relays]
    after = [at - fault.repaired for at in resolved if at >= fault.repaired]
    verdict = _verdict(fault, keys, verdicts, until)
    return Measured(
        kind=fault.kind,
        number=fault.number,
        page=due[0].at - fault.began if due else None,
        pages=len(paging),
        others=tuple(sorted({f"{item.name} {item.labels.get('slo', '')}".strip() for item in paging} - {fault.alert})),
        text=due[0].text if due else "",
        seen=_seen(fault, keys, observer),
        resolved=after[0] if after else None,
        verdict=verdict,
        warned=warned[0] - fault.began if warned else None,
        early=any(at < fault.repaired for at in resolved),
        waited=due[0].started_at - fault.began - verdict
        if due and due[0].name in VERDICTS and verdict is not None
        else None,
        notes=tuple(fault.notes),
    )


def _once(alerts: Iterator[Received]) -> Iterator[Received]:
    """Yield each alert once for each time it began to fire; it is sent again when another of its group changes."""
    known = set()
    for item in alerts:
        identity = (tuple(sorted(item.labels.items())), item.started)
        if identity not in known:
            known.add(identity)
            yield item


def _verdict(fault: Fault, keys: Sequence[Key], verdicts: Mapping[Key, Sequence[float]], until: float) -> float | None:
    """Return the seconds from the fault until all relays were found down or not accepting."""
    first = [next((at for at in verdicts.get(key, ()) if fault.began <= at < until), None) for key in keys]
    known = [at for at in first if at is not None]
    return max(known, default=fault.began) - fault.began if len(known) == len(keys) else None


def _seen(fault: Fault, keys: Sequence[Key], observer: Observer) -> float | None:
    """Return the seconds from the repair until all relays were said to be up and to accept."""
    times = []
    for key in keys:
        said_since = observer.since(key, fault.repaired)  # what was said at the repair comes first, at 0
        well = [after for after, said in said_since if said.up == 1 and said.accepting in {1, None}]
        if not well and said_since:
            return None
        times += well[:1]
    return max(times, default=0.0)


def unexpected(faults: Sequence[Fault], alerts: Sequence[Received]) -> list[Received]:
    """Return the pages that no fault explains: of another install, relay or location, or before any fault."""
    return [
        item
        for item in _once(item for item in alerts if item.pages)
        if not any(
            fault.is_of(item.labels) and (fault.began <= item.at or item.name in fault.allowed) for fault in faults
        )
    ]
