from __future__ import annotations

from datetime import UTC, datetime

import pytest

from monitor.web.formats import budget, clock, milliseconds, percent, utc


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "–"), (0.0042, "4.2 ms"), (0.0384, "38 ms"), (0.9994, "999 ms"), (0.9996, "1.00 s"), (1.25, "1.25 s")],
)
def test_a_latency_has_the_unit_that_fits(seconds: float | None, shown: str) -> None:
    assert milliseconds(seconds) == shown


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [
        (None, "–"),
        (0, "0 %"),
        (1, "100 %"),
        (0.83, "83.0 %"),
        (0.9899, "99.0 %"),
        (0.99951, "99.95 %"),
        (0.999999, "99.99 %"),
        (-0.5, "-50.0 %"),
    ],
)
def test_a_share_is_100_percent_only_if_nothing_is_missing(ratio: float | None, shown: str) -> None:
    assert percent(ratio) == shown


def test_a_time_is_shown_in_utc() -> None:
    time = datetime(2024, 5, 1, 12, 7, 5, tzinfo=UTC)
    assert (utc(time), clock(time)) == ("2024-05-01 12:07:05 UTC", "12:07:05")


@pytest.mark.parametrize(
    ("left", "shown"),
    [
        (None, "–"),
        (1, "100 %"),
        (0.9999, "99 %"),
        (0.714, "71 %"),
        (0.018, "1.8 %"),
        (0, "exhausted"),
        (-976.2, "exhausted"),
    ],
)
def test_a_budget_is_a_share_until_it_is_exhausted(left: float | None, shown: str) -> None:
    assert budget(left) == shown
