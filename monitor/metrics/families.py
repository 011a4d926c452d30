"""All families of one monitor, and the series of them that are created and removed together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from monitor.metrics.declared import DECLARED
from monitor.metrics.store import Family

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitor.metrics.store import Counter, Exemplar


class Families:
    """The families by the names in `declared`.

    lean: only what `detail: lean` exports.
    rename: returns the name under which a metric is exported, None if it is not.
    old: families whose series these take over, with their values, as far as both have them.
    now: the time, in monotonic seconds.
    delay: seconds for which a counter that is created when it is first needed shows 0 before it is incremented.
    `rate()` does not see the first increment of a series that appears at 1, so Prometheus must scrape it at 0 before.
    """

    def __init__(
        self,
        *,
        lean: bool,
        rename: Callable[[str], str | None] | None,
        old: Families | None = None,
    ) -> None:
        self.lean = lean
        self.now = self.delay = 0.0
        self._by_name: dict[str, Family] = {}
        self._new: dict[Counter, tuple[float, float, Exemplar | None]] = {}
        for item in DECLARED:
            name = item.name if rename is None else rename(item.name)
            if name is not None and (item.lean or not lean):
                family = Family(name, item.kind, item.help, item.labels, item.buckets_in(lean=lean))
                family.old = old.get(item.name) if old is not None else None
                self._by_name[item.name] = family
        if old is not None:
            self._new = old._new  # noqa: SLF001 - of the same class

    def __iter__(self) -> Iterator[Family]:
        return iter(list(self._by_name.values()))

    def get(self, name: str) -> Family | None:
        """The family of a metric; None if it is not exported."""
        return self._by_name.get(name)

    def replace(self, name: str, labels: tuple[str, ...]) -> None:
        """Begin a family anew, with other labels."""
        if (old := self._by_name.get(name)) is not None:
            self._by_name[name] = old.empty(labels)

    def series(self, name: str, *values: str) -> Any:
        """The series with these label values; a substitute that ignores everything if the metric is not exported."""
        family = self._by_name.get(name)
        return NO_SERIES if family is None else family.labels(*values)

    def count(self, name: str, *values: str, exemplar: Exemplar | None = None) -> None:
        """Increment a counter that exists only once it is needed."""
        family = self._by_name.get(name)
        if family is None:
            return
        is_new = values not in family
        counter: Any = family.labels(*values)
        if is_new and self.delay:
            self._new[counter] = (self.now + self.delay, 1.0, exemplar)
        elif (waiting := self._new.get(counter)) is not None:
            until, amount, _ = waiting
            self._new[counter] = (until, amount + 1.0, exemplar)
        else:
            counter.inc(1.0, exemplar)

    def remove(self, name: str, *values: str) -> None:
        """Remove a series, if there is one."""
        if (family := self._by_name.get(name)) is not None:
            family.remove(*values)

    def drop_old(self) -> None:
        """Drop the families whose series these took over."""
        for family in self._by_name.values():
            family.old = None

    def flush(self) -> None:
        """Increment the new counters that have been 0 for long enough."""
        for counter, (until, amount, exemplar) in list(self._new.items()):
            if until <= self.now:
                del self._new[counter]
                counter.inc(amount, exemplar)


class SeriesGroup:
    """Series that are created one by one and removed together."""

    def __init__(self, families: Families) -> None:
        self.families = families
        self._created: set[tuple[str, tuple[str, ...]]] = set()

    def series(self, name: str, *values: str) -> Any:
        """The series with these label values, as `Families.series`."""
        self._created.add((name, values))
        return self.families.series(name, *values)

    def count(self, name: str, *values: str, exemplar: Exemplar | None = None) -> None:
        """Increment a counter that exists only once it is needed."""
        self._created.add((name, values))
        self.families.count(name, *values, exemplar=exemplar)

    def has(self, name: str, *values: str) -> bool:
        """Whether it has this series."""
        return (name, values) in self._created

    def number(self, name: str) -> int:
        """How many series of a metric it has."""
        return sum(created == name for created, _ in self._created)

    def discard(self, name: str, *values: str) -> None:
        """Remove one series, if there is one."""
        self._created.discard((name, values))
        self.families.remove(name, *values)

    def remove(self) -> None:
        """Remove all series."""
        for name, values in self._created:
            self.families.remove(name, *values)
        self._created.clear()


class _NoSeries:
    """Replaces a series that is not exported."""

    def _ignore(self, *_: object, **__: object) -> None:
        """Do nothing."""

    inc = set = set_function = observe = _ignore


NO_SERIES: Final = _NoSeries()
