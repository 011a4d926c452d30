"""Latencies as an HDR histogram: three significant digits, merged without loss, small on disk.

In memory it is sparse, since a test has many sketches (one a window) and few different latencies; the dense histogram
of the HdrHistogram library, 190 kB each, is made only to encode it. Minimum, maximum and mean are exact.
"""

from __future__ import annotations

from collections import Counter
from math import ceil
from typing import Final

from hdrh.histogram import HdrHistogram

MAX_MICROSECONDS: Final = 3_600_000_000
"""The longest latency recorded: an hour. Longer ones count as this one."""

SIGNIFICANT_DIGITS: Final = 3
"""Digits that are kept: the error is below 0.1 %."""

_SUB_BUCKET_BITS: Final = 11  # 2,048 steps in an octave's first bucket, as HdrHistogram has it for three digits


def _width(value: int) -> int:
    """Return how many microseconds share the bucket of `value`."""
    return 1 << max(0, value.bit_length() - _SUB_BUCKET_BITS)


class Sketch:
    """A histogram of durations in seconds."""

    __slots__ = ("counts", "maximum", "minimum", "total")

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()  # by the lowest value of the bucket, in microseconds
        self.total = 0.0
        self.minimum = float("inf")
        self.maximum = 0.0

    @property
    def count(self) -> int:
        """Number of durations."""
        return self.counts.total()

    @property
    def mean(self) -> float:
        """Mean; 0 if empty."""
        return self.total / self.count if self.counts else 0.0

    def record(self, seconds: float) -> None:
        """Add one duration."""
        value = min(MAX_MICROSECONDS, max(1, round(seconds * 1e6)))
        self.counts[value & -_width(value)] += 1
        self.total += seconds
        self.minimum = min(self.minimum, seconds)
        self.maximum = max(self.maximum, seconds)

    def add(self, other: Sketch) -> None:
        """Add all durations of another sketch."""
        self.counts.update(other.counts)
        self.total += other.total
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)

    def quantile(self, share: float) -> float:
        """Return the quantile `share` (0 to 1), within the recorded minimum and maximum; 0 if empty."""
        return self.ranked(ceil(share * self.count - 1e-9))

    def ranked(self, rank: int) -> float:
        """Return the `rank`-th smallest duration, counted from 1; 0 if empty."""
        seen = 0
        for value, count in sorted(self.counts.items()):
            seen += count
            if seen >= rank:
                highest = (value + _width(value) - 1) / 1e6
                return min(self.maximum, max(self.minimum, highest))
        return self.maximum

    def within(self, seconds: float) -> int:
        """Return how many durations do not exceed `seconds`, to the histogram's precision."""
        return sum(count for value, count in self.counts.items() if value <= seconds * 1e6)

    def encode(self) -> str:
        """Encode as HdrHistogram V2, compressed, in base64."""
        dense = HdrHistogram(1, MAX_MICROSECONDS, SIGNIFICANT_DIGITS)
        for value, count in self.counts.items():
            dense.record_value(value, count)
        return str(dense.encode(), "ascii")

    @classmethod
    def decode(cls, text: str, *, minimum: float, maximum: float, mean: float) -> Sketch:
        """Decode what `encode` returned; the exact figures are stored beside it. Raises `ValueError`."""
        sketch = cls()
        try:
            dense = HdrHistogram.decode(text)
            # The library's iterator computes a dozen figures for each of 23,552 counters.
            for index, count in enumerate(dense.counts):
                if count:
                    value = dense.get_value_from_index(index)
                    sketch.counts[value & -_width(value)] += count
        except Exception as error:
            # The library raises struct.error, zlib.error, IndexError, its own.
            raise ValueError(f"not an HDR histogram in base64: {error}") from error
        if sketch.counts:
            sketch.minimum, sketch.maximum, sketch.total = minimum, maximum, mean * sketch.count
        return sketch
