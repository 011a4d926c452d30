from __future__ import annotations

import math

import pytest

from tests.dashboards.units import decimals, fixed, formatted, tick


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0123, "s", "12.3 ms"),
        (0.4, "s", "400 ms"),
        (75.0, "s", "1.25 mins"),
        (0.99951, "percentunit", "100.0%"),
        (-176.61, "percentunit", "-17661%"),
        (1_234_567.0, "short", "1.23 Mil"),
        (5e6, "bytes", "4.77 MiB"),
        (95.0, "dtdurations", "1 minute"),
        (3725.0, "dthms", "01:02:05"),
        (2.5, "none", "2.50"),
        (3.0, None, "3"),
        (1.0, "suffix:×", "1×"),
        (None, "s", ""),
    ],
)
def test_values_have_the_texts_of_grafana(value: float | None, unit: str | None, text: str) -> None:
    assert formatted(value, unit) == text


def test_decimals_can_be_set() -> None:
    assert formatted(0.99951, "percentunit", 3) == "99.951%"
    assert formatted(3725.0, "dtdurations", 1) == "1 hour, 2 minutes"


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (20, "a few seconds ago"),
        (60, "a minute ago"),
        (400, "7 minutes ago"),
        (3600, "an hour ago"),
        (-400, "in 7 minutes"),
    ],
)
def test_ages_are_in_words(age: float, text: str) -> None:
    assert formatted(1000.0 * 1000, "dateTimeFromNow", now=1000.0 + age) == text


def test_numbers_are_rounded_half_up() -> None:
    assert [fixed(0.125, 2), fixed(-0.125, 2), fixed(math.inf)] == ["0.13", "-0.12", "∞"]


def test_small_numbers_have_more_decimals() -> None:
    assert [decimals(0.0), decimals(12.0), decimals(1.5), decimals(0.012)] == [0, 0, 2, 4]


def test_labels_of_an_axis_are_as_exact_as_their_distance() -> None:
    assert [tick(value, "s", 0.005, None) for value in (0.0, 0.005, 0.01)] == ["0 s", "5 ms", "10 ms"]
    assert [tick(value, "percentunit", 0.001, None) for value in (0.998, 0.999)] == ["99.8%", "99.9%"]
