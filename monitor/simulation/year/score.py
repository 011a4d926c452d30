"""Pages against faults: recall, precision, false pages a relay-year, and the time to page by kind of fault."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.simulation.year.kinds import MUST_AFTER, Due, Scope

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from monitor.simulation.notifications import Notification
    from monitor.simulation.ruler import Firing
    from monitor.simulation.year.plan import Fault
    from monitor.simulation.year.simulate import Simulated

RIGHT_AFTER: Final = 240.0
"""Seconds after a fault in which a page about it is still right."""

YEAR: Final = 365 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OfKind:
    """The faults of one kind: how many relays and locations they met, and the pages about them.

    must: those that must page, each relay of a fault counted; missed: those of them that did not.
    times: seconds from the fault to the first page about it, ascending.
    """

    name: str
    due: Due
    faults: int
    must: int
    missed: int
    paged: int
    pages: int
    false_pages: int
    times: tuple[float, ...]

    def time(self, share: float) -> float:
        """Return the time to page within which a share of the pages came; NaN without a page."""
        return self.times[math.ceil(share * len(self.times)) - 1] if self.times else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class FalsePage:
    """A page without a fault that is to page."""

    at: float
    alerts: tuple[str, ...]
    relay: str
    beside: str  # the kind of fault that was there, "" if none was


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a year's pages were worth."""

    kinds: tuple[OfKind, ...]
    pages: int
    false: tuple[FalsePage, ...]
    relay_years: float

    @property
    def recall(self) -> float:
        """The share of outages longer than `MUST_AFTER` that paged."""
        must = sum(kind.must for kind in self.kinds)
        return 1 - sum(kind.missed for kind in self.kinds) / must if must else 1.0

    @property
    def precision(self) -> float:
        """The share of pages that were right."""
        return 1 - len(self.false) / self.pages if self.pages else 1.0

    @property
    def false_pages_a_relay_year(self) -> float:
        """False pages of one relay in a year."""
        return len(self.false) / self.relay_years


def score(simulated: Simulated) -> Score:
    """Compare the pages of a year with its faults."""
    pages = [each for each in simulated.notifications if each.pages]
    by_day: dict[int, list[Fault]] = defaultdict(list)
    for fault in simulated.faults:
        for day in range(int(fault.start // 86_400), int((fault.end + RIGHT_AFTER) // 86_400) + 1):
            by_day[day].append(fault)
    first: dict[tuple[int, str], float] = {}
    number, wrong = defaultdict[str, int](int), defaultdict[str, int](int)
    false: list[FalsePage] = []
    for page in pages:
        beside = list(_beside(page, by_day[int(page.at // 86_400)], simulated.groups))
        right = [(fault, relay) for fault, relay, is_right in beside if is_right]
        for fault, relay in right:
            first.setdefault((id(fault), relay), page.at)
        kinds = {fault.kind.name for fault, _ in right} or {fault.kind.name for fault, _, _ in beside}
        for kind in kinds:
            number[kind] += 1
            wrong[kind] += not right
        if not right:
            alerts = tuple(sorted({each.alert for each in page.new}))
            relay = next((dict(each.labels).get("relay", "") for each in page.new), "")
            false.append(FalsePage(at=page.at, alerts=alerts, relay=relay, beside=", ".join(sorted(kinds))))
    return Score(
        kinds=tuple(_of_kinds(simulated.faults, first, number, wrong)),
        pages=len(pages),
        false=tuple(false),
        relay_years=simulated.relays * simulated.seconds / YEAR,
    )


def _beside(
    page: Notification, faults: Sequence[Fault], of_relays: Mapping[str, str]
) -> Iterator[tuple[Fault, str, bool]]:
    """Yield the faults that were there when a page came, each relay of theirs that it names, and if it is right."""
    there = [fault for fault in faults if fault.start <= page.at < fault.end + RIGHT_AFTER]
    for alert in page.new:
        if alert.severity != "critical":
            continue
        for fault in there:
            for relay in _named(alert, fault, of_relays):
                may = fault.kind.due is not Due.NEVER and page.at >= fault.due_from
                of_monitor = not relay and fault.kind.scope in {Scope.LOCATION, Scope.MONITOR}
                yield fault, relay, may or of_monitor


def _named(alert: Firing, fault: Fault, of_relays: Mapping[str, str]) -> list[str]:
    """Return the relays of a fault that an alert names, by their group too; "" if it is about a monitor."""
    labels = dict(alert.labels)
    if relay := labels.get("relay"):
        return [relay] if relay in fault.relays else []
    if "Group" in alert.alert:
        return [relay for relay in fault.relays if of_relays.get(relay) == labels.get("group")]
    return [""] if fault.kind.scope in {Scope.LOCATION, Scope.MONITOR} else []


def _of_kinds(
    faults: Sequence[Fault],
    first: Mapping[tuple[int, str], float],
    number: Mapping[str, int],
    wrong: Mapping[str, int],
) -> Iterator[OfKind]:
    by_kind: dict[str, list[Fault]] = defaultdict(list)
    for fault in faults:
        by_kind[fault.kind.name].append(fault)
    for name, of_kind in by_kind.items():
        kind = of_kind[0].kind
        must = missed = 0
        times = []
        for fault in of_kind:
            for relay in sorted(fault.relays) if kind.of_relay else [""]:
                at = first.get((id(fault), relay))
                if at is not None:
                    times.append(at - fault.due_from)
                if kind.due is Due.MUST and fault.end - fault.due_from > MUST_AFTER:
                    must += 1
                    missed += at is None
        yield OfKind(
            name=name,
            due=kind.due,
            faults=len(of_kind),
            must=must,
            missed=missed,
            paged=len(times),
            pages=number[name],
            false_pages=wrong[name],
            times=tuple(sorted(times)),
        )
