"""When a token must be renewed, by what the relay says of its life."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from monitor.wire.commands import Json

MARGIN: Final = 10.0
"""Seconds before a token runs out at which a new one is asked for (half its life where that is shorter)."""

SHORTEST, LONGEST = 2.0, 30 * 86_400.0
"""Seconds of life that are believed: whatever a relay says, it is not asked again at once."""


def renewal(body: dict[str, Json], now: float) -> float | None:
    """When to ask for a new token; None where it does not expire. Raises `ValueError` or `TypeError` for no number."""
    if not body.get("expires"):
        return None
    ttl = float(body.get("ttl", 0))
    if math.isnan(ttl):
        raise ValueError("ttl is no number")
    ttl = min(max(ttl, SHORTEST), LONGEST)
    return now + max(ttl - MARGIN, ttl / 2)
