"""Values as texts, in Grafana's units and with its automatic decimals."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TIMES: Final = (
    (1e-6, 1e9, "ns"), (1e-3, 1e6, "µs"), (1.0, 1e3, "ms"), (60.0, 1.0, "s"), (3600.0, 1 / 60, "mins"),
    (86_400.0, 1 / 3600, "hours"), (604_800.0, 1 / 86_400, "days"), (31_536_000.0, 1 / 604_800, "weeks"),
    (math.inf, 1 / 31_556_926, "years"),
)  # fmt: skip
"""Below a number of seconds: the factor and the unit."""

_SPANS: Final = (
    ("year", 31_536_000), ("month", 2_628_000), ("week", 604_800), ("day", 86_400), ("hour", 3600), ("minute", 60),
    ("second", 1),
)  # fmt: skip
_AGES: Final = ((45, 1, "second"), (2700, 60, "minute"), (79_200, 3600, "hour"), (2_160_000, 86_400, "day"))
_PREFIXES: Final = {
    "short": (1000, ("", " K", " Mil", " Bil", " Tri")),
    "bytes": (1024, (" B", " KiB", " MiB", " GiB", " TiB")),
    "decbytes": (1000, (" B", " kB", " MB", " GB", " TB")),
}
_RATES: Final = {"ops": "ops/s", "reqps": "req/s", "cps": "c/s", "mps": "msg/s", "cpm": "c/min", "opm": "ops/min"}


def decimals(value: float) -> int:
    """Return the decimals that Grafana shows of a value unless a panel says how many."""
    if value == 0 or math.isinf(value) or value == int(value):
        return 0
    power = math.floor(math.log10(abs(value)))
    shown = 1 - power
    return max(0, shown + 1 if value / 10.0**-shown > 2.25 else shown)


def fixed(value: float, digits: int | None = None) -> str:
    """Return a number with these decimals, or with automatic ones, rounded as JavaScript does."""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    digits = decimals(value) if digits is None else digits
    scale = 10.0**digits
    return f"{math.floor(value * scale + 0.5) / scale:.{digits}f}"


def formatted(value: float | None, unit: str | None, digits: int | None = None, now: float = 0.0) -> str:
    """Return a value in a unit; `now` is in seconds, for the unit that says how long ago a time was."""
    if value is None:
        return ""
    if math.isinf(value) or not unit:
        return fixed(value, digits)
    if unit in _OWN:
        return _OWN[unit](value, digits)
    if unit == "dateTimeFromNow":
        return _age(now - value / 1000)
    if unit.startswith("prefix:"):
        return unit.removeprefix("prefix:") + fixed(value, digits)
    suffix = unit.removeprefix("suffix:") if unit.startswith("suffix:") else f" {_RATES.get(unit, unit)}"
    return fixed(value, digits) + suffix


def tick(value: float, unit: str | None, gap: float, digits: int | None) -> str:
    """Return the label of an axis whose labels are `gap` apart."""
    if digits is None and unit not in _PREFIXES:
        scale = 100.0 if unit == "percentunit" else 1.0
        if unit == "s":
            scale = next(factor for below, factor, _ in _TIMES if abs(value) < below or factor == 1.0) if value else 1.0
        digits = 0 if value == 0 else min(6, max(0, -math.floor(math.log10(gap * scale) + 1e-9)))
    return formatted(value, unit, digits)


def _time(value: float, digits: int | None) -> str:
    if value == 0:
        return "0 s"
    factor, name = next((factor, name) for below, factor, name in _TIMES if abs(value) < below)
    return f"{fixed(value * factor, digits)} {name}"


def _span(value: float, more: int) -> str:
    """Return a duration in words; `more` smaller units follow the largest."""
    if value < 0:
        return f"{_span(-value, more)} ago"
    parts: list[str] = []
    left = value
    for index, (name, length) in enumerate(_SPANS):
        count = int(left // length)
        if count or parts or index == len(_SPANS) - 1:
            parts.append(f"{count} {name}{'' if count == 1 else 's'}")
            left -= count * length
        if len(parts) > more:
            break
    return ", ".join(parts)


def _age(age: float) -> str:
    length, name = next(((length, name) for below, length, name in _AGES if abs(age) < below), (2_592_000, "month"))
    count = max(1, round(abs(age) / length))
    if name == "second":
        words = "a few seconds"
    elif count == 1:
        words = f"{'an' if name == 'hour' else 'a'} {name}"
    else:
        words = f"{count} {name}s"
    return f"in {words}" if age < 0 else f"{words} ago"


def _prefixed(value: float, digits: int | None, factor: int, names: tuple[str, ...]) -> str:
    index = 0
    while abs(value) >= factor and index < len(names) - 1:
        value /= factor
        index += 1
    return fixed(value, digits) + names[index]


def _date(value: float, _: int | None) -> str:
    return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


_OWN: Final[Mapping[str, Callable[[float, int | None], str]]] = {
    "none": fixed,
    "percentunit": lambda value, digits: f"{fixed(value * 100, digits)}%",
    "percent": lambda value, digits: f"{fixed(value, digits)}%",
    "s": _time,
    "ms": lambda value, digits: _time(value / 1000, digits),
    "dtdurations": lambda value, digits: _span(value, digits or 0),
    "dthms": lambda value, _: f"{value // 3600:02.0f}:{value % 3600 // 60:02.0f}:{value % 60:02.0f}",
    "dateTimeAsIso": _date,
    "dateTimeAsSystem": _date,
    "short": lambda value, digits: _prefixed(value, digits, *_PREFIXES["short"]),
    "bytes": lambda value, digits: _prefixed(value, digits, *_PREFIXES["bytes"]),
    "decbytes": lambda value, digits: _prefixed(value, digits, *_PREFIXES["decbytes"]),
}
"""The units that have a format of their own."""
