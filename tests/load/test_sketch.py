from __future__ import annotations

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from monitor.load.sketch import MAX_MICROSECONDS, SIGNIFICANT_DIGITS, Sketch

seconds = st.lists(st.floats(min_value=1e-6, max_value=3600.0), min_size=1, max_size=200)


def sketch_of(values: list[float]) -> Sketch:
    sketch = Sketch()
    for value in values:
        sketch.record(value)
    return sketch


@given(seconds)
def test_minimum_maximum_and_mean_are_exact(values: list[float]) -> None:
    sketch = sketch_of(values)
    assert (sketch.count, sketch.minimum, sketch.maximum) == (len(values), min(values), max(values))
    assert sketch.mean == pytest.approx(sum(values) / len(values))


@given(seconds, st.floats(min_value=0.01, max_value=1.0))
def test_a_quantile_is_the_one_of_the_samples_within_a_thousandth(values: list[float], share: float) -> None:
    wanted = sorted(values)[max(0, min(len(values) - 1, -int(-(share * len(values) - 1e-9) // 1) - 1))]
    assert sketch_of(values).quantile(share) == pytest.approx(wanted, rel=1e-3, abs=1e-6)


@given(seconds, seconds, seconds)
def test_sketches_added_up_are_the_sketch_of_all_samples(one: list[float], two: list[float], more: list[float]) -> None:
    added = sketch_of(one)
    added.add(sketch_of(two))
    added.add(sketch_of(more))
    expected = sketch_of(one + two + more)
    assert (added.counts, added.minimum, added.maximum) == (expected.counts, expected.minimum, expected.maximum)
    assert added.total == pytest.approx(expected.total)


@given(seconds)
def test_the_encoded_form_is_hdr_histograms_own(values: list[float]) -> None:
    sketch = sketch_of(values)
    theirs = HdrHistogram(1, MAX_MICROSECONDS, SIGNIFICANT_DIGITS)
    for value in values:
        theirs.record_value(max(1, round(value * 1e6)))
    decoded = HdrHistogram.decode(sketch.encode())
    assert decoded.get_total_count() == len(values)
    for percentile in (50, 90, 99, 99.9, 100):
        assert decoded.get_value_at_percentile(percentile) == theirs.get_value_at_percentile(percentile)


@given(seconds)
def test_decoding_returns_what_was_encoded(values: list[float]) -> None:
    sketch = sketch_of(values)
    back = Sketch.decode(sketch.encode(), minimum=sketch.minimum, maximum=sketch.maximum, mean=sketch.mean)
    assert (back.counts, back.minimum, back.maximum) == (sketch.counts, sketch.minimum, sketch.maximum)
    assert back.total == pytest.approx(sketch.total)


def test_an_empty_sketch_has_no_figures() -> None:
    sketch = Sketch()
    assert (sketch.count, sketch.quantile(0.99), sketch.mean, sketch.within(1.0)) == (0, 0.0, 0.0, 0)
    assert Sketch.decode(sketch.encode(), minimum=0, maximum=0, mean=0).count == 0


@pytest.mark.parametrize("text", ["", "junk", "HISTFAAAABx4nJNpmSz"])
def test_other_texts_are_no_histogram(text: str) -> None:
    with pytest.raises(ValueError, match="not an HDR histogram"):
        Sketch.decode(text, minimum=0, maximum=0, mean=0)


def test_within_counts_durations_up_to_a_limit() -> None:
    assert sketch_of([0.1, 0.2, 0.3, 0.4]).within(0.3) == 3
