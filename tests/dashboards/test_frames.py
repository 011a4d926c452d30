from __future__ import annotations

import pytest

from tests.dashboards.frames import Frame, _regions, sampled
from tests.dashboards.timelines import periods


@pytest.mark.parametrize(
    ("calculation", "value"),
    [("lastNotNull", 3.0), ("last", None), ("max", 5.0), ("mean", 3.0), ("sum", 9.0), ("firstNotNull", 1.0)],
)
def test_a_series_is_reduced_to_a_number(calculation: str, value: float | None) -> None:
    frame = Frame("x", {}, (0.0, 1.0, 2.0, 3.0), (1.0, 5.0, 3.0, None))
    assert frame.reduced(calculation) == value


def test_of_exemplars_in_one_step_only_those_far_apart_are_drawn() -> None:
    near = [(1.0, 0.10), (2.0, 0.11), (3.0, 0.12), (4.0, 0.13), (5.0, 0.9)]
    assert sampled([*near, (12.0, 0.1)], 10.0) == [(5.0, 0.9), (4.0, 0.13), (12.0, 0.1)]


def test_near_events_are_one_region_and_a_single_one_is_a_line() -> None:
    assert _regions([10.0, 15.0, 20.0, 60.0], 5.0) == [(10.0, 20.0), (60.0, 60.0)]


def test_a_state_lasts_until_the_next_one_and_a_gap_ends_it() -> None:
    frame = Frame("x", {}, (0.0, 5.0, 10.0, 30.0), (1.0, 1.0, 0.0, 0.0), step=5.0)
    assert list(periods(frame)) == [(0.0, 10.0, 1.0), (10.0, 15.0, 0.0), (30.0, 35.0, 0.0)]
