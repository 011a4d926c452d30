"""Which channels a relay has, and what it keeps of each."""

from __future__ import annotations

import re
from dataclasses import dataclass

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """The channels `name:…` whose rest matches `pattern`; of each, the last `size` publications of `ttl` seconds."""

    name: str
    size: int
    ttl: float
    pattern: str = _UUID

    def admits(self, rest: str) -> bool:
        """Whether a channel of this namespace may have this name after the colon."""
        return re.fullmatch(self.pattern, rest) is not None


PRODUCTION = (
    Namespace(name="handshake", size=5, ttl=300.0),
    Namespace(name="session", size=20, ttl=300.0),
)
"""The namespaces of the production relays."""
