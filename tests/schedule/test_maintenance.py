from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.schedule import Maintenance, Window


class WallClock:
    """A clock set by hand."""

    def __init__(self, text: str) -> None:
        self.now = datetime.fromisoformat(text).timestamp()

    def monotonic(self) -> float:
        return 0.0

    def time(self) -> float:
        return self.now


def window(**changes: Any) -> Any:
    fields = {
        "relays": ("demo",),
        "cron": "30 23 * * sat",
        "timezone": "Europe/Berlin",
        "duration": 7200.0,
        "reason": "database upgrade",
    }
    return SimpleNamespace(**(fields | changes))


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ("2024-05-04T23:29:59+02:00", None),
        ("2024-05-04T23:30:00+02:00", "database upgrade"),
        ("2024-05-05T00:00:00+02:00", "database upgrade"),
        ("2024-05-05T01:29:59+02:00", "database upgrade"),
        ("2024-05-05T01:30:00+02:00", None),
        ("2024-05-05T23:45:00+02:00", None),  # a Sunday
    ],
)
def test_a_window_that_crosses_midnight_is_open_for_its_whole_duration(now: str, reason: str | None) -> None:
    assert Maintenance([window()], WallClock(now)).active("demo") == reason


def test_a_window_lasts_its_elapsed_time_while_the_clocks_go_forward() -> None:
    # 23:30 CET and two hours: 01:30 CET; with one that opens at 01:30 on the day of the change: 04:30 CEST.
    maintenance = Maintenance([window(cron="30 1 * * sun")], WallClock("2024-03-31T04:29:59+02:00"))
    assert maintenance.active("demo") == "database upgrade"
    assert maintenance.active("demo", datetime.fromisoformat("2024-03-31T04:30:00+02:00")) is None


def test_a_window_applies_to_its_relays_or_to_all() -> None:
    clock = WallClock("2024-05-05T00:00:00+02:00")
    assert Maintenance([window()], clock).active("other") is None
    assert Maintenance([window(relays=())], clock).active("other") == "database upgrade"
    assert Maintenance([], clock).active("demo") is None


def test_the_next_window_is_the_first_to_open_of_those_of_the_relay() -> None:
    clock = WallClock("2024-05-05T00:00:00+02:00")
    windows = [
        window(),
        window(cron="0 4 * * *", timezone="UTC", reason="backup"),
        window(cron="0 1 * * *", relays=("b",)),
    ]
    assert Maintenance(windows, clock).next_window("demo") == Window(
        datetime(2024, 5, 5, 4, tzinfo=UTC), datetime(2024, 5, 5, 6, tzinfo=UTC), "backup", ("demo",)
    )
    assert Maintenance([], clock).next_window("demo") is None


def test_a_window_longer_than_its_period_is_always_open() -> None:
    maintenance = Maintenance([window(cron="0 0 * * *", duration=90000.0)], WallClock("2024-05-05T13:00:00+02:00"))
    assert maintenance.active("demo") == "database upgrade"


@pytest.mark.parametrize(
    ("cron", "duration", "opened"),
    [
        ("* * * * *", 3600.0, "2024-05-05T12:59:00+00:00"),  # windows that overlap: the latest
        ("*/10 * * * *", 3600.0, "2024-05-05T12:50:00+00:00"),
        ("7 3 * * *", 86_400.0, "2024-05-05T03:07:00+00:00"),
        ("* 0-3 5 * *", 604_800.0, "2024-05-05T03:59:00+00:00"),
    ],
)
def test_an_open_window_is_the_one_that_opened_last(cron: str, duration: float, opened: str) -> None:
    clock = WallClock("2024-05-05T12:59:30+00:00")
    maintenance = Maintenance([window(cron=cron, duration=duration, timezone="UTC")], clock)
    start = datetime.fromisoformat(opened)
    expected = Window(start, start + timedelta(seconds=duration), "database upgrade", ("demo",))
    assert maintenance.window("demo") == expected
    assert maintenance.configured() == (expected,)


@given(
    st.sampled_from(["* * * * *", "*/7 * * * *", "30 2 * * *", "0 0 * * sun", "1,2,3 4 * * *"]),
    st.sampled_from([60.0, 90.0, 3600.0, 86_400.0, 604_800.0]),
    st.lists(st.integers(0, 30 * 86_400), min_size=1, max_size=8),
)
def test_the_cache_changes_nothing_in_whatever_order_the_times_are_asked(
    cron: str, duration: float, times: list[int]
) -> None:
    clock = WallClock("2024-05-05T12:00:00+00:00")
    cached = Maintenance([window(cron=cron, duration=duration)], clock)
    for seconds in times:
        at = datetime.fromtimestamp(clock.now + seconds, UTC)
        uncached = Maintenance([window(cron=cron, duration=duration)], clock)
        assert cached.window("demo", at) == uncached.window("demo", at)
        assert (cached.window("demo", at) is not None) == cached.overlaps("demo", at.timestamp(), at.timestamp())
