from __future__ import annotations

from decimal import Decimal

from monitor.burn_rate import REFERENCE_WINDOW, burn_conditions

MINUTE = 60.0


def test_the_usual_window_has_the_workbooks_windows() -> None:
    assert [
        (burn.severity, str(burn.factor), burn.long_window, burn.short_window)
        for burn in burn_conditions(REFERENCE_WINDOW, 15.0)
    ] == [
        ("critical", "14.4", 3600.0, 300.0),
        ("critical", "6", 21_600.0, 1800.0),
        ("warning", "3", 86_400.0, 7200.0),
        ("warning", "1", 259_200.0, 21_600.0),
    ]


def test_a_shorter_window_scales_them_all() -> None:
    usual, short = burn_conditions(REFERENCE_WINDOW, 1.0), burn_conditions(REFERENCE_WINDOW / 10, 1.0)
    assert [burn.long_window for burn in short] == [burn.long_window / 10 for burn in usual]
    assert [burn.factor for burn in short] == [burn.factor for burn in usual]


def test_no_window_is_too_short_for_its_scrapes() -> None:
    """An hour's budget would be judged over 0.4 s, in which nothing is scraped."""
    assert [
        (burn.severity, burn.factor, burn.long_window, burn.short_window) for burn in burn_conditions(3600.0, 15.0)
    ] == [
        ("critical", Decimal(6), 120.0, 60.0),
        ("warning", Decimal(3), 120.0, 60.0),
        ("warning", Decimal(1), 360.0, 60.0),
    ]


def test_what_happens_rarely_is_recent_until_it_can_happen_again() -> None:
    hour = 60 * MINUTE
    assert {burn.recent_window for burn in burn_conditions(REFERENCE_WINDOW, 15.0, 4 * MINUTE)} == {5 * MINUTE}
    assert {burn.recent_window for burn in burn_conditions(REFERENCE_WINDOW, 15.0, hour)} == {hour + 30.0}


def test_what_happens_every_five_minutes_may_miss_the_scrapes_of_a_window_of_five() -> None:
    """They lie 285 s apart at most; who has nothing in such a window would have no vote."""
    assert {burn.recent_window for burn in burn_conditions(REFERENCE_WINDOW, 15.0, 5 * MINUTE)} == {5 * MINUTE + 30.0}


def test_failures_that_just_fit_into_the_long_window_are_counted_where_they_always_do() -> None:
    """At 2 h 30 min, 6 hours hold the third failure for an hour, and for an hour and a half they do not."""
    hours = 3600.0
    counted = [burn.count_window for burn in burn_conditions(REFERENCE_WINDOW, 15.0, 2.5 * hours)]
    assert counted == [None, 7.5 * hours + 30.0, None, None]
