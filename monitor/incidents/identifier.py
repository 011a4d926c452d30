"""The ids of incidents: `1128-lusab-babad`.

Month and day, then 32 bits of a hash of install, location, relay and the time of opening, written as two pronounceable
words of consonants and vowels ("proquints", Wilkerson 2009). Two incidents of an install that open on the same day have
the same id with a probability of 2⁻³². The id can be read out on the telephone, and needs no escapes in a URL.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

PATTERN: Final = re.compile(r"[0-9]{4}(-[bdfghjklmnprstvz][aiou][bdfghjklmnprstvz][aiou][bdfghjklmnprstvz]){2}")
"""What an id looks like."""

_CONSONANTS: Final = "bdfghjklmnprstvz"
_VOWELS: Final = "aiou"


def incident_id(opened_at: datetime, relay: str, *, install: str, location: str) -> str:
    """Return the id of the incident of `relay` that opened at this time."""
    origin = "\0".join((install, location, relay, opened_at.isoformat(timespec="microseconds")))
    digest = hashlib.sha256(origin.encode()).digest()
    words = (_word(int.from_bytes(digest[start : start + 2])) for start in (0, 2))
    return "-".join((f"{opened_at:%m%d}", *words))


def _word(bits: int) -> str:
    """Write 16 bits as consonant, vowel, consonant, vowel, consonant."""
    return (
        _CONSONANTS[bits >> 12]
        + _VOWELS[bits >> 10 & 3]
        + _CONSONANTS[bits >> 6 & 15]
        + _VOWELS[bits >> 4 & 3]
        + _CONSONANTS[bits & 15]
    )
