"""Durations, ratios and sizes as text: `500ms`, `1h30m`, `30d`, as in Prometheus; `99.9%`; `500MB`.

A duration is a float of seconds, a ratio a `Decimal` between 0 and 1: 99.9 % is exactly `Decimal("0.999")`.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Final

DURATION: Final = r"(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?"
"""The grammar of a duration, as a regular expression; it also matches the empty text, which is not a duration."""

RATIO: Final = r"\d+(\.\d+)?%"
"""The grammar of a ratio, as a regular expression."""

SIZE: Final = r"\d+(MB|GB)"
"""The grammar of a size, as a regular expression."""

_SIZE_UNITS: Final = {"MB": 10**6, "GB": 10**9}

# In milliseconds, so that sums are exact. A year is 365 days, as in Prometheus.
_UNITS: Final = {
    "y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1,
}  # fmt: skip
_SHOWN: Final = ("d", "h", "m", "s", "ms")
_DURATION: Final = re.compile(DURATION, re.ASCII)
_PART: Final = re.compile(r"(\d+)(ms|[ywdhms])", re.ASCII)
_RATIO: Final = re.compile(RATIO, re.ASCII)
_MAX_LENGTH: Final = 40


def parse_duration(text: str) -> float:
    """Parse a duration such as `1h30m`, or `0`, into seconds. Raises `ValueError`."""
    if text == "0":
        return 0.0
    if not text or len(text) > _MAX_LENGTH or not _DURATION.fullmatch(text):
        raise ValueError("is not a duration; expected numbers with units, largest first: 500ms, 5s, 1h30m, 30d")
    return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text)) / 1000


def show_duration(seconds: float) -> str:
    """Format seconds as a duration, to the millisecond, with days as the largest unit."""
    left = round(seconds * 1000)
    parts = []
    for unit in _SHOWN:
        number, left = divmod(left, _UNITS[unit])
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"


def parse_size(text: str) -> int:
    """Parse a size such as `500MB` into bytes. Raises `ValueError`."""
    if len(text) > _MAX_LENGTH or not re.fullmatch(SIZE, text, re.ASCII):
        raise ValueError("is not a size; expected a number with its unit: 500MB, 2GB")
    return int(text[:-2]) * _SIZE_UNITS[text[-2:]]


def show_size(size: int) -> str:
    """Format bytes as a size, in the largest unit that is exact."""
    unit = "MB" if size % _SIZE_UNITS["GB"] else "GB"
    return f"{size // _SIZE_UNITS[unit]}{unit}"


def parse_ratio(text: str) -> Decimal:
    """Parse a percentage such as `99.9%` into a ratio. Raises `ValueError`."""
    if len(text) > _MAX_LENGTH or not _RATIO.fullmatch(text):
        raise ValueError("is not a ratio; expected a percentage such as 99.9%")
    try:
        return Decimal(text[:-1]).scaleb(-2).normalize()
    except InvalidOperation:  # pragma: no cover - Decimal accepts all that the grammar does
        raise ValueError("is not a ratio; expected a percentage such as 99.9%") from None


def show_ratio(ratio: Decimal) -> str:
    """Format a ratio as a percentage: `99.9%`."""
    return f"{ratio.scaleb(2).normalize():f}%"
