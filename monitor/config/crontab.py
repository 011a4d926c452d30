"""Crontab lines as moments in time.

The five fields mean what crontab(5) says: lists, ranges, steps after a range or `*`, English three-letter
names, 0 and 7 for Sunday; a day matches when either day field does, if both are restricted (do not begin
with `*`), else when both do.

Daylight saving follows Debian's cron(8). A line whose hour and minute are both fixed runs once for each of its local
times: at the end of the gap if the clocks skip that time, at its first occurrence if they repeat it. A line whose hour
or minute begins with `*` follows the clock: nothing in a gap, and both times through a repeated hour.

cronsim has the same aim, but gives wrong moments where clocks change by half an hour or at midnight, and walks from
moment to moment: a year of `*/5` takes it 1.5 s, and a day's moments are computed at once here, in 18 ms for the year.
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
    names: tuple[str, ...] = ()  # the first stands for `low`


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
# The rarest day a line can name, the first of a month on a given weekday, is at most twelve years away.
_HORIZON_DAYS: Final = 366 * 13
# A leap year whose time zone rules are settled: the answer must not depend on the day it is asked.
_SAMPLE_YEAR: Final = (datetime(2024, 1, 1, tzinfo=UTC).timestamp(), datetime(2025, 1, 1, tzinfo=UTC).timestamp())


class Crontab:
    """The moments a crontab line names in a time zone, in seconds since the epoch.

    Raises `ValueError`, saying which field is wrong and what it may be, for a line that is no crontab, names a day
    that never comes, or a time zone that the machine does not know.
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
        # Consecutive questions are about the same day; three days are what one question may touch.
        self._moments_on: Callable[[date], tuple[float, ...]] = lru_cache(maxsize=3)(self._compute_day)

    def after(self, moment: float) -> float:
        """The first moment later than `moment`."""
        for moments in self._days_from(moment):
            index = bisect_right(moments, moment)
            if index < len(moments):
                return moments[index]
        raise AssertionError("a valid crontab line has a next moment")  # pragma: no cover

    def count(self, after: float, until: float, limit: float) -> int:
        """How many moments lie in (`after`, `until`]; stops counting at `limit`."""
        total = 0
        for moments in self._days_from(after) if until > after else ():
            total += max(0, bisect_right(moments, until) - bisect_right(moments, after))
            if total >= limit or moments[-1] > until:
                break
        return int(min(total, limit))

    def longest_gap(self) -> float:
        """The longest time between two consecutive moments of a leap year, in seconds, the last gap whole."""
        return max(self._gaps())

    def shortest_gap(self) -> float:
        """The shortest time between two consecutive moments of a leap year, in seconds, the last gap whole."""
        return self.shortest_span(2)

    def shortest_span(self, moments: int) -> float:
        """The shortest time from the first to the last of so many consecutive moments of a leap year, in seconds."""
        shortest, gaps = math.inf, deque[float](maxlen=moments - 1)
        for gap in self._gaps():
            gaps.append(gap)
            if len(gaps) == moments - 1:
                shortest = min(shortest, sum(gaps))
            if shortest <= _MINUTE_SECONDS * (moments - 1):
                break  # moments that lie closer exist around changes of the clocks only
        return shortest

    def average_gap(self) -> float:
        """The average time between two consecutive moments of a leap year, in seconds; infinite without one."""
        start, end = _SAMPLE_YEAR
        count = self.count(start, end, limit=math.inf)
        return (end - start) / count if count else math.inf

    def _gaps(self) -> Iterator[float]:
        start, end = _SAMPLE_YEAR
        last = self.after(start)
        for moments in self._days_from(last):
            coming = moments[bisect_right(moments, last) :]
            if coming:
                yield coming[0] - last
                yield from map(sub, coming[1:], coming)
                last = coming[-1]
                if last >= end:
                    break

    def _days_from(self, moment: float) -> Iterator[tuple[float, ...]]:
        """The moments of each matching day, in order, from the day before `moment` on: zones may step at midnight."""
        day = datetime.fromtimestamp(moment, self._zone).date() - timedelta(days=1)
        for ahead in range(_HORIZON_DAYS):
            today = day + timedelta(days=ahead)
            if self._matches(today) and (moments := self._moments_on(today)):
                yield moments

    def _matches(self, day: date) -> bool:
        if day.month not in self._months:
            return False
        by_date, by_weekday = day.day in self._days, day.isoweekday() % 7 in self._weekdays
        return (by_date or by_weekday) if self._either_day else (by_date and by_weekday)

    def _compute_day(self, day: date) -> tuple[float, ...]:
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - local times, placed in the zone below
        starts = midnight.replace(tzinfo=self._zone)
        ends = (midnight + timedelta(days=1)).replace(tzinfo=self._zone)
        if starts.utcoffset() == ends.utcoffset():
            epoch = starts.timestamp()
            return tuple(epoch + 60 * minute for minute in self._minutes)
        local_times = (midnight + timedelta(minutes=minute) for minute in self._minutes)
        return tuple(sorted({moment for local in local_times for moment in self._place(local)}))

    def _place(self, local: datetime) -> tuple[float, ...]:
        """The moments at which this line runs for one local time on a day whose offset from UTC changes."""
        first = local.replace(tzinfo=self._zone, fold=0).timestamp()
        second = local.replace(tzinfo=self._zone, fold=1).timestamp()
        if first == second:
            return (first,)
        if first < second:
            return (first, second) if self._follows_clock else (first,)
        # PEP 495: of a skipped time, fold=1 lies before the change and fold=0 after it.
        return () if self._follows_clock else (self._change_between(second, first),)

    def _change_between(self, before: float, after: float) -> float:
        """The second at which the zone's offset changes, between two moments of different offset."""
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
        raise ValueError(f"timezone {name!r} is unknown here; expected an IANA name such as Europe/Berlin") from None


def _values(field: _Field, text: str) -> frozenset[int]:
    """Every value that a field's list names."""
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
            # `fri-sun`: Sunday by name also ends a week.
            last = 7 if field is _WEEKDAY and last_text == "sun" and first else last
    if first > last:
        raise ValueError(f"cron {field.name} {text!r}: the range {span!r} runs backwards")
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
