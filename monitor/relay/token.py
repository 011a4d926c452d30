"""The life of a connection token: the claims of a JWT (RFC 7519), read without verification.

The relay verifies the token. These claims tell only whether the token that this monitor sent had expired: then the
relay is right to refuse it.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

_PARTS: Final = 3  # header, claims, signature
_LATEST: Final = 253402300799.0  # the end of the year 9999: later times cannot be shown


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLife:
    """When a token expires and when it was issued, in seconds since the epoch; None for what it does not say."""

    expires: float | None = None
    issued: float | None = None

    def expired(self, now: float) -> bool:
        """Return True if the token had expired at `now`."""
        return self.expires is not None and self.expires <= now


def token_life(token: str | None) -> TokenLife:
    """Return the life of a token; nothing is known of one that is no JWT. Never raises."""
    parts = (token or "").split(".")
    if len(parts) != _PARTS:
        return TokenLife()
    try:
        claims: Any = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return TokenLife()
    if not isinstance(claims, dict):
        return TokenLife()
    return TokenLife(expires=_time(claims.get("exp")), issued=_time(claims.get("iat")))


def _time(value: object) -> float | None:
    """Return a NumericDate (section 2) as a float, or None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if isfinite(seconds) and 0 < seconds <= _LATEST else None
