"""Calendar months in UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_MONTH: Final = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True)
class Period:
    """A month, or what has passed of it. Both are aware datetimes in UTC; `end` is not part of it."""

    name: str
    start: datetime
    end: datetime
    complete: bool

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end - self.start).total_seconds()


def period_of(month: str, now: datetime) -> Period:
    """Return the month `YYYY-MM`, until `now` if it is not over. Raises `ValueError`, with the reason."""
    match = _MONTH.fullmatch(month)
    if match is None:
        raise ValueError("is not a month; expected YYYY-MM")
    year, number = int(match[1]), int(match[2])
    if not 1970 <= year < 9999:  # noqa: PLR2004 - what timestamps can say
        raise ValueError("is out of bounds")
    start = datetime(year, number, 1, tzinfo=UTC)
    following = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)
    if start >= now:
        raise ValueError("has not begun")
    return Period(month, start, min(following, now), complete=following <= now)


def last_month(now: datetime) -> str:
    """Return the month before that of `now`, as `YYYY-MM`."""
    year, number = (now.year - 1, 12) if now.month == 1 else (now.year, now.month - 1)
    return f"{year}-{number:02}"
