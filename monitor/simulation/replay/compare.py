"""Pages, and what a change of the rules does to them."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from monitor.simulation.notifications import Notification
    from monitor.simulation.ruler import Firing

SUBJECTS: Final = ("relay", "group", "location")
"""Labels that say what an alert is about: the first of them that it has."""

Identity: TypeAlias = "tuple[str, str, str, str, str]"


class Kind(StrEnum):
    """What became of pages."""

    LOST = "lost"
    GAINED = "gained"
    MOVED = "moved"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An alert about one relay, group or monitor, from its first notification `at` until its last instance resolves.

    relay, group: "" if it is about none. locations: those that the alert names; none if it is about all of them.
    end: infinite if it fires at the end of the replay.
    """

    alert: str
    relay: str
    group: str
    slo: str
    locations: tuple[str, ...]
    at: float
    end: float

    @property
    def subject(self) -> tuple[str, str]:
        """The relay and the group that it is about."""
        return self.relay, self.group

    @property
    def identity(self) -> Identity:
        """What pages of both sides have in common: the location only if it is about a monitor."""
        return self.alert, *self.subject, self.slo, "" if any(self.subject) else " ".join(self.locations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Pages of one alert about the same subject that overlap in time, on either side.

    Of pages that are lost: `firing` are the instances of the alert that fire by the new rules without a page,
    `inhibited` the names of the alerts that inhibit them, `instead` the pages of other alerts about the subject.
    """

    kind: Kind
    old: tuple[Page, ...]
    new: tuple[Page, ...]
    firing: tuple[Firing, ...] = ()
    inhibited: tuple[str, ...] = ()
    instead: tuple[Page, ...] = ()

    @property
    def page(self) -> Page:
        """The first of its pages, of the old rules if they have one."""
        return (self.old or self.new)[0]

    @property
    def later(self) -> float | None:
        """Seconds by which the first page comes later than it did, negative if sooner; None if a side has none."""
        return self.new[0].at - self.old[0].at if self.old and self.new else None

    @property
    def ends_later(self) -> float | None:
        """Seconds by which the last page ends later than it did; None if a side has none, or one does not end."""
        if not (self.old and self.new):
            return None
        old, new = (max(page.end for page in side) for side in (self.old, self.new))
        return 0.0 if old == new else new - old if math.isfinite(new - old) else None


def pages(notifications: Iterable[Notification]) -> list[Page]:
    """Return the pages of what receivers got, by time. Instances of an alert that overlap are one page."""
    by_identity: dict[Identity, list[Page]] = defaultdict(list)
    for notification in notifications:
        for firing in notification.new:
            if firing.severity != "critical":
                continue
            page = page_of(firing, notification.at)
            of_identity = by_identity[page.identity]
            if of_identity and of_identity[-1].end >= page.at:
                of_identity[-1] = _union(of_identity[-1], page)
            else:
                of_identity.append(page)
    return sorted((page for found in by_identity.values() for page in found), key=lambda page: page.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What rules do: their pages, the alerts that fire, and those that inhibit each of them."""

    pages: Sequence[Page]
    firing: Sequence[Firing] = ()
    inhibitors: Mapping[Firing, Sequence[Firing]] = field(default_factory=dict)


def compare(old: Side, new: Side, start: float) -> list[Change]:
    """Return what changed, by time; pages before `start` only decide what later ones are.

    A page is lost only if no page of the same alert about the same subject overlaps it.
    """
    by_identity: dict[Identity, tuple[list[Page], list[Page]]] = defaultdict(lambda: ([], []))
    for number, side in enumerate((old, new)):
        for page in side.pages:
            by_identity[page.identity][number].append(page)
    changes = [change for sides in by_identity.values() for change in _changes(*sides, new)]
    later = [each for each in changes if any(page.at >= start for page in (*each.old, *each.new))]
    return sorted(later, key=lambda each: each.page.at)


def _changes(old: Sequence[Page], new: Sequence[Page], of_new: Side) -> Iterator[Change]:
    """Yield a change for each time that is covered by pages of either side without a break."""
    both = sorted([*((page, 0) for page in old), *((page, 1) for page in new)], key=lambda item: item[0].at)
    overlapping: list[tuple[Page, int]] = []
    end = -math.inf
    for page, side in both:
        if overlapping and page.at > end:
            yield _change(overlapping, of_new)
            overlapping = []
        end = max(end, page.end) if overlapping else page.end
        overlapping.append((page, side))
    if overlapping:
        yield _change(overlapping, of_new)


def _change(overlapping: Sequence[tuple[Page, int]], of_new: Side) -> Change:
    old, new = (tuple(page for page, side in overlapping if side == number) for number in (0, 1))
    if not new:
        return _lost(old, of_new)
    if not old:
        return Change(kind=Kind.GAINED, old=(), new=new)
    shown = [[(page.at, page.end, page.locations) for page in side] for side in (old, new)]
    return Change(kind=Kind.UNCHANGED if shown[0] == shown[1] else Kind.MOVED, old=old, new=new)


def _lost(old: tuple[Page, ...], of_new: Side) -> Change:
    first, end = old[0], max(page.end for page in old)
    firing = [
        each
        for each in of_new.firing
        if each.start <= end and each.end >= first.at and page_of(each, each.start).identity == first.identity
    ]
    inhibited = {
        source.alert
        for each in firing
        for source in of_new.inhibitors.get(each, ())
        if source.start <= each.end and source.end >= each.start
    }
    instead = [
        page
        for page in of_new.pages
        if page.subject == first.subject and page.at <= end and page.end >= first.at and any(first.subject)
    ]
    return Change(
        kind=Kind.LOST,
        old=old,
        new=(),
        firing=tuple(firing),
        inhibited=tuple(sorted(inhibited)),
        instead=tuple(instead),
    )


def page_of(firing: Firing, at: float) -> Page:
    """Return the page of an alert that is sent at a time."""
    labels = dict(firing.labels)
    subject = next((name for name in SUBJECTS if labels.get(name)), "")
    location = labels.get("location", "")
    return Page(
        alert=firing.alert,
        relay=labels.get("relay", ""),
        group=labels["group"] if subject == "group" else "",
        slo=labels.get("slo", ""),
        locations=(location,) if location else (),
        at=at,
        end=firing.end,
    )


def _union(page: Page, other: Page) -> Page:
    locations = {*page.locations, *other.locations} if page.locations and other.locations else set()
    return replace(page, locations=tuple(sorted(locations)), end=max(page.end, other.end))
