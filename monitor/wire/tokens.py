"""Token renewal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from monitor.wire.commands import Json

RENEWAL_MARGIN: Final = 10.0
"""Seconds before expiry at which a token is renewed; half its lifetime if that is shorter."""

MIN_TTL, MAX_TTL = 2.0, 30 * 86_400.0
"""Bounds of a lifetime as reported by a relay, in seconds."""


def renewal(body: dict[str, Json], now: float) -> float | None:
    """Return the time of the renewal, None for a token that does not expire.

    Raises `ValueError` or `TypeError` for an invalid lifetime.
    """
    if not body.get("expires"):
        return None
    ttl = float(body.get("ttl", 0))
    if math.isnan(ttl):
        raise ValueError("ttl is not a number")
    ttl = min(max(ttl, MIN_TTL), MAX_TTL)
    return now + max(ttl - RENEWAL_MARGIN, ttl / 2)
