from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import parse_duration, parse_ratio, show_duration, show_ratio
from monitor.config.units import parse_size, show_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("500ms", 0.5),
        ("5s", 5.0),
        ("90s", 90.0),
        ("1h30m", 5400.0),
        ("1m1ms", 60.001),
        ("30d", 2_592_000.0),
        ("2w", 1_209_600.0),
        ("1y", 31_536_000.0),
    ],
)
def test_durations_are_parsed_as_in_prometheus(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "s", "1.5s", "-1s", "5 s", " 5s", "5S", "1m1h", "1s1s", "00", "1e3s", "٣s", "9" * 50 + "s"]
)
def test_what_prometheus_rejects_is_not_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; expected"):
        parse_duration(text)


@given(st.integers(0, 10**12))
def test_a_formatted_duration_is_parsed_back(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert parse_duration(show_duration(seconds)) == seconds


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (5400, "1h30m"), (0.5, "500ms"), (2_592_000, "30d")])
def test_a_duration_is_formatted_in_its_shortest_form(seconds: float, text: str) -> None:
    assert show_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "ratio"), [("99.9%", "0.999"), ("99.99%", "0.9999"), ("100%", "1"), ("5%", "0.05"), ("99.90%", "0.999")]
)
def test_ratios_are_exact(text: str, ratio: str) -> None:
    parsed = parse_ratio(text)
    assert parsed == Decimal(ratio)
    assert f"{parsed:f}" == ratio


@pytest.mark.parametrize("text", ["", "99.9", "0.999", "%", ".5%", "5.%", "-1%", "99,9%", "9" * 50 + "%", "٣%"])
def test_only_percentages_are_ratios(text: str) -> None:
    with pytest.raises(ValueError, match="is not a ratio; expected"):
        parse_ratio(text)


@given(st.decimals(min_value=0, max_value=100, places=6))
def test_a_formatted_ratio_is_parsed_back(percent: Decimal) -> None:
    ratio = percent.scaleb(-2)
    assert parse_ratio(show_ratio(ratio)) == ratio


@pytest.mark.parametrize(("text", "size"), [("1MB", 10**6), ("500MB", 5 * 10**8), ("2GB", 2 * 10**9)])
def test_a_size(text: str, size: int) -> None:
    assert parse_size(text) == size
    assert show_size(size) == text


@pytest.mark.parametrize("text", ["", "500", "500 MB", "0.5GB", "-1MB", "500mb", "1TB", "9" * 50 + "MB"])
def test_not_a_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size; expected a number with its unit: 500MB, 2GB"):
        parse_size(text)


@given(st.integers(1, 10**6))
def test_a_size_is_what_is_shown(megabytes: int) -> None:
    assert parse_size(show_size(megabytes * 10**6)) == megabytes * 10**6
