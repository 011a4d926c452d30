"""`Crontab` beside the loop of Debian's cron, minute by minute over changes of the clocks.

The loop is cron(8)'s: once a minute it compares local time with the minute it has come to. One minute on is the usual
case. Up to three hours on, lines that begin with a star run for the present minute only, and the others for each minute
that was skipped. Up to three hours back, lines that begin with a star run, and the others wait until local time has
caught up.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from monitor.config.crontab import Crontab

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

MINUTES: dict[str, Collection[int]] = {
    "*": range(60), "*/7": range(0, 60, 7), "*/30": (0, 30), "0": (0,), "30": (30,), "13": (13,),
    "10-20/5": (10, 15, 20), "0,30,59": (0, 30, 59),
}  # fmt: skip
HOURS: dict[str, Collection[int]] = {
    "*": range(24), "*/5": range(0, 24, 5), "*/2": range(0, 24, 2), "0": (0,), "2": (2,), "23": (23,), "0-3": range(4),
    "1-2": (1, 2),
}  # fmt: skip
CHANGES = [
    ("Europe/Berlin", "2024-03-31T01:00"),
    ("Europe/Berlin", "2024-10-27T01:00"),
    ("America/New_York", "2024-03-10T07:00"),
    ("America/New_York", "2024-11-03T06:00"),
    ("Asia/Beirut", "2024-03-30T22:00"),  # midnight is skipped
    ("Asia/Beirut", "2024-10-26T21:00"),  # the hour before midnight comes twice
    ("America/Havana", "2024-03-10T05:00"),  # midnight is skipped
    ("America/Havana", "2024-11-03T05:00"),  # the hour after midnight comes twice
    ("Australia/Lord_Howe", "2024-04-06T15:00"),  # by half an hour
    ("Australia/Lord_Howe", "2024-10-05T15:30"),
    ("Antarctica/Troll", "2024-03-31T01:00"),  # by two hours
    ("Antarctica/Troll", "2024-10-27T01:00"),
]
"""Time zones, and when, in UTC, their clocks change."""

AROUND = 26 * 3600
THREE_HOURS = 180


def debian(
    minutes: Collection[int], hours: Collection[int], zone: ZoneInfo, *, star: bool, start: int
) -> Iterator[int]:
    """The times within a day of the change at which Debian's cron would start the job, one each at most."""

    def matches(minute: int) -> bool:
        return minute % 60 in minutes and minute // 60 % 24 in hours

    latest: int | None = None
    for timestamp in range(start, start + 2 * AROUND, 60):
        offset = datetime.fromtimestamp(timestamp, zone).utcoffset()
        assert offset is not None
        local = (timestamp + int(offset.total_seconds())) // 60
        moved = 1 if latest is None else local - latest
        assert -THREE_HOURS < moved <= THREE_HOURS
        if matches(local) if star else any(matches(local - back) for back in range(moved)):
            yield timestamp
        if latest is None or moved > 0:
            latest = local


@given(
    change=st.sampled_from(CHANGES),
    minute=st.sampled_from(sorted(MINUTES)),
    hour=st.sampled_from(sorted(HOURS)),
    timestamp=st.integers(0, 2 * AROUND),
)
def test_daylight_saving_changes_are_handled_as_in_debians_cron(
    change: tuple[str, str], minute: str, hour: str, timestamp: int
) -> None:
    name, at = change
    start = int(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()) - AROUND
    star = minute.startswith("*") or hour.startswith("*")
    expected = list(debian(MINUTES[minute], HOURS[hour], ZoneInfo(name), star=star, start=start))
    crontab = Crontab(f"{minute} {hour} * * *", name)
    found, last = [], float(start - 1)
    while (last := crontab.after(last)) < start + 2 * AROUND:
        found.append(last)
    assert found == expected
    later = [run for run in expected if run > start + timestamp]
    assert crontab.count(start + timestamp, start + 2 * AROUND - 1, 10_000) == len(later)
    assert not later or crontab.after(start + timestamp) == later[0]
