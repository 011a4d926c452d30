"""Times and lengths of time as pages, incidents and the terminal show them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400


def utc_time(at: float) -> str:
    """Return a Unix time as date and time in UTC: "2026-11-28 14:00:00"."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"


def duration(seconds: float) -> str:
    """Return a length of time in its two largest units: "2 min 04 s". `ageText` in page.js does the same."""
    whole_seconds = max(0, int(seconds))
    if whole_seconds < _MINUTE:
        return f"{whole_seconds} s"
    if whole_seconds < _HOUR:
        return f"{whole_seconds // _MINUTE} min {whole_seconds % _MINUTE:02} s"
    if whole_seconds < _DAY:
        return f"{whole_seconds // _HOUR} h {whole_seconds % _HOUR // _MINUTE:02} min"
    hours = whole_seconds % _DAY // _HOUR
    return f"{whole_seconds // _DAY} d" + (f" {hours} h" if hours else "")
