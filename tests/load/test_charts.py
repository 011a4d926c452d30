"""Charts: axes whose labels do not touch, and lines within them."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.load.charts import HEIGHT, LETTER, WIDTH, Axis, Chart, Line, linear, logarithmic

positive = st.floats(1e-3, 1e6)


def chart(x: Axis, y: Axis, points: list[tuple[float, float]]) -> str:
    return str(Chart("A chart", x, y, [Line("p50", "one", points)]).svg())


def test_a_linear_axis_has_round_marks_up_to_the_highest_value() -> None:
    axis = linear("ms", 23.4)
    assert [tick.label for tick in axis.ticks] == ["0", "5", "10", "15", "20", "25"]
    assert (axis.low, axis.high) == (0.0, 25.0)
    assert linear("ms", 0.0).high > 0


def test_a_logarithmic_axis_has_marks_at_1_2_5_or_at_powers_of_ten() -> None:
    assert [tick.label for tick in logarithmic("ms", 3.0, 40.0).ticks] == ["2", "5", "10", "20", "50"]
    assert [tick.label for tick in logarithmic("ms", 0.2, 414.0).ticks] == ["1", "10", "100"]


def test_a_name_with_markup_is_text() -> None:
    made = str(Chart('<b>"', linear("<i>", 1), linear("ms", 1), [Line("&", "one", [(0, 0)])]).svg())
    assert "<b>" not in made
    assert "<i>" not in made
    assert 'aria-label="&lt;b&gt;&quot;: &amp;"' in made


@given(positive, positive, st.booleans())
def test_labels_do_not_collide_and_lines_stay_in_the_picture(low: float, more: float, log: bool) -> None:
    high = low + more
    y = logarithmic("ms", low, high) if log else linear("ms", high)
    x = linear("seconds", more)
    made = chart(x, y, [(0.0, low), (more, high)])
    for at_x, at_y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", made.partition('points="')[2]):
        assert -1 <= float(at_x) <= WIDTH
        assert -1 <= float(at_y) <= HEIGHT
    heights = [float(at) for at in re.findall(r'y="([\d.]+)" text-anchor="end"', made)]
    assert all(below - above >= 13 for below, above in pairwise(heights))
    labels = re.findall(r'<text x="([\d.]+)" y="\d+" text-anchor="middle">([^<]*)<', made)
    ends = [(float(at), LETTER * len(text) / 2) for at, text in labels]
    assert all(two - half2 > one + half1 for (one, half1), (two, half2) in pairwise(ends))


@pytest.mark.parametrize("value", [1e-3, 0.5, 1.0, 7.0, 99.9, 1e6])
def test_both_ends_of_an_axis_are_at_its_ends(value: float) -> None:
    axis = logarithmic("ms", value, value)
    assert axis.share(axis.low) == 0.0
    assert axis.share(axis.high) == pytest.approx(1.0)
    assert 0.0 <= axis.share(value) <= 1.0
