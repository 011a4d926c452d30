"""Run ids: UUIDv7 (RFC 9562, section 5.7), so that they sort by time and a log line can be dated by its id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

_REST: Final = (1 << 62) - 1


def uuid7(now: float, rng: random.Random) -> str:
    """A UUIDv7 for `now`, in seconds since the epoch, in canonical form."""
    milliseconds = int(now * 1000) & 0xFFFF_FFFF_FFFF
    chance = rng.getrandbits(74)  # 12 of them before the variant's two bits, 62 after
    digits = f"{milliseconds:012x}7{chance >> 62:03x}{0b10 << 62 | chance & _REST:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
