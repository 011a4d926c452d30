"""The vertical axis of a time series: its range, its marks, and where a value is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.dashboards.units import tick

if TYPE_CHECKING:
    from collections.abc import Sequence

MARK_HEIGHT: Final = 34
"""Pixels between two marks."""

_ROUND: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_ROUND_SECONDS: Final = (15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)


def marks(low: float, high: float, count: float, unit: str | None) -> tuple[list[float], float]:
    """Return round numbers from low to high, about `count` of them, and the distance between two."""
    raw = (high - low) / max(1.0, count)
    size = 10.0 ** math.floor(math.log10(raw))
    if unit == "s" and raw > 10:
        gap = float(next((item for item in _ROUND_SECONDS if item >= raw), raw))
    elif unit == "bytes":
        gap = 2.0 ** math.ceil(math.log2(max(raw, 1.0)))
    else:
        gap = next(factor * size for factor in _ROUND if factor * size >= raw * (1 - 1e-12))
    first = math.ceil(low / gap - 1e-9)
    last = math.floor(high / gap + 1e-6)
    return [round(number * gap, 12) for number in range(first, last + 1)], gap


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear or logarithmic axis with its marks and their labels."""

    low: float
    high: float
    marks: tuple[tuple[float, str], ...]
    log: bool = False

    def share(self, value: float) -> float:
        """Return where a value is: 0 at the bottom, 1 at the top."""
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            return (math.log(max(value, self.low)) - low) / (high - low)
        return (value - self.low) / (self.high - self.low)

    @classmethod
    def of(cls, defaults: dict[str, Any], values: Sequence[float], height: float) -> Axis:
        """Return the axis of a panel's values, with the panel's limits."""
        custom = defaults.get("custom") or {}
        unit, digits = defaults.get("unit"), defaults.get("decimals")
        low, high = _limits(defaults, custom, values)
        scale = custom.get("scaleDistribution") or {}
        if scale.get("type") == "log":
            return _logarithmic(values, low, high, float(scale.get("log") or 10), unit)
        count = max(2.0, (height - 26) / MARK_HEIGHT)
        found, gap = marks(low, high, count, unit)
        least = 0.0 if digits is None or unit in {"percentunit", "s", "ms"} else 10.0**-digits
        gap = max(gap, least)  # below, labels of two marks are equal
        if defaults.get("max") is None:
            high = math.ceil(high / gap - 1e-9) * gap
        if defaults.get("min") is None:
            low = math.floor(low / gap + 1e-9) * gap
        found, gap = marks(low, high, min(count, (high - low) / gap), unit)
        return cls(low, high, tuple((value, tick(value, unit, gap, digits)) for value in found))


def _limits(defaults: dict[str, Any], custom: dict[str, Any], values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if (soft := custom.get("axisSoftMin")) is not None:
        low = min(low, soft)
    if (soft := custom.get("axisSoftMax")) is not None:
        high = max(high, soft)
    low = low if defaults.get("min") is None else defaults["min"]
    high = high if defaults.get("max") is None else defaults["max"]
    if high > low:
        return low, high
    if defaults.get("max") is not None:
        return high - (abs(high) * 0.1 or 1.0), high
    return low, low + (abs(low) * 0.1 or 1.0)


def _logarithmic(values: Sequence[float], low: float, high: float, base: float, unit: str | None) -> Axis:
    low = low if low > 0 else min((value for value in values if value > 0), default=1e-3)
    first, last = math.floor(math.log(low, base)), math.ceil(math.log(max(high, low * base), base))
    powers = [base**power for power in range(first, last + 1)]
    return Axis(powers[0], powers[-1], tuple((value, tick(value, unit, value, None)) for value in powers), log=True)
