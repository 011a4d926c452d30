"""Simulated series: samples at ascending times, of which NaN says that the series is not there (a stale marker)."""

from __future__ import annotations

import re
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Labels: TypeAlias = "tuple[tuple[str, str], ...]"
"""Label names and values, sorted by name."""


def labels(**values: str) -> Labels:
    """Return labels of keyword arguments."""
    return tuple(sorted(values.items()))


class Series:
    """One series. Samples of the same target may share one array of times, which makes look-ups cheaper.

    delay: seconds from a sample's time to when it can be queried.
    """

    def __init__(self, name: str, of: Labels, times: Floats, values: Floats, delay: float = 0.0) -> None:
        self.name, self.times, self.values, self.delay = name, times, values, delay
        self.labels: Labels = tuple(sorted((*of, ("__name__", name)))) if name else of
        self._by_name = dict(self.labels)

    def get(self, label: str) -> str:
        """Return the value of a label, "" without it."""
        return self._by_name.get(label, "")

    @cached_property
    def samples(self) -> tuple[Floats, Floats]:
        """Times and values without stale markers: the samples of a range."""
        there = ~np.isnan(self.values)
        return (self.times, self.values) if there.all() else (self.times[there], self.values[there])

    @cached_property
    def total(self) -> Floats:
        """The values of `samples` as a counter without resets."""
        values = self.samples[1]
        if len(values) == 0:
            return values
        lost = np.where(values[1:] < values[:-1], values[:-1], 0.0)
        total: Floats = values + np.concatenate(([0.0], np.cumsum(lost)))
        return total

    @cached_property
    def sums(self) -> Floats:
        """The sum of all `samples` before each of them, and of all."""
        sums: Floats = np.concatenate(([0.0], np.cumsum(self.samples[1])))
        return sums

    @cached_property
    def changed(self) -> Floats:
        """The number of changes up to each of `samples`."""
        values = self.samples[1]
        changed: Floats = np.concatenate(([0.0], np.cumsum(values[1:] != values[:-1]))) if len(values) else values
        return changed


class Store:
    """Series by name."""

    def __init__(self, series: Iterable[Series] = ()) -> None:
        self._by_name: dict[str, list[Series]] = {}
        for each in series:
            self.add(each)

    def add(self, series: Series) -> None:
        """Add a series."""
        self._by_name.setdefault(series.name, []).append(series)

    def remove(self, name: str, of: Container[Labels]) -> None:
        """Remove the series of a name with these labels."""
        kept = [each for each in self._by_name.get(name, ()) if _without_name(each.labels) not in of]
        self._by_name[name] = kept

    def all(self) -> list[Series]:
        """Return every series."""
        return [each for of_name in self._by_name.values() for each in of_name]

    def find(self, name: str, matchers: tuple[tuple[str, str, str], ...]) -> list[Series]:
        """Return the series that a selector selects."""
        return [each for each in self._by_name.get(name, ()) if all(_matches(each, *matcher) for matcher in matchers)]


def _without_name(of: Labels) -> Labels:
    return tuple(item for item in of if item[0] != "__name__")


def _matches(series: Series, label: str, operator: str, value: str) -> bool:
    return matches(series.get(label), operator, value)


def matches(found: str, operator: str, value: str) -> bool:
    """Return whether a label's value matches, as in selectors and in Alertmanager's matchers."""
    if operator in {"=", "!="}:
        return (found == value) is (operator == "=")
    return (_pattern(value).fullmatch(found) is not None) is (operator == "=~")


@lru_cache(maxsize=4096)
def _pattern(value: str) -> re.Pattern[str]:
    return re.compile(value)
