"""Run ids: UUIDv7 (RFC 9562, section 5.7), so that they sort by time and a log line can be dated by its id."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random


def uuid7(now: float, rng: random.Random) -> str:
    """A UUIDv7 for `now`, in seconds since the epoch, in canonical form."""
    milliseconds = int(now * 1000) & 0xFFFF_FFFF_FFFF
    digits = (
        f"{milliseconds << 80 | 0x7 << 76 | 0b10 << 62 | rng.getrandbits(74) >> 62 << 64 | rng.getrandbits(62):032x}"
    )
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
