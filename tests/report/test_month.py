"""Calendar months."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from monitor.report.month import last_month, period_of

NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)


def test_a_month_that_is_over_is_whole() -> None:
    period = period_of("2026-02", NOW)
    assert (period.start, period.end) == (datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))
    assert period.complete
    assert period.seconds == timedelta(days=28).total_seconds()


def test_december_ends_with_the_year() -> None:
    assert period_of("2025-12", NOW).end == datetime(2026, 1, 1, tzinfo=UTC)


def test_the_present_month_ends_now() -> None:
    period = period_of("2026-03", NOW)
    assert (period.end, period.complete) == (NOW, False)


@pytest.mark.parametrize(
    ("month", "why"),
    [
        ("2026-13", "is not a month"),
        ("2026-3", "is not a month"),
        ("March", "is not a month"),
        ("2026-04", "has not begun"),
        ("0001-01", "is out of bounds"),
    ],
)
def test_another_text_is_refused_with_the_reason(month: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        period_of(month, NOW)


def test_the_month_before() -> None:
    assert last_month(NOW) == "2026-02"
    assert last_month(datetime(2026, 1, 31, tzinfo=UTC)) == "2025-12"
