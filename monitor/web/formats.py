"""Times, durations and figures as the pages show them: the filters of the templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from monitor.durations import duration
from monitor.vocabulary import cause_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


def utc(time: datetime) -> str:
    """Return a time, which is in UTC, with its date."""
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def clock(time: datetime) -> str:
    """Return the time of day, which is in UTC."""
    return f"{time:%H:%M:%S}"


def milliseconds(seconds: float | None) -> str:
    """Return a latency: "38 ms", "4.2 ms", "1.25 s"; a dash for one that is not known."""
    if seconds is None:
        return "–"
    if seconds >= 0.9995:  # noqa: PLR2004 - would be rounded to 1000 ms
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"  # noqa: PLR2004 - ten milliseconds


def percent(ratio: float | None) -> str:
    """Return a share; never "100 %" for one that is lower, and a dash for one that is not known."""
    if ratio is None:
        return "–"
    if ratio in {0, 1}:
        return f"{ratio * 100:.0f} %"
    places = 1 if ratio < 0.99 else 2  # noqa: PLR2004 - 99.0 % and 99.9 % differ
    shown = min(ratio * 100, 100 - 10.0**-places) if ratio < 1 else ratio * 100
    return f"{shown:.{places}f} %"


def budget(left: float | None) -> str:
    """Return what is left of an error budget, a share: "87 %"; never all of it once something was spent."""
    if left is None:
        return "–"
    if left <= 0:
        return "exhausted"
    shown = min(left * 100, 99) if left < 1 else 100
    return f"{shown:.1f} %" if left < 0.1 else f"{shown:.0f} %"  # noqa: PLR2004 - the last tenth


def count(number: float) -> str:
    """Return a number of events, with narrow spaces between thousands."""
    return f"{number:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "cause": cause_name,
    "duration": duration,
    "utc": utc,
    "clock": clock,
    "milliseconds": milliseconds,
    "percent": percent,
    "count": count,
    "budget": budget,
}
"""Name in the templates → function."""
