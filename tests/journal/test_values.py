from __future__ import annotations

import pytest

from monitor.journal import Histogram
from monitor.journal.values import bucket_of
from monitor.vocabulary import BUCKETS


def histogram(*latencies: float) -> Histogram:
    counts = [0] * (len(BUCKETS) + 1)
    for latency in latencies:
        counts[bucket_of(latency)] += 1
    return Histogram(tuple(counts))


def test_without_latencies_there_is_no_quantile() -> None:
    assert Histogram().quantile(0.5) is None


def test_a_quantile_is_interpolated_in_its_bucket() -> None:
    """100 latencies in (0.3, 0.4]: the median is in its middle, as with `histogram_quantile`."""
    assert histogram(*[0.35] * 100).quantile(0.5) == pytest.approx(0.35)
    assert histogram(*[0.35] * 100).quantile(0.99) == pytest.approx(0.399)


def test_a_quantile_above_all_bounds_is_the_last_bound() -> None:
    assert histogram(100.0).quantile(0.5) == BUCKETS[-1]


def test_a_bound_belongs_to_the_bucket_below_it() -> None:
    assert [bucket_of(seconds) for seconds in (0.0, 0.001, 0.0011, 60.0, 60.1)] == [0, 0, 1, 27, 28]
