"""Latencies as an HDR histogram: three significant digits, mergeable without any loss, and small on disk.

Kept sparse, value by value, since a test has many sketches (one a snapshot) and few different latencies; the dense
form of the HdrHistogram library, 190 kB each, is made only to write it down. Beside it stand the exact least, greatest
and sum, so that a minimum, a maximum and a mean are true to the last digit.
"""

from __future__ import annotations

from collections import Counter
from math import ceil
from typing import Final

from hdrh.histogram import HdrHistogram

HIGHEST: Final = 3_600_000_000
"""Microseconds past which a latency counts as this one: an hour."""

DIGITS: Final = 3
"""Significant digits that are kept: a value read back is off by less than one in a thousand."""

_SUB_BUCKET_BITS: Final = 11  # 2,048 steps in an octave's first bucket, as HdrHistogram has it for three digits


def _width(value: int) -> int:
    """Values from `value` rounded down on, in microseconds, that count as one."""
    return 1 << max(0, value.bit_length() - _SUB_BUCKET_BITS)


class Sketch:
    """Durations, in seconds."""

    __slots__ = ("counts", "greatest", "least", "total")

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()  # by the lowest of the values that count as one, in microseconds
        self.total = 0.0
        self.least = float("inf")
        self.greatest = 0.0

    @property
    def count(self) -> int:
        """How many there are."""
        return self.counts.total()

    @property
    def mean(self) -> float:
        """Their mean; 0 where there is none."""
        return self.total / self.count if self.counts else 0.0

    def record(self, seconds: float) -> None:
        """Add one."""
        value = min(HIGHEST, max(1, round(seconds * 1e6)))
        self.counts[value & -_width(value)] += 1
        self.total += seconds
        self.least = min(self.least, seconds)
        self.greatest = max(self.greatest, seconds)

    def add(self, other: Sketch) -> None:
        """Add all of another's."""
        self.counts.update(other.counts)
        self.total += other.total
        self.least = min(self.least, other.least)
        self.greatest = max(self.greatest, other.greatest)

    def quantile(self, share: float) -> float:
        """The value that `share` (0 to 1) of them do not exceed, in seconds; never outside of what was recorded."""
        return self.ranked(ceil(share * self.count - 1e-9))

    def ranked(self, rank: int) -> float:
        """The `rank`-th smallest, from 1 on, in seconds; 0 where there is none."""
        seen = 0
        for value, count in sorted(self.counts.items()):
            seen += count
            if seen >= rank:
                highest = (value + _width(value) - 1) / 1e6
                return min(self.greatest, max(self.least, highest))
        return self.greatest

    def within(self, seconds: float) -> int:
        """How many took no longer, to the histogram's precision."""
        return sum(count for value, count in self.counts.items() if value <= seconds * 1e6)

    def encode(self) -> str:
        """The histogram in HdrHistogram's own V2 form, compressed and in base64."""
        dense = HdrHistogram(1, HIGHEST, DIGITS)
        for value, count in self.counts.items():
            dense.record_value(value, count)
        return str(dense.encode(), "ascii")

    @classmethod
    def decode(cls, text: str, *, least: float, greatest: float, mean: float) -> Sketch:
        """What `encode` gave, with the exact figures that stood beside it. Raises `ValueError` for what is none."""
        made = cls()
        try:
            dense = HdrHistogram.decode(text)
            # Not by the library's iterator, which works out a dozen figures for each of 23,552 counters.
            for index, count in enumerate(dense.counts):
                if count:
                    value = dense.get_value_from_index(index)
                    made.counts[value & -_width(value)] += count
        except Exception as error:
            # The library raises whatever it comes across: struct.error, zlib.error, IndexError, its own.
            raise ValueError(f"is no HDR histogram in base64: {error}") from error
        if made.counts:
            made.least, made.greatest, made.total = least, greatest, mean * made.count
        return made
