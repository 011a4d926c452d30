"""An independent model of the verdict on a relay, and of the failures that its outages explain.

It is written from the documentation of the alerts, for the default `page_after`, and knows no expression. Times are
milliseconds since the first scrape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Samples = list[tuple[int, float]]
PAGE_AFTER: Final = 30
EXPLAINED_AFTER: Final = 120
CATCH_UP: Final = 90
LOOKBACK: Final = 300_000


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """The labels of one error budget."""

    slo: str
    relay: str
    probe: str
    location: str


@dataclass(frozen=True, slots=True)
class Events:
    """The counters of good and bad events at each scrape; None: the scrape failed."""

    good: Sequence[int | None]
    bad: Sequence[int | None]


@dataclass(frozen=True, slots=True)
class History:
    """Series that are scraped every `scrape` seconds and evaluated every `evaluation` seconds."""

    scrape: int
    evaluation: int
    events: Mapping[Key, Events]
    up: Mapping[tuple[str, str], Sequence[int]]  # relay and location
    healthy: Mapping[str, Sequence[int]]  # location
    gone: Mapping[tuple[str, str, str], Sequence[int | None]]  # lost messages, by relay, probe and location

    @property
    def duration(self) -> int:
        lengths = [len(each.good) for each in self.events.values()] + [len(each) for each in self.up.values()]
        return (max(lengths) - 1) * self.scrape * 1000

    def evaluations(self) -> range:
        return range(0, self.duration + 1, self.evaluation * 1000)


class Verdicts:
    """Votes and verdict on one relay at each evaluation; `up` has the verdicts of each location at each scrape."""

    def __init__(self, history: History, up: Mapping[str, Sequence[int]]) -> None:
        self._history, self._up = history, up
        self._times = history.evaluations()
        self.down = [self._is_down(now) for now in self._times]
        # A single scrape is no outage, and evaluations see it for a scrape interval.
        self._waited = max(PAGE_AFTER, history.scrape + 1) * 1000
        self.paged = [self._has_lasted(index) for index in range(len(self._times))]

    def votes(self, location: str, now: int) -> bool:
        """Return whether a location votes: its monitor is healthy, and has a verdict."""
        return location in self._up and bool(self._history.healthy[location][self._scrape(now)])

    def _scrape(self, now: int) -> int:
        return now // (self._history.scrape * 1000)

    @cache  # noqa: B019 - lives as long as one example
    def _share(self, now: int) -> float | None:
        """The share of votes for up; of all verdicts while no monitor is healthy."""
        scrape = self._scrape(now)
        votes = [values[scrape] for location, values in self._up.items() if self.votes(location, now)]
        votes = votes or [values[scrape] for values in self._up.values()]
        return sum(votes) / len(votes) if votes else None

    def _is_down(self, now: int) -> bool:
        share = self._share(now)
        if share is None or not self._was_seen_up(now):
            return False
        if share < 0.5:
            return True
        before = [at for at in self._times if now - 270_000 <= at <= now]
        return (
            share == 0.5
            and now >= 270_000
            and all((self._share(at) or 0.0) <= 0.5 for at in (*before, self._at(now - 270_000)))
        )

    def _at(self, time: int) -> int:
        """The last evaluation at or before a time."""
        step = self._history.evaluation * 1000
        return time // step * step

    def _was_seen_up(self, now: int) -> bool:
        seen = any((self._share(at) or 0.0) > 0 for at in self._times if now - 3_600_000 <= at <= now)
        return seen or now >= 1_800_000

    def _has_lasted(self, index: int) -> bool:
        now = self._times[index]
        first = now - self._waited
        if first < 0:
            return False
        start = self._at(first) // (self._history.evaluation * 1000)
        return all(self.down[start : index + 1])


@dataclass(slots=True)
class Growth:
    """What a counter of failures grew at each evaluation, and the part that outages explain."""

    step: int
    version: int
    grown: list[float | None]
    explained: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, history: History, samples: Samples, verdicts: Verdicts, version: int) -> Growth:
        """Count the samples of one counter."""
        step = history.evaluation * 1000
        reach = 60_000 + 4 * history.scrape * 1000 + step

        def latest(now: int) -> float | None:
            first = now - reach if version < 3 else now - reach + 1
            found = [value for at, value in samples if first <= at <= now]
            return found[-1] if found else None

        grown: list[float | None] = []
        for now in history.evaluations():
            after, before = latest(now), latest(now - step)
            grown.append(None if after is None or before is None else max(after - before, 0.0))
        made = cls(step, version, grown)
        for index in range(len(grown)):
            made.explained.append(made._explained(index, verdicts, history))
        return made

    def _explained(self, index: int, verdicts: Verdicts, history: History) -> float:
        now = index * self.step
        step = max(history.scrape, history.evaluation)
        tail = max(EXPLAINED_AFTER, 2 * step) * 1000
        outage = [verdicts.paged[at] for at in self._within(now, tail)]
        if not any(outage):
            return 0.0
        before = [verdicts.paged[at] for at in self._within(now - self.step, tail)]
        if verdicts.paged[index] and not any(before):
            wait = max(PAGE_AFTER, history.scrape + 1)
            return max(self.untold(now, max(wait + CATCH_UP, 2 * step), upto=index) or 0.0, 0.0)
        return self.grown[index] or 0.0

    def _within(self, now: int, window: int) -> range:
        """The evaluations within a range that ends at `now`."""
        first = -(-(now - window) // self.step) if self.version < 3 else (now - window) // self.step + 1
        return range(max(first, 0), now // self.step + 1)

    def untold(self, now: int, seconds: float, *, upto: int | None = None) -> float | None:
        """Return the failures within `seconds` that no outage explains; those explained before evaluation `upto`."""
        inside = self._within(now, round(seconds * 1000))
        known = [value for at in inside if (value := self.grown[at]) is not None]
        if not known:
            return None
        return sum(known) - sum(self.explained[at] for at in inside if upto is None or at < upto)
