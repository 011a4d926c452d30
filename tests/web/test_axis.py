"""The time axis of a run, with folded waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.web.axis import FOLD_WIDTH, MAX_FOLDED, Axis, Segment


def test_without_pauses_the_axis_is_linear() -> None:
    axis = Axis([(0.0, 0.1), (0.1, 0.2)])
    assert axis.folds == ()
    assert [axis.at(time) for time in (-1, 0, 0.05, 0.1, 0.2, 9)] == [0, 0, 25, 50, 100, 100]


def test_a_pause_is_folded_so_that_milliseconds_stay_visible() -> None:
    axis = Axis([(0.0, 0.001), (30.001, 30.002)])
    (fold,) = axis.folds
    assert (fold.start, fold.end) == (0.001, 30.001)
    assert fold.right - fold.left == FOLD_WIDTH
    assert axis.at(0.001) == pytest.approx((100 - FOLD_WIDTH) / 2)


def test_a_step_that_waits_until_its_deadline_is_folded_and_its_bar_is_broken() -> None:
    axis = Axis([(0.0, 0.003), (0.003, 5.0)], [0.004])
    (fold,) = axis.folds
    assert (fold.start, fold.end) == (0.004, 5.0)
    solid, wait = axis.segments(0.003, 5.0)
    assert not solid.folded
    assert wait == Segment(fold.left, fold.right - fold.left, folded=True)


def test_slow_steps_of_similar_length_are_not_folded() -> None:
    """A relay that is 100 ms away: each step takes as long."""
    steps = [(number * 0.1, number * 0.1 + 0.1) for number in range(6)]
    assert Axis(steps).folds == ()


def test_a_run_that_is_one_long_step_is_not_folded() -> None:
    assert Axis([(0.0, 30.0)], [30.0]).folds == ()


def test_many_pauses_leave_half_of_the_width_to_the_steps() -> None:
    axis = Axis([(number * 10.0, number * 10.0 + 0.001) for number in range(50)])
    assert sum(fold.right - fold.left for fold in axis.folds) == pytest.approx(MAX_FOLDED)


TIMES = st.floats(0, 1e4, allow_nan=False)
STEPS = st.lists(st.tuples(TIMES, TIMES).map(lambda pair: (min(pair), max(pair))), max_size=30)


@given(STEPS, st.lists(TIMES, max_size=10))
def test_the_axis_fills_the_width_and_keeps_the_order_of_times(
    steps: list[tuple[float, float]], instants: list[float]
) -> None:
    axis = Axis(steps, instants)
    assert axis.intervals[0].left == 0
    assert axis.intervals[-1].right == pytest.approx(100)
    times = sorted({time for step in steps for time in step} | set(instants))
    positions = [axis.at(time) for time in times]
    assert positions == sorted(positions)
    assert all(0 <= position <= 100.001 for position in positions)
    for start, end in steps:
        parts = axis.segments(start, end)
        assert sum(part.width for part in parts) == pytest.approx(axis.at(end) - axis.at(start), abs=0.1)
        assert all(part.width >= 0 for part in parts)
