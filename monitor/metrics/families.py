"""All families of one monitor, and the series of them that are created and removed together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from monitor.metrics.declared import DECLARED
from monitor.metrics.exemplars import family_of
from monitor.metrics.relay_info import INFO

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry

    from monitor.metrics.exemplars import Exemplar, TimedCounter


class Families:
    """The families by the names in `declared`, in a registry.

    lean: only what `detail: lean` exports.
    rename: returns the name under which a metric is exported, None if it is not.
    now: the time, in monotonic seconds.
    delay: seconds for which a counter that is created when it is first needed shows 0 before it is incremented.
    `rate()` does not see the first increment of a series that appears at 1, so Prometheus must scrape it at 0 before.
    """

    def __init__(self, registry: CollectorRegistry, *, lean: bool, rename: Callable[[str], str | None] | None) -> None:
        self.lean = lean
        self.now = self.delay = 0.0
        self._registry, self._rename = registry, rename
        self._by_name: dict[str, Any] = {}
        self._buckets: dict[str, tuple[float, ...]] = {}
        self._new: dict[TimedCounter, tuple[float, float, Exemplar | None]] = {}
        self.set_detail(lean=lean)

    def set_detail(self, *, lean: bool) -> None:
        """Add and remove families; those that stay and have the same buckets keep their series."""
        self.lean = lean
        for item in DECLARED:
            name = item.name if self._rename is None else self._rename(item.name)
            if name is None or item.name == INFO:
                continue
            buckets = item.buckets_in(lean=lean)
            is_shown = item.lean or not lean
            old = self._by_name.get(item.name)
            if old is not None and (not is_shown or self._buckets[item.name] != buckets):
                self._registry.unregister(old)
                del self._by_name[item.name]
            if is_shown and item.name not in self._by_name:
                family = family_of(item, name, buckets)
                self._by_name[item.name], self._buckets[item.name] = family, buckets
                self._registry.register(family)

    def series(self, name: str, *values: str) -> Any:
        """The series with these label values; a substitute that ignores everything if the metric is not exported."""
        family = self._by_name.get(name)
        return NO_SERIES if family is None else family.labels(*values)

    def remove(self, name: str, *values: str) -> None:
        """Remove a series, if there is one."""
        if (family := self._by_name.get(name)) is not None:
            family.remove(*values)

    def count_new(self, counter: TimedCounter, exemplar: Exemplar | None) -> None:
        """Increment a counter that was just created, once it has been 0 for long enough."""
        if self.delay:
            self._new[counter] = (self.now + self.delay, 1.0, exemplar)
        else:
            counter.count(1.0, exemplar)

    def count(self, counter: TimedCounter, exemplar: Exemplar | None) -> None:
        """Increment a counter, with what is waiting for it."""
        if (waiting := self._new.get(counter)) is not None:
            until, amount, _ = waiting
            self._new[counter] = (until, amount + 1.0, exemplar)
        else:
            counter.count(1.0, exemplar)

    def flush(self) -> None:
        """Increment the new counters that have been 0 for long enough."""
        for counter, (until, amount, exemplar) in list(self._new.items()):
            if until <= self.now:
                del self._new[counter]
                counter.count(amount, exemplar)


class SeriesGroup:
    """Series that are created one by one and removed together."""

    def __init__(self, families: Families) -> None:
        self.families = families
        self._created: set[tuple[str, ...]] = set()

    def series(self, name: str, *values: str) -> Any:
        """The series with these label values, as `Families.series`."""
        self._created.add((name, *values))
        return self.families.series(name, *values)

    def count(self, name: str, *values: str, exemplar: Exemplar | None = None) -> None:
        """Increment a counter that exists only once it is needed."""
        key = (name, *values)
        counter = self.families.series(*key)
        if counter is NO_SERIES:
            return
        if key in self._created:
            self.families.count(counter, exemplar)
        else:
            self._created.add(key)
            self.families.count_new(counter, exemplar)

    def has(self, name: str, *values: str) -> bool:
        """Whether it has this series."""
        return (name, *values) in self._created

    def number(self, name: str) -> int:
        """How many series of a metric it has."""
        return sum(created[0] == name for created in self._created)

    def adopt(self, other: SeriesGroup, name: str) -> None:
        """Continue the series of a metric that another group has, which must have been exported all the time."""
        self._created |= {key for key in other._created if key[0] == name}

    def discard(self, name: str, *values: str) -> None:
        """Remove one series, if there is one."""
        self._created.discard((name, *values))
        self.families.remove(name, *values)

    def remove(self) -> None:
        """Remove all series."""
        for key in self._created:
            self.families.remove(*key)
        self._created.clear()

    def remove_others(self, kept: SeriesGroup) -> None:
        """Remove all series that are not in another group."""
        self._created -= kept._created
        self.remove()


class _NoSeries:
    """Replaces a series that is not exported."""

    def _ignore(self, *_: object, **__: object) -> None:
        """Do nothing."""

    inc = set = set_function = observe = observe_run = _ignore


NO_SERIES: Final = _NoSeries()
