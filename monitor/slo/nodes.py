"""One bad node of several behind a load balancer: the odds that a probe meets it, and how long that takes.

Each connection lands on a node by chance and stays there. A pair shows the fault when either of its ends, which both
receive, stands on the bad node. Standing pairs are dealt anew at `max_age`, bounded runs at each run.
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
class Odds:
    """`at_once`: the chance that a standing pair is there already; then seconds until it is seen with that chance."""

    nodes: int
    at_once: float
    half: float
    nearly: float  # 95 %


def odds(probes: Sequence[ProbeConfig], nodes: int) -> Odds:
    """The odds for the probes of one relay; infinite times where nothing is ever dealt anew."""
    meets = 1 - ((nodes - 1) / nodes) ** 2
    persistent = sum(probe.pairs for probe in probes if _is_standing_pair(probe))
    at_once = 1 - (1 - meets) ** persistent
    deals = sum(_deals(probe) for probe in probes)
    pace = -math.log(1 - meets) * deals if meets < 1 else math.inf
    return Odds(nodes=nodes, at_once=at_once, half=_until(0.5, at_once, pace), nearly=_until(0.95, at_once, pace))


def _until(chance: float, at_once: float, pace: float) -> float:
    if at_once >= chance:
        return 0.0
    return math.log((1 - at_once) / (1 - chance)) / pace if pace > 0 else math.inf


def _is_standing_pair(probe: ProbeConfig) -> bool:
    return probe.is_continuous and SPECS[probe.scenario].paired


def _deals(probe: ProbeConfig) -> float:
    """Pairs dealt anew a second."""
    if _is_standing_pair(probe):
        return probe.pairs / probe.max_age
    if probe.period is None:
        return 0.0
    # A bare connection shows a node that is gone, not one that delivers nothing.
    return probe.volume.pairs / probe.period
