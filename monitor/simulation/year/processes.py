"""The clusters of a year, simulated by several processes: each cluster has its own seed, so any order will do."""

from __future__ import annotations

import copyreg
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from monitor.simulation.year.kinds import KINDS
from monitor.simulation.year.plan import draw_faults
from monitor.simulation.year.simulate import YEAR, Clusters, Simulated, clusters, simulated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.config import Config
    from monitor.simulation.notifications import Notification
    from monitor.simulation.year.kinds import Kind
    from monitor.simulation.year.plan import Fault

MIN_CLUSTERS: Final = 100
"""Clusters below which one process is faster: a new one imports and compiles the rules, which takes a second or two."""

BATCHES: Final = 8
"""Parts for each process: clusters take different times, and a process that ends early takes the next part."""


def _read_only(mapping: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(mapping)


# A configuration has some, and pickle does not know them.
copyreg.pickle(MappingProxyType, lambda mapping: (_read_only, (dict(mapping),)))


class _Worker:
    """The simulation of one process; `current` is set once, when the process starts."""

    current: _Worker

    def __init__(self, config: Config, faults: Sequence[Fault], seed: int) -> None:
        self._simulation = Clusters(config, faults, seed)
        self._clusters = list(clusters(faults))

    def notifications(self, first: int, step: int) -> list[Notification]:
        """Return the notifications of every `step`th cluster from the one at `first`."""
        return [each for cluster in self._clusters[first::step] for each in self._simulation.notifications(cluster)]


def _start(config: Config, faults: Sequence[Fault], seed: int) -> None:
    _Worker.current = _Worker(config, faults, seed)


def _notifications(first: int, step: int) -> list[Notification]:
    return _Worker.current.notifications(first, step)


def all_notifications(
    config: Config, faults: Sequence[Fault], seed: int, processes: int | None = None
) -> list[Notification]:
    """Return the notifications of all clusters; `processes` is by default the number of processors."""
    number = processes or len(os.sched_getaffinity(0))
    if number == 1 or len(faults) < MIN_CLUSTERS:
        return _Worker(config, faults, seed).notifications(0, 1)
    parts = number * BATCHES
    context = multiprocessing.get_context("spawn")  # a fork copies the locks of numpy's threads
    with ProcessPoolExecutor(number, context, initializer=_start, initargs=(config, faults, seed)) as pool:
        found = pool.map(_notifications, range(parts), [parts] * parts)
        return [each for part in found for each in part]


def simulate_year(
    config: Config, *, seed: int, seconds: float = YEAR, kinds: Sequence[Kind] = KINDS, processes: int | None = None
) -> Simulated:
    """Simulate `seconds` of the relays and locations of a configuration; the same seed gives the same pages."""
    names = [relay.name for relay in config.relays]
    faults = draw_faults(names, config.locations, seconds, np.random.default_rng(seed), kinds)
    return simulated(config, faults, seconds, all_notifications(config, faults, seed, processes))
