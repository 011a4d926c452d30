from __future__ import annotations

from decimal import Decimal

from monitor.burn_rate import REFERENCE_WINDOW, burn_conditions

MINUTE = 60.0


def test_thirty_days_have_the_windows_of_the_sre_workbook() -> None:
    assert [
        (condition.severity, str(condition.factor), condition.long_window, condition.short_window)
        for condition in burn_conditions(REFERENCE_WINDOW, 15.0)
    ] == [
        ("critical", "14.4", 3600.0, 300.0),
        ("critical", "6", 21_600.0, 1800.0),
        ("warning", "3", 86_400.0, 7200.0),
        ("warning", "1", 259_200.0, 21_600.0),
    ]


def test_a_shorter_window_scales_all_windows() -> None:
    reference, short = burn_conditions(REFERENCE_WINDOW, 1.0), burn_conditions(REFERENCE_WINDOW / 10, 1.0)
    assert [condition.long_window for condition in short] == [condition.long_window / 10 for condition in reference]
    assert [condition.factor for condition in short] == [condition.factor for condition in reference]


def test_no_window_is_shorter_than_some_scrapes() -> None:
    """The short window of an hour's budget would be 0.4 s, without a scrape."""
    assert [
        (condition.severity, condition.factor, condition.long_window, condition.short_window)
        for condition in burn_conditions(3600.0, 15.0)
    ] == [
        ("critical", Decimal(6), 120.0, 60.0),
        ("warning", Decimal(3), 120.0, 60.0),
        ("warning", Decimal(1), 360.0, 60.0),
    ]


def test_rare_events_are_recent_until_the_next_one_is_due() -> None:
    hour = 60 * MINUTE
    assert {condition.recent_window for condition in burn_conditions(REFERENCE_WINDOW, 15.0, 4 * MINUTE)} == {
        5 * MINUTE
    }
    assert {condition.recent_window for condition in burn_conditions(REFERENCE_WINDOW, 15.0, hour)} == {hour + 30.0}


def test_the_recent_window_is_longer_than_the_gap_between_events() -> None:
    """Scrapes may be 285 s apart, so that a window of 5 minutes may have no event."""
    assert {condition.recent_window for condition in burn_conditions(REFERENCE_WINDOW, 15.0, 5 * MINUTE)} == {
        5 * MINUTE + 30.0
    }


def test_rare_failures_are_counted_over_a_window_that_always_has_them() -> None:
    """With an event every 2 h 30 min, a window of 6 hours has three events only part of the time."""
    hours = 3600.0
    counted = [condition.count_window for condition in burn_conditions(REFERENCE_WINDOW, 15.0, 2.5 * hours)]
    assert counted == [None, 7.5 * hours + 30.0, None, None]
