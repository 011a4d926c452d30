"""Time until `RelayLatencyTrend` fires for slower round trips, and how often it fires for unchanged ones.

Quantiles of the last hour are compared with those of the time before it, both read from histogram buckets as Prometheus
does. Round trips are log-normal; their median is drawn for each trial, because its position between two edges of the
buckets decides how exactly a quantile is read.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from monitor.config.traffic import TREND_EVENTS
from monitor.simulation import budgets
from monitor.slo.rules.probes import TREND_PENDING, trend_factors
from monitor.vocabulary import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from monitor.config import SloConfig
    from monitor.config.traffic import Source
    from monitor.simulation.budgets import Floats, Intervals

LATENCY_SIGMA: Final = 0.5
"""Standard deviation of the logarithm of simulated round trips."""

MEDIANS: Final = (0.02, 0.2)
"""Range of the median of healthy round trips, in seconds."""

HOUR: Final = 3600.0
FOLLOW_TIME: Final = 3 * HOUR
"""Seconds for which a trial is simulated; later the slower round trips are part of the baseline."""

MIN_EVALUATION: Final = 60.0
"""Shortest evaluation interval, in seconds, of the simulated months without a fault."""


def trend_fires_at(
    slo: SloConfig, sources: Sequence[Source], slowdown: float, intervals: Intervals, rng: np.random.Generator
) -> float:
    """Return the seconds until the alert fires for a probe whose round trips take `slowdown` times as long.

    Infinite if it does not fire.
    """
    fires = _fires(slo, sources, slowdown, FOLLOW_TIME, intervals, rng)
    hits = np.flatnonzero(fires)
    if not len(hits):
        return math.inf
    return float(hits[0] * intervals.evaluation + rng.uniform(0, intervals.evaluation))


def false_trend_alerts(
    slo: SloConfig, sources: Sequence[Source], seconds: float, intervals: Intervals, rng: np.random.Generator
) -> int:
    """Return how often the alert fires within `seconds` for a probe whose round trips do not change."""
    coarse = replace(intervals, evaluation=max(MIN_EVALUATION, intervals.evaluation))
    return budgets.count_starts(_fires(slo, sources, 1.0, seconds, coarse, rng))


def _fires(
    slo: SloConfig,
    sources: Sequence[Source],
    slowdown: float,
    seconds: float,
    intervals: Intervals,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Return whether the alert fires at each evaluation, from the start of the slowdown on."""
    assert slo.factor is not None
    none_fail = lambda at: np.zeros(len(at), dtype=bool)  # noqa: E731 - one expression
    times = budgets.simulate_events(sources, -slo.window - HOUR, seconds, none_fail, rng)
    median = math.exp(rng.uniform(*np.log(MEDIANS)))
    latencies = rng.lognormal(math.log(median), LATENCY_SIGMA, len(times.good))
    latencies *= np.where(times.good > 0, slowdown, 1.0)
    evaluations = np.arange(0.0, seconds, intervals.evaluation)
    phase = rng.uniform(0, intervals.scrape)
    edges = np.stack((evaluations - HOUR - slo.window, evaluations - HOUR, evaluations))
    scrapes = np.floor((edges - phase) / intervals.scrape) * intervals.scrape + phase
    buckets = [times.good[latencies <= edge] for edge in (*BUCKETS, math.inf)]
    counts = np.diff([np.searchsorted(bucket, scrapes, side="right") for bucket in buckets], axis=1)
    baseline, last_hour = counts.swapaxes(0, 1)
    exceeds = np.minimum(baseline[-1], last_hour[-1]) > TREND_EVENTS
    for q, factor in trend_factors(slo.factor):
        exceeds &= _histogram_quantile(q, last_hour) > factor * _histogram_quantile(q, baseline)
    # The alert is pending until the condition was true at each evaluation for TREND_PENDING seconds.
    pending = math.ceil(TREND_PENDING / intervals.evaluation)
    true_in_a_row = np.convolve(exceeds, np.ones(pending + 1), mode="full")[: len(exceeds)]
    fires: NDArray[np.bool_] = true_in_a_row > pending + 0.5
    return fires


def _histogram_quantile(q: float, counts: NDArray[np.int64]) -> Floats:
    """Return the quantile as `histogram_quantile` does: interpolated within a bucket, at most the last finite edge.

    `counts` has a row for each cumulative bucket and a column for each evaluation.
    """
    target = q * counts[-1]
    bucket = np.minimum(np.argmax(counts >= target, axis=0), len(BUCKETS))
    edges, column = np.array((0.0, *BUCKETS, BUCKETS[-1])), np.arange(counts.shape[1])
    below = np.where(bucket > 0, counts[bucket - 1, column], 0)
    low, high = edges[bucket], edges[bucket + 1]
    found: Floats = low + (high - low) * (target - below) / np.maximum(counts[bucket, column] - below, 1)
    return found
