"""The times of a crontab line.

The five fields are those of crontab(5): lists, ranges, steps after a range or `*`, English three-letter names, 0 and 7
for Sunday. If both day fields are restricted (do not begin with `*`), a day matches if either does, else if both do.

Daylight saving follows Debian's cron(8). A line whose hour and minute are both fixed runs once for each of its local
times: at the end of the gap if the clocks skip that time, at its first occurrence if they repeat it. A line whose hour
or minute begins with `*` follows the clock: nothing in a gap, and both times through a repeated hour.

cronsim has the same aim, but gives wrong times where clocks change by half an hour or at midnight, and is slower: a
year of `*/5` takes 1.5 s. Here the times of a day are computed at once, those of a year in 18 ms.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from operator import sub
from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()  # of `low` and the values after it


_MINUTE: Final = _Field("minute", 0, 59)
_HOUR: Final = _Field("hour", 0, 23)
_DAY: Final = _Field("day of month", 1, 31)
_MONTH: Final = _Field(
    "month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
)
_WEEKDAY: Final = _Field("day of week", 0, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat"))
_FIELDS: Final = (_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY)

_MONTH_LENGTHS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FEBRUARY: Final = 2
_WEEK: Final = 7
_MAX_LENGTH: Final = 1000
_MINUTE_SECONDS: Final = 60.0
# The rarest day of a valid line, the first of a month on a given weekday, is at most twelve years away.
_HORIZON_DAYS: Final = 366 * 13
# A leap year in the past, whose time zone rules do not change any more.
_SAMPLE_YEAR: Final = (datetime(2024, 1, 1, tzinfo=UTC).timestamp(), datetime(2025, 1, 1, tzinfo=UTC).timestamp())


class Crontab:
    """The times of a crontab line in a time zone, in seconds since the epoch.

    Raises `ValueError` for an invalid line, a line without any time, and an unknown time zone.
    """

    def __init__(self, expression: str, timezone: str = "UTC") -> None:
        texts = expression.lower().split() if len(expression) <= _MAX_LENGTH else []
        if len(texts) != len(_FIELDS):
            raise ValueError(
                f"cron {expression[:50]!r}: expected five fields: minute, hour, day of month, month, day of week"
            )
        minutes, hours, self._days, self._months, weekdays = map(_values, _FIELDS, texts)
        self._weekdays = frozenset(day % 7 for day in weekdays)
        self._either_day = not texts[2].startswith("*") and not texts[4].startswith("*")
        self._follows_clock = texts[0].startswith("*") or texts[1].startswith("*")
        self._minutes = sorted(60 * hour + minute for hour in hours for minute in minutes)
        self._zone = _zone(timezone)
        longest_month = max(_MONTH_LENGTHS[month - 1] for month in self._months)
        if min(self._days) > longest_month and not self._either_day:
            raise ValueError(f"cron {expression!r}: none of its months has a day {min(self._days)}")
        leap_day = self._months == {_FEBRUARY} and min(self._days) == _MONTH_LENGTHS[1]
        if leap_day and len(self._weekdays) < _WEEK and not self._either_day:
            raise ValueError(f"cron {expression!r}: 29 February is on a given weekday once in 28 years")
        # Consecutive calls are mostly about the same day, and one call needs at most three days.
        self._times_on: Callable[[date], tuple[float, ...]] = lru_cache(maxsize=3)(self._compute_day)

    def after(self, timestamp: float) -> float:
        """The first time later than `timestamp`."""
        for times in self._days_from(timestamp):
            index = bisect_right(times, timestamp)
            if index < len(times):
                return times[index]
        raise AssertionError("a valid crontab line has a next time")  # pragma: no cover

    def count(self, after: float, until: float, limit: float) -> int:
        """The number of times in (`after`, `until`], or `limit` if that is less."""
        total = 0
        for times in self._days_from(after) if until > after else ():
            total += max(0, bisect_right(times, until) - bisect_right(times, after))
            if total >= limit or times[-1] > until:
                break
        return int(min(total, limit))

    def longest_gap(self) -> float:
        """The longest gap between two consecutive times of a leap year, in seconds, including the gap at its end."""
        return max(self._gaps())

    def shortest_span(self, number: int) -> float:
        """The shortest span of `number` consecutive times of a leap year, in seconds."""
        shortest, gaps = math.inf, deque[float](maxlen=number - 1)
        for gap in self._gaps():
            gaps.append(gap)
            if len(gaps) == number - 1:
                shortest = min(shortest, sum(gaps))
            if shortest <= _MINUTE_SECONDS * (number - 1):
                break  # shorter gaps exist at changes of daylight saving only
        return shortest

    def average_gap(self) -> float:
        """The average gap between two consecutive times of a leap year, in seconds; infinite if it has none."""
        start, end = _SAMPLE_YEAR
        count = self.count(start, end, limit=math.inf)
        return (end - start) / count if count else math.inf

    def _gaps(self) -> Iterator[float]:
        start, end = _SAMPLE_YEAR
        last = self.after(start)
        for times in self._days_from(last):
            coming = times[bisect_right(times, last) :]
            if coming:
                yield coming[0] - last
                yield from map(sub, coming[1:], coming)
                last = coming[-1]
                if last >= end:
                    break

    def _days_from(self, timestamp: float) -> Iterator[tuple[float, ...]]:
        """The times of each matching day, from the day before `timestamp` on, since zones can change at midnight."""
        day = datetime.fromtimestamp(timestamp, self._zone).date() - timedelta(days=1)
        for days in range(_HORIZON_DAYS):
            today = day + timedelta(days=days)
            if self._matches(today) and (times := self._times_on(today)):
                yield times

    def _matches(self, day: date) -> bool:
        if day.month not in self._months:
            return False
        by_date, by_weekday = day.day in self._days, day.isoweekday() % 7 in self._weekdays
        return (by_date or by_weekday) if self._either_day else (by_date and by_weekday)

    def _compute_day(self, day: date) -> tuple[float, ...]:
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a local time, converted below
        starts = midnight.replace(tzinfo=self._zone)
        ends = (midnight + timedelta(days=1)).replace(tzinfo=self._zone)
        if starts.utcoffset() == ends.utcoffset():
            epoch = starts.timestamp()
            return tuple(epoch + 60 * minute for minute in self._minutes)
        local_times = (midnight + timedelta(minutes=minute) for minute in self._minutes)
        return tuple(sorted({timestamp for local in local_times for timestamp in self._times_of(local)}))

    def _times_of(self, local: datetime) -> tuple[float, ...]:
        """The times at which the line runs for one local time of a day on which the offset from UTC changes."""
        first = local.replace(tzinfo=self._zone, fold=0).timestamp()
        second = local.replace(tzinfo=self._zone, fold=1).timestamp()
        if first == second:
            return (first,)
        if first < second:
            return (first, second) if self._follows_clock else (first,)
        # PEP 495: of a skipped local time, fold=1 is before the change and fold=0 after it.
        return () if self._follows_clock else (self._change_between(second, first),)

    def _change_between(self, before: float, after: float) -> float:
        """The second at which the offset of the zone changes, between two times with different offsets."""
        low, high = int(before), int(after)
        old = datetime.fromtimestamp(low, self._zone).utcoffset()
        while high - low > 1:
            middle = (low + high) // 2
            if datetime.fromtimestamp(middle, self._zone).utcoffset() == old:
                low = middle
            else:
                high = middle
        return float(high)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"timezone {name!r} is not known; expected an IANA name such as Europe/Berlin") from None


def _values(field: _Field, text: str) -> frozenset[int]:
    """The values of a field."""
    return frozenset(value for item in text.split(",") for value in _item(field, item, text))


def _item(field: _Field, item: str, text: str) -> range:
    """The values of one item: `*`, `3`, `mon`, `1-5`, and a step after a `*` or a range."""
    span, slash, step_text = item.partition("/")
    first_text, dash, last_text = span.partition("-")
    if span == "*":
        first, last = field.low, 6 if field is _WEEKDAY else field.high
    else:
        first = last = _number(field, first_text, text)
        if dash:
            last = _number(field, last_text, text)
            # In `fri-sun` Sunday is 7.
            last = 7 if field is _WEEKDAY and last_text == "sun" and first else last
    if first > last:
        raise ValueError(f"cron {field.name} {text!r}: the range {span!r} is reversed")
    if not slash:
        return range(first, last + 1)
    if span != "*" and not dash:
        raise ValueError(f"cron {field.name} {text!r}: a step needs a range or *, such as {span}-{field.high}/2")
    if not (step_text.isascii() and step_text.isdigit() and int(step_text)):
        raise ValueError(f"cron {field.name} {text!r}: the step {step_text!r} is not a whole number from 1")
    return range(first, last + 1, int(step_text))


def _number(field: _Field, token: str, text: str) -> int:
    if token in field.names:
        return field.low + field.names.index(token)
    if token.isascii() and token.isdigit() and field.low <= int(token) <= field.high:
        return int(token)
    names = f" or {field.names[0]} to {field.names[-1]}" if field.names else ""
    raise ValueError(f"cron {field.name} {text!r}: {token!r} is not a number from {field.low} to {field.high}{names}")
