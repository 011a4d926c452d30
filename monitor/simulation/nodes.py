"""One bad node of several behind a load balancer: the probability of hitting it, and the time until a probe does.

Each connection reaches a random node and stays there. A pair detects the fault if either of its participants, which
both receive, is connected to the bad node. Persistent pairs reconnect at `max_age`, bounded runs at each run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.scenarios import SPECS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.config import ProbeConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class BadNodeOdds:
    """The odds of hitting one bad node of `nodes`.

    `at_once` is the probability that a persistent pair is on it already; `half` and `nearly` are the seconds until it
    is hit with a probability of 50 % and of 95 %.
    """

    nodes: int
    at_once: float
    half: float
    nearly: float


def bad_node_odds(probes: Sequence[ProbeConfig], nodes: int) -> BadNodeOdds:
    """Return the odds for the probes of one relay; the times are infinite if no probe ever reconnects."""
    hit = 1 - ((nodes - 1) / nodes) ** 2
    pairs = sum(probe.pairs for probe in probes if _has_persistent_pairs(probe))
    at_once = 1 - (1 - hit) ** pairs
    new_pairs = sum(_new_pairs_per_second(probe) for probe in probes)
    rate = -math.log(1 - hit) * new_pairs if hit < 1 else math.inf
    return BadNodeOdds(
        nodes=nodes,
        at_once=at_once,
        half=_seconds_until(0.5, at_once, rate),
        nearly=_seconds_until(0.95, at_once, rate),
    )


def _seconds_until(probability: float, at_once: float, rate: float) -> float:
    if at_once >= probability:
        return 0.0
    return math.log((1 - at_once) / (1 - probability)) / rate if rate > 0 else math.inf


def _has_persistent_pairs(probe: ProbeConfig) -> bool:
    return probe.is_continuous and SPECS[probe.scenario].paired


def _new_pairs_per_second(probe: ProbeConfig) -> float:
    if _has_persistent_pairs(probe):
        return probe.pairs / probe.max_age
    if probe.period is None:
        return 0.0
    # Connections without a pair are not counted: they detect a node that is down, not one that does not deliver.
    return probe.volume.pairs / probe.period
