"""Times, and lengths of time in words."""

from __future__ import annotations

import pytest

from monitor.durations import duration, utc_time


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-3, "0 s"),
        (59.9, "59 s"),
        (60, "1 min 00 s"),
        (124, "2 min 04 s"),
        (3_599, "59 min 59 s"),
        (3_600, "1 h 00 min"),
        (86_399, "23 h 59 min"),
        (93_600, "1 d 2 h"),
        (259_200, "3 d"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_a_unix_time_is_shown_in_utc() -> None:
    assert utc_time(1_770_076_799.9) == "2026-02-02 23:59:59"
