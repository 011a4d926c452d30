"""What the exchanges of probes count during faults: good and bad events of each SLO and probe, at one location."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from monitor.burn_rate import MIN_FAILURES
from monitor.config.traffic import sources
from monitor.simulation.budgets import simulate_events
from monitor.simulation.year.kinds import New, Persistent, Scope
from monitor.slo.rules.message_loss import LOSS_WINDOW
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from monitor.burn_rate import BurnCondition
    from monitor.config import Config, ProbeConfig, SloConfig
    from monitor.config.traffic import Source
    from monitor.simulation.promql.series import Floats
    from monitor.simulation.year.plan import Fault

IDLE_TIMEOUT: Final = 30.0
"""Seconds until a silent connection is closed, for want of pings."""

RECONNECTED_BY: Final = 10.0
"""Seconds within which a closed connection is back, half of that on average, after a fault or without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """One error budget at one relay: an SLO and one of its probes, with the sources of its events."""

    slo: SloConfig
    probe: ProbeConfig
    sources: tuple[Source, ...]

    @property
    def rate(self) -> float:
        """Events per second."""
        return sum(source.rate for source in self.sources)


def budgets_of(config: Config, relay: str) -> list[Budget]:
    """Return the error budgets of a relay at each location."""
    found = []
    for slo in config.slos:
        if slo.sli is Sli.TREND:
            continue
        of_slo = sources(config, slo, relay)
        by_probe = [(probe, tuple(each for each in of_slo if each.probe == probe.name)) for probe in config.probes]
        found += [Budget(slo=slo, probe=probe, sources=of_probe) for probe, of_probe in by_probe if of_probe]
    return found


@dataclass(frozen=True, slots=True)
class Counted:
    """The events in one stretch of time, which replace those of the regular schedule there."""

    start: float
    end: float
    good: Floats
    bad: Floats


def count(budget: Budget, fault: Fault, rng: np.random.Generator) -> Counted | None:
    """Return the events of a budget during one fault; None if the fault changes nothing that it counts."""
    kind = fault.kind
    if kind.scope in {Scope.LOCATION, Scope.MONITOR}:
        return None  # runs during a fault of our own are aborted
    if kind.slow and not kind.loss and budget.slo.sli is not Sli.LATENCY:
        return None
    counted_after = max(source.takes + source.timeout for source in budget.sources)
    start, end = fault.start - counted_after, fault.end + counted_after + RECONNECTED_BY
    fails = _Failing(budget, fault, rng)
    events = simulate_events(budget.sources, start, end, fails, rng)
    good, bad = events.good, events.bad
    if fault.window is not None:  # they are excluded
        low, high = fault.window
        good, bad = good[(good < low) | (good >= high)], bad[(bad < low) | (bad >= high)]
    return Counted(start, end, good, bad)


class _Failing:
    """Whether the events that are due at some times fail."""

    def __init__(self, budget: Budget, fault: Fault, rng: np.random.Generator) -> None:
        self._kind, self._fault, self._rng = fault.kind, fault, rng
        self._sli = budget.slo.sli
        self._persistent = budget.probe.is_continuous and self._sli is not Sli.PAIRING
        self._back_after = rng.uniform(0, RECONNECTED_BY)
        self._edges = np.array(fault.edges())

    def __call__(self, at: Floats) -> NDArray[np.bool_]:
        kind = self._kind
        part = np.searchsorted(self._edges, at, side="right")
        active = part % 2 == 1
        failed = active & (self._rng.random(len(at)) < self._share())
        if kind.persistent is Persistent.RECONNECT and self._sli is Sli.STABILITY:
            failed |= (at >= self._fault.start) & (at < self._fault.start + 2.0)
        if self._persistent and kind.persistent is Persistent.CLOSED:
            # It reconnects some time after the fault.
            since = at - self._edges[np.maximum(part - 1, 0)]
            failed |= (part > 0) & ~active & (since < self._back_after)
        result: NDArray[np.bool_] = failed
        return result

    def _share(self) -> float:
        """Return the share of events that fail while the fault is there."""
        kind = self._kind
        if kind.loss:
            return kind.loss if self._sli in {Sli.AVAILABILITY, Sli.LATENCY} else 0.0
        if kind.slow:
            return kind.slow if self._sli is Sli.LATENCY else 0.0
        hit = 1.0 if kind.nodes == 1 else 1 - (1 - 1 / kind.nodes) ** 2
        if self._persistent:
            gone = kind.persistent in {Persistent.CLOSED, Persistent.SILENT}
            if self._sli is Sli.STABILITY and kind.persistent is Persistent.SILENT:
                gone = self._fault.end - self._fault.start > IDLE_TIMEOUT
            return hit if gone else 0.0
        return hit if kind.new is not New.OK else 0.0


def may_page(budget: Budget, bad: Floats, conditions: Sequence[BurnCondition]) -> bool:
    """Return whether failures at these times may be enough for a page: at least half of what a condition requires.

    `conditions` are those of the budget that page; an objective of 100 % pages by the second failure in a short time.
    """
    objective = budget.slo.objective
    if objective is None:
        return False
    for window, least in (
        ((LOSS_WINDOW, 2.0),)
        if objective == 1
        else (
            (
                each.long_window,
                max(MIN_FAILURES, float(each.factor * (1 - objective)) * budget.rate * each.long_window / 2),
            )
            for each in conditions
        )
    ):
        number = math.ceil(least)
        if len(bad) >= number and bool(np.any(bad[number - 1 :] - bad[: len(bad) - number + 1] <= window)):
            return True
    return False


def due(budget: Budget, at: Floats, phase: float) -> Floats:
    """Return how many events of the regular schedule were due by some times, from a phase in [0, 1)."""
    total = np.zeros(len(at))
    for number, source in enumerate(budget.sources):
        shift = (phase + number / len(budget.sources)) % 1.0
        total += source.count * np.floor(at / source.period + shift)
    return total


def counters(
    budget: Budget, stretches: Sequence[Counted], restarts: Sequence[float], at: Floats, phase: float
) -> tuple[Floats, Floats]:
    """Return the counters of good and of bad events at some times; a restart of the monitor sets them to 0."""
    good = due(budget, at, phase)
    bad = np.zeros(len(at))
    for each in stretches:
        edges = due(budget, np.array([each.start, each.end]), phase)
        regular = np.clip(due(budget, np.clip(at, each.start, each.end), phase) - edges[0], 0, None)
        good += np.searchsorted(each.good, at, side="right") - regular
        bad += np.searchsorted(each.bad, at, side="right")
    good = np.maximum.accumulate(good) if len(good) else good
    for counter in (good, bad):
        for restart in restarts:
            after = np.searchsorted(at, restart)
            if after:
                counter[after:] -= counter[after - 1]
    return good - good.min(initial=0.0), bad
