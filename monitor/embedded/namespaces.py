"""Channel namespaces of a relay and their history."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

PRIVATE: Final = "$"
"""Prefix of a channel that a client may subscribe to only with a token."""

_UUID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """Channels `name:…` whose suffix matches `pattern`. Each keeps its last `size` publications for `ttl` seconds."""

    name: str
    size: int
    ttl: float
    pattern: str = _UUID

    def admits(self, suffix: str) -> bool:
        """Return True if a channel may have this suffix after the colon."""
        return re.fullmatch(self.pattern, suffix) is not None


def split(channel: str) -> tuple[str, str]:
    """Return the name of a channel's namespace, empty where it has none, and the rest of its name.

    A private channel, whose name starts with `$`, is in the namespace that follows the `$`, as in Centrifugo.
    """
    name, boundary, suffix = channel.removeprefix(PRIVATE).partition(":")
    return (name, suffix) if boundary else ("", channel)


PRODUCTION = (
    Namespace(name="handshake", size=5, ttl=300.0),
    Namespace(name="session", size=20, ttl=300.0),
)
"""The namespaces of the production relays."""
