from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.crontab import Crontab

BERLIN = ZoneInfo("Europe/Berlin")


def times_after(expression: str, start: str, number: int, timezone: str = "UTC") -> list[str]:
    """The first times after a local time, as local times with their offset."""
    zone = ZoneInfo(timezone)
    crontab = Crontab(expression, timezone)
    timestamp = datetime.fromisoformat(start).replace(tzinfo=zone).timestamp()
    found = []
    for _ in range(number):
        timestamp = crontab.after(timestamp)
        found.append(datetime.fromtimestamp(timestamp, zone).isoformat(timespec="minutes"))
    return found


def weekdays(field: str) -> str:
    """The days of a week that match a weekday field; 2024-01-07 is a Sunday."""
    week = times_after(f"0 0 * * {field}", "2024-01-06T12:00", 14)
    days = {datetime.fromisoformat(day).strftime("%a") for day in week}
    return " ".join(day for day in ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat") if day in days)


@pytest.mark.parametrize(
    ("field", "days"),
    [
        ("0", "Sun"),
        ("7", "Sun"),
        ("1", "Mon"),
        ("6", "Sat"),
        ("sun", "Sun"),
        ("MON-fri", "Mon Tue Wed Thu Fri"),
        ("1-5", "Mon Tue Wed Thu Fri"),
        ("5-7", "Sun Fri Sat"),
        ("fri-sun", "Sun Fri Sat"),
        ("sun-tue", "Sun Mon Tue"),
        ("0-7", "Sun Mon Tue Wed Thu Fri Sat"),
        ("*/2", "Sun Tue Thu Sat"),
        ("1-5/2", "Mon Wed Fri"),
        ("mon,wed,6-7", "Sun Mon Wed Sat"),
        ("*", "Sun Mon Tue Wed Thu Fri Sat"),
    ],
)
def test_0_and_7_are_sunday(field: str, days: str) -> None:
    assert weekdays(field) == days


def test_two_restricted_day_fields_match_either() -> None:
    # 2024-03-15 is a Friday.
    assert times_after("0 12 13 * fri", "2024-03-07T00:00", 4) == [
        "2024-03-08T12:00+00:00",
        "2024-03-13T12:00+00:00",
        "2024-03-15T12:00+00:00",
        "2024-03-22T12:00+00:00",
    ]


def test_a_day_field_that_begins_with_a_star_restricts_both_together() -> None:
    # Odd days that are Mondays.
    assert times_after("0 0 */2 * mon", "2024-04-01T12:00", 2) == ["2024-04-15T00:00+00:00", "2024-04-29T00:00+00:00"]


def test_steps_lists_ranges_and_month_names() -> None:
    assert times_after("5-20/15,50 0,12 1 jan,jul-aug *", "2024-01-01T12:10", 4) == [
        "2024-01-01T12:20+00:00",
        "2024-01-01T12:50+00:00",
        "2024-07-01T00:05+00:00",
        "2024-07-01T00:20+00:00",
    ]


def test_a_time_is_never_its_own_successor() -> None:
    assert times_after("*/5 * * * *", "2024-01-01T00:05", 1) == ["2024-01-01T00:10+00:00"]


def test_29_february_is_found_across_2100() -> None:
    assert times_after("0 0 29 2 *", "2096-03-01T00:00", 1) == ["2104-02-29T00:00+00:00"]


@pytest.mark.parametrize(
    ("expression", "timezone", "message"),
    [
        ("* * * *", "UTC", "expected five fields"),
        ("@daily", "UTC", "expected five fields"),
        ("60 * * * *", "UTC", "minute '60': '60' is not a number from 0 to 59"),
        ("* 24 * * *", "UTC", "hour '24': '24' is not a number from 0 to 23"),
        ("* * 0 * *", "UTC", "day of month '0': '0' is not a number from 1 to 31"),
        ("* * * foo *", "UTC", "month 'foo': 'foo' is not a number from 1 to 12 or jan to dec"),
        ("* * * * 8", "UTC", "day of week '8': '8' is not a number from 0 to 7 or sun to sat"),
        ("5-3 * * * *", "UTC", "the range '5-3' is reversed"),
        ("5/15 * * * *", "UTC", "a step needs a range or *, such as 5-59/2"),
        ("*/0 * * * *", "UTC", "the step '0' is not a whole number from 1"),
        ("*/ * * * *", "UTC", "the step '' is not a whole number from 1"),
        ("1,, * * * *", "UTC", "'' is not a number from 0 to 59"),
        ("² * * * *", "UTC", "'²' is not a number from 0 to 59"),
        ("0 0 30 2 *", "UTC", "none of its months has a day 30"),
        ("0 0 29 2 */7", "UTC", "29 February is on a given weekday once in 28 years"),
        ("* * * * *", "Mars/Olympus", "timezone 'Mars/Olympus' is not known"),
        ("* * * * *", "../etc/passwd", "is not known"),
        ("* " * 5000, "UTC", "expected five fields"),
    ],
)
def test_an_invalid_line_is_refused_with_what_is_allowed(expression: str, timezone: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Crontab(expression, timezone)


def test_a_fixed_time_in_the_gap_runs_when_the_gap_ends() -> None:
    assert times_after("30 2 * * *", "2024-03-30T00:00", 3, "Europe/Berlin") == [
        "2024-03-30T02:30+01:00",
        "2024-03-31T03:00+02:00",
        "2024-04-01T02:30+02:00",
    ]


def test_several_fixed_times_in_one_gap_run_once() -> None:
    assert times_after("10,40 2,3 * * *", "2024-03-31T00:00", 3, "Europe/Berlin") == [
        "2024-03-31T03:00+02:00",
        "2024-03-31T03:10+02:00",
        "2024-03-31T03:40+02:00",
    ]


def test_a_fixed_time_that_is_repeated_runs_at_its_first_occurrence() -> None:
    assert times_after("30 2 * * *", "2024-10-27T00:00", 2, "Europe/Berlin") == [
        "2024-10-27T02:30+02:00",
        "2024-10-28T02:30+01:00",
    ]


def test_a_line_with_a_star_follows_the_clock_through_both_changes() -> None:
    assert times_after("*/30 * * * *", "2024-03-31T01:00", 3, "Europe/Berlin") == [
        "2024-03-31T01:30+01:00",
        "2024-03-31T03:00+02:00",
        "2024-03-31T03:30+02:00",
    ]
    assert times_after("*/30 * * * *", "2024-10-27T01:30", 5, "Europe/Berlin") == [
        "2024-10-27T02:00+02:00",
        "2024-10-27T02:30+02:00",
        "2024-10-27T02:00+01:00",
        "2024-10-27T02:30+01:00",
        "2024-10-27T03:00+01:00",
    ]


def test_a_zone_that_changes_at_midnight_skips_no_midnight() -> None:
    # In Beirut the clocks go from 00:00 to 01:00, and back from 24:00 to 23:00.
    assert times_after("0 0 * * *", "2024-03-30T12:00", 2, "Asia/Beirut") == [
        "2024-03-31T01:00+03:00",
        "2024-04-01T00:00+03:00",
    ]
    assert times_after("30 23 * * *", "2024-10-26T12:00", 2, "Asia/Beirut") == [
        "2024-10-26T23:30+03:00",
        "2024-10-27T23:30+02:00",
    ]


def test_hours_are_those_of_the_zone() -> None:
    assert Crontab("0 9 * * *", "Asia/Tokyo").after(0) == 0 + 24 * 3600
    assert Crontab("0 9 * * *", "UTC").after(0) == 9 * 3600


def test_counting_agrees_with_walking_and_stops_at_its_limit() -> None:
    crontab = Crontab("7 */3 * * *", "Europe/Berlin")
    start = datetime(2024, 3, 20, tzinfo=UTC).timestamp()
    end = start + 14 * 86400 + 17
    walked, timestamp = 0, start
    while (timestamp := crontab.after(timestamp)) <= end:
        walked += 1
    assert crontab.count(start, end, 10_000) == walked
    assert crontab.count(start, end, 5) == 5
    assert crontab.count(end, start, 5) == 0


@pytest.mark.parametrize(
    ("expression", "gap"),
    [
        ("*/5 * * * *", timedelta(minutes=5)),
        ("0 9-17 * * *", timedelta(hours=17)),
        ("0 12 * * 1-5", timedelta(days=3, hours=1)),  # over the weekend in which the clocks go back
        ("0 0 1 * *", timedelta(days=31, hours=1)),
        ("0 12 29 2 *", timedelta(days=4 * 365 + 1)),
    ],
)
def test_the_longest_gap_includes_nights_weekends_and_daylight_saving(expression: str, gap: timedelta) -> None:
    assert Crontab(expression, "Europe/Berlin").longest_gap() == gap.total_seconds()


@given(
    minute=st.sampled_from(["*", "*/7", "13", "0,30,59"]),
    hour=st.sampled_from(["*", "*/5", "2", "0-3", "23"]),
    weekday=st.sampled_from(["*", "0", "1-5", "sat,7"]),
    timestamp=st.integers(1_704_000_000, 1_767_000_000),
)
def test_the_next_time_is_the_first_matching_minute_on_days_without_a_change(
    minute: str, hour: str, weekday: str, timestamp: int
) -> None:
    crontab = Crontab(f"{minute} {hour} * * {weekday}", "Asia/Tokyo")
    zone = ZoneInfo("Asia/Tokyo")
    sets = {
        "*": range(60), "*/7": range(0, 60, 7), "13": [13], "0,30,59": [0, 30, 59],
        "*/5": range(0, 24, 5), "2": [2], "0-3": range(4), "23": [23],
        "0": [0], "1-5": range(1, 6), "sat,7": [6, 0],
    }  # fmt: skip
    found = crontab.after(timestamp)
    assert found > timestamp
    minutes = range(timestamp // 60 * 60 + 60, int(found) + 60, 60)
    matching = [
        at
        for at in minutes
        if (local := datetime.fromtimestamp(at, zone)).minute in sets[minute]
        and local.hour in sets[hour]
        and local.isoweekday() % 7 in sets[weekday]
    ]
    assert matching == [found]


@pytest.mark.parametrize(
    ("expression", "times", "span"),
    [
        ("*/5 * * * *", 3, timedelta(minutes=10)),
        ("0,5 9 * * *", 2, timedelta(minutes=5)),
        ("0,5 9 * * *", 3, timedelta(hours=23)),  # the day on which the clocks go forward is an hour shorter
        ("0 12 29 2 *", 1, timedelta(0)),
    ],
)
def test_the_shortest_span_is_where_times_are_closest_together(expression: str, times: int, span: timedelta) -> None:
    assert Crontab(expression, "Europe/Berlin").shortest_span(times) == span.total_seconds()


def test_the_average_gap_includes_the_nights() -> None:
    assert Crontab("0,5 9 * * *").average_gap() == 12 * 3600
    assert Crontab("0 0-23/2 * * *").average_gap() == 2 * 3600
