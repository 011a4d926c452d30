from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

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
