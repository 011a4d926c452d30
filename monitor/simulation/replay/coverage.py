"""How much of the replayed time has samples of each relay at each location."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from monitor.simulation.promql import Series
    from monitor.simulation.replay.rule_set import RuleSet

MIN_BIN: Final = 60.0
"""Seconds in which a sample shows that a relay was observed; two scrapes at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """The share of the time with samples of a relay at a location, and the longest time without one.

    gap_at: when that begins, in Unix seconds.
    """

    relay: str
    location: str
    share: float
    gap: float
    gap_at: float


class Coverage:
    """Counts from `start` to `end`; `scrape` is the interval in seconds."""

    def __init__(self, start: float, end: float, scrape: float) -> None:
        self._start, self._bin = start, max(MIN_BIN, 2 * scrape)
        self._bins = max(1, math.floor((end - start) / self._bin))
        self._there: dict[tuple[str, str], NDArray[np.bool_]] = {}

    def add(self, series: Iterable[Series], after: float) -> None:
        """Count the samples after a time."""
        for each in series:
            relay, location = each.get("relay"), each.get("location")
            if not relay or not location:
                continue
            times = each.samples[0]
            numbers = np.floor((times[times > after] - self._start) / self._bin).astype(np.intp)
            there = self._there.setdefault((relay, location), np.zeros(self._bins, dtype=np.bool_))
            there[numbers[(numbers >= 0) & (numbers < self._bins)]] = True

    def of(self, sides: Sequence[RuleSet]) -> list[Covered]:
        """Return the coverage of what was read and of what the configurations of the sides have, by name."""
        configured = {
            (relay.name, location)
            for side in sides
            if side.config is not None
            for relay in side.config.relays
            for location in side.config.locations
        }
        return [self._covered(key) for key in sorted({*self._there, *configured})]

    def _covered(self, key: tuple[str, str]) -> Covered:
        there = self._there.get(key, np.zeros(self._bins, dtype=np.bool_))
        edges = np.flatnonzero(np.diff(np.concatenate(([True], there, [True])).astype(np.int8)))
        begins, ends = edges[::2], edges[1::2]
        index = int(np.argmax(ends - begins)) if len(begins) else 0
        return Covered(
            relay=key[0],
            location=key[1],
            share=float(there.mean()),
            gap=float((ends - begins)[index] * self._bin) if len(begins) else 0.0,
            gap_at=self._start + self._bin * float(begins[index]) if len(begins) else self._start,
        )
