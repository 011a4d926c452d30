from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.burn_rate import ENOUGH, USUAL_WINDOW, burns

MINUTE = 60.0
THREE_NINES = Decimal("0.999")


def test_the_usual_window_has_the_workbooks_windows() -> None:
    assert [(burn.severity, str(burn.factor), burn.long, burn.short) for burn in burns(USUAL_WINDOW, 15.0)] == [
        ("critical", "14.4", 3600.0, 300.0),
        ("critical", "6", 21_600.0, 1800.0),
        ("warning", "3", 86_400.0, 7200.0),
        ("warning", "1", 259_200.0, 21_600.0),
    ]


def test_a_shorter_window_scales_them_all() -> None:
    usual, short = burns(USUAL_WINDOW, 1.0), burns(USUAL_WINDOW / 10, 1.0)
    assert [burn.long for burn in short] == [burn.long / 10 for burn in usual]
    assert [burn.factor for burn in short] == [burn.factor for burn in usual]


def test_no_window_is_too_short_for_its_scrapes() -> None:
    """An hour's budget would be judged over 0.4 s, in which nothing is scraped."""
    assert [(burn.severity, burn.factor, burn.long, burn.short) for burn in burns(3600.0, 15.0)] == [
        ("critical", Decimal(6), 120.0, 60.0),
        ("warning", Decimal(3), 120.0, 60.0),
        ("warning", Decimal(1), 360.0, 60.0),
    ]


@pytest.mark.parametrize(("a_minute", "needed"), [(1, ENOUGH), (3, ENOUGH), (12, 11)])
def test_few_events_ask_for_more_than_one_failure(a_minute: int, needed: int) -> None:
    """At one a minute and 99.9 % a single failure would do; at twelve it takes eleven."""
    page = burns(USUAL_WINDOW, 15.0)[0]
    assert page.failures(THREE_NINES, a_minute / MINUTE) == needed


def test_what_happens_rarely_is_recent_until_it_can_happen_again() -> None:
    hour = 60 * MINUTE
    assert {burn.recent for burn in burns(USUAL_WINDOW, 15.0, 4 * MINUTE)} == {5 * MINUTE}
    assert {burn.recent for burn in burns(USUAL_WINDOW, 15.0, hour)} == {hour + 30.0}


def test_what_happens_every_five_minutes_may_miss_the_scrapes_of_a_window_of_five() -> None:
    """They lie 285 s apart at most; who has nothing in such a window would have no vote."""
    assert {burn.recent for burn in burns(USUAL_WINDOW, 15.0, 5 * MINUTE)} == {5 * MINUTE + 30.0}


def test_failures_that_just_fit_into_the_long_window_are_counted_where_they_always_do() -> None:
    """At 2 h 30 min, 6 hours hold the third failure for an hour, and for an hour and a half they do not."""
    hours = 3600.0
    counted = [burn.counted for burn in burns(USUAL_WINDOW, 15.0, 2.5 * hours)]
    assert counted == [None, 7.5 * hours + 30.0, None, None]
