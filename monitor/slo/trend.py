"""How long until slower round trips are told: the P99 of the last hour against that of the time before, as buckets.

Round trips are taken as log-normal, with a median that is drawn anew for each trial: where it lies between the edges of
the buckets decides how exactly Prometheus reads a quantile.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from monitor.catalogue import BUCKETS
from monitor.slo import simulation
from monitor.slo.rules.probes import TREND_EVENTS, TREND_WAIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.config import SloConfig
    from monitor.config.traffic import Source
    from monitor.slo.simulation import Floats, Pace

SPREAD_OF_LATENCY: Final = 0.5
"""Standard deviation of the logarithm of round trips, where a latency fault is simulated."""

MEDIANS: Final = (0.02, 0.2)
"""Seconds between which the median of healthy round trips may lie."""

HOUR: Final = 3600.0
FOLLOWED: Final = 3 * HOUR
"""Seconds after which what was not told is what there was before, too."""


def trend_fires_at(slo: SloConfig, fed: Sequence[Source], slower: float, pace: Pace, rng: np.random.Generator) -> float:
    """Seconds until it fires about a probe whose round trips take `slower` times as long; infinite: it does not."""
    assert slo.factor is not None
    track = simulation.events(fed, -slo.window - HOUR, FOLLOWED, lambda at: np.zeros(len(at), dtype=bool), rng)
    median = math.exp(rng.uniform(*np.log(MEDIANS)))
    took = rng.lognormal(math.log(median), SPREAD_OF_LATENCY, len(track.good)) * np.where(track.good > 0, slower, 1.0)
    nows = np.arange(rng.uniform(0, pace.evaluation), FOLLOWED, pace.evaluation)
    phase = rng.uniform(0, pace.scrape)
    edges = np.stack((nows - HOUR - slo.window, nows - HOUR, nows))
    scrapes = np.floor((edges - phase) / pace.scrape) * pace.scrape + phase
    buckets = [track.good[took <= edge] for edge in (*BUCKETS, math.inf)]
    counted = np.stack([np.searchsorted(bucket, scrapes, side="right") for bucket in buckets])
    held = 0.0
    for now, before, last in zip(nows, *np.diff(counted, axis=1).transpose(1, 2, 0), strict=True):
        enough = min(before[-1], last[-1]) > TREND_EVENTS
        if enough and _p99(last) > slo.factor * _p99(before):
            if held >= TREND_WAIT:
                return float(now)
            held += pace.evaluation
        else:
            held = 0.0
    return math.inf


def _p99(counted: Floats) -> float:
    """As `histogram_quantile` reads it: within a bucket, evenly spread; past the last edge, that edge."""
    rank = 0.99 * counted[-1]
    place = int(np.searchsorted(counted, rank))
    if place >= len(BUCKETS):
        return BUCKETS[-1]
    low, below = (BUCKETS[place - 1], counted[place - 1]) if place else (0.0, 0.0)
    return float(low + (BUCKETS[place] - low) * (rank - below) / (counted[place] - below))
