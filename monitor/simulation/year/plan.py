"""The faults of one simulated year, drawn from a seed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.simulation.year.kinds import KINDS, Due, Kind, Scope

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

GROUP_SIZE: Final = 10
"""Relays that one load balancer serves."""

ANNOUNCED: Final = 60.0
"""Seconds from the start of a maintenance window to the planned outage, and from its end to the window's."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fault:
    """One fault from `start` to `end`, in seconds; `window` is its maintenance window, None without one."""

    kind: Kind
    start: float
    end: float
    relays: frozenset[str]
    locations: frozenset[str]
    window: tuple[float, float] | None = None

    @property
    def due_from(self) -> float:
        """When the fault begins to be one that may page: after its maintenance window."""
        return self.start if self.window is None else max(self.start, self.window[1])

    def active(self, at: float) -> bool:
        """Return whether the fault is there at a time; one that repeats is not there in its pauses."""
        if not self.start <= at < self.end:
            return False
        if not self.kind.repeats:
            return True
        length = (self.end - self.start) / (2 * self.kind.repeats + 1)
        return int((at - self.start) / length) % 2 == 0

    def edges(self) -> list[float]:
        """Return when the fault comes or goes."""
        parts = 2 * self.kind.repeats + 1
        return [self.start + (self.end - self.start) * part / parts for part in range(parts + 1)]


def draw_faults(
    relays: Sequence[str],
    locations: Sequence[str],
    seconds: float,
    rng: np.random.Generator,
    kinds: Sequence[Kind] = KINDS,
) -> list[Fault]:
    """Return the faults of `seconds`, by start. Faults of one relay may overlap those of its group and locations."""
    everywhere = frozenset(locations)
    found: list[Fault] = []
    for kind in kinds:
        for of_relays, of_locations in _places(kind, relays, locations):
            number = int(rng.poisson(kind.a_year * seconds / (365 * 86_400.0)))
            starts = rng.uniform(0, seconds, number)
            found += [_fault(kind, float(start), of_relays, of_locations or everywhere, rng) for start in starts]
    return _apart(sorted(found, key=lambda fault: fault.start))


def _places(
    kind: Kind, relays: Sequence[str], locations: Sequence[str]
) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    """Yield relays and locations that a fault of this kind affects at once; no location stands for all."""
    if kind.scope is Scope.RELAY:
        yield from ((frozenset({relay}), frozenset()) for relay in relays)
    elif kind.scope is Scope.GROUP:
        for first in range(0, len(relays), GROUP_SIZE):
            yield frozenset(relays[first : first + GROUP_SIZE]), frozenset()
    elif kind.scope is Scope.PATH:
        yield from ((frozenset({relay}), frozenset({location})) for relay in relays for location in locations)
    else:
        yield from ((frozenset(relays), frozenset({location})) for location in locations)


def _fault(
    kind: Kind, start: float, relays: frozenset[str], locations: frozenset[str], rng: np.random.Generator
) -> Fault:
    low, high = kind.duration
    duration = math.exp(rng.uniform(math.log(low), math.log(high))) * (2 * kind.repeats + 1)
    end = start + duration
    window = (start - ANNOUNCED, end + ANNOUNCED if not kind.overrun else start + duration * (1 - kind.overrun))
    return Fault(
        kind=kind,
        start=start,
        end=end,
        relays=relays,
        locations=locations,
        window=window if kind.maintenance else None,
    )


def _apart(faults: Sequence[Fault]) -> list[Fault]:
    """Leave out a fault of a relay that begins while another one of it is there, or shortly after: one is enough."""
    kept: list[Fault] = []
    busy: dict[str, float] = {}
    for fault in faults:
        if fault.kind.due is not Due.NEVER or fault.kind.of_relay:
            if any(busy.get(relay, -math.inf) > fault.start for relay in fault.relays):
                continue
            busy |= dict.fromkeys(fault.relays, fault.end + 1800.0)
        kept.append(fault)
    return kept
