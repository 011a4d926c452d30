"""The machine's proxy variables do not apply."""

from __future__ import annotations

from tests.sockets import no_proxies

__all__ = ["no_proxies"]
