from __future__ import annotations

import pytest

from tests.dashboards.axes import Axis, marks


def test_marks_are_round_numbers() -> None:
    assert marks(0.0, 1.0, 5, None) == ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], 0.2)
    assert marks(0.0, 3600.0, 6, "s") == ([0.0, 600.0, 1200.0, 1800.0, 2400.0, 3000.0, 3600.0], 600.0)


def test_an_axis_ends_at_round_numbers_beyond_the_values() -> None:
    axis = Axis.of({"unit": "s"}, [0.012, 0.047], 200)
    assert (axis.low, axis.high) == (0.01, 0.05)
    assert [text for _, text in axis.marks] == ["10 ms", "20 ms", "30 ms", "40 ms", "50 ms"]


def test_limits_of_the_panel_hold() -> None:
    axis = Axis.of({"unit": "percentunit", "min": 0, "max": 1}, [0.3, 0.4], 200)
    assert (axis.low, axis.high, axis.share(0.5)) == (0, 1, 0.5)


def test_equal_values_have_an_axis_too() -> None:
    axis = Axis.of({}, [5.0, 5.0], 200)
    assert axis.low <= 5.0 < axis.high


def test_a_logarithmic_axis_has_powers() -> None:
    defaults = {"unit": "s", "custom": {"scaleDistribution": {"type": "log", "log": 10}}}
    axis = Axis.of(defaults, [0.002, 0.4], 200)
    assert [text for _, text in axis.marks] == ["1 ms", "10 ms", "100 ms", "1 s"]
    assert axis.share(0.01) == pytest.approx(1 / 3)
