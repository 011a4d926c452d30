"""How long until slower round trips are told: quantiles of the last hour against those of the time before, as buckets.

Round trips are taken as log-normal, with a median that is drawn anew for each trial: where it lies between the edges of
the buckets decides how exactly Prometheus reads a quantile.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from monitor.slo import simulation
from monitor.slo.rules.probes import TREND_EVENTS, TREND_WAIT, quantiles
from monitor.vocabulary import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

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
    fires = _fires(slo, fed, slower, FOLLOWED, pace, rng)
    hits = np.flatnonzero(fires)
    return float(hits[0] * pace.evaluation + rng.uniform(0, pace.evaluation)) if len(hits) else math.inf


def trends_in_vain(slo: SloConfig, fed: Sequence[Source], seconds: float, pace: Pace, rng: np.random.Generator) -> int:
    """How often it fires in so long about a probe whose round trips stay as they are."""
    fires = _fires(slo, fed, 1.0, seconds, replace(pace, evaluation=max(60.0, pace.evaluation)), rng)
    return int(np.count_nonzero(fires[1:] & ~fires[:-1])) + int(fires[0])


def _fires(
    slo: SloConfig, fed: Sequence[Source], slower: float, seconds: float, pace: Pace, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Whether it fires, at each evaluation from when round trips begin to take `slower` times as long."""
    assert slo.factor is not None
    track = simulation.events(fed, -slo.window - HOUR, seconds, lambda at: np.zeros(len(at), dtype=bool), rng)
    median = math.exp(rng.uniform(*np.log(MEDIANS)))
    took = rng.lognormal(math.log(median), SPREAD_OF_LATENCY, len(track.good)) * np.where(track.good > 0, slower, 1.0)
    nows = np.arange(0.0, seconds, pace.evaluation)
    phase = rng.uniform(0, pace.scrape)
    edges = np.stack((nows - HOUR - slo.window, nows - HOUR, nows))
    scrapes = np.floor((edges - phase) / pace.scrape) * pace.scrape + phase
    buckets = [track.good[took <= edge] for edge in (*BUCKETS, math.inf)]
    before, last = np.diff([np.searchsorted(bucket, scrapes, side="right") for bucket in buckets], axis=1).swapaxes(
        0, 1
    )
    holds = np.minimum(before[-1], last[-1]) > TREND_EVENTS
    for share, factor in quantiles(slo.factor):
        holds &= _quantile(share, last) > factor * _quantile(share, before)
    # It fires once it has held for so long.
    wait = math.ceil(TREND_WAIT / pace.evaluation)
    held = np.convolve(holds, np.ones(wait + 1), mode="full")[: len(holds)]
    fires: NDArray[np.bool_] = held > wait + 0.5
    return fires


def _quantile(share: float, counted: NDArray[np.int64]) -> Floats:
    """As `histogram_quantile` reads it: within a bucket, evenly spread; past the last edge, that edge.

    `counted` has a row for each bucket's cumulative count, a column for each evaluation.
    """
    rank = share * counted[-1]
    place = np.minimum(np.argmax(counted >= rank, axis=0), len(BUCKETS))
    edges, column = np.array((0.0, *BUCKETS, BUCKETS[-1])), np.arange(counted.shape[1])
    below = np.where(place > 0, counted[place - 1, column], 0)
    low, high = edges[place], edges[place + 1]
    found: Floats = low + (high - low) * (rank - below) / np.maximum(counted[place, column] - below, 1)
    return found
