"""Name resolution by the system's resolver, one thread for each call, so that a hanging one delays no other."""

from __future__ import annotations

import contextlib
import socket
from functools import partial
from typing import Any

from monitor.threads import run_in_thread

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]


async def look_up(host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[AddressInfo]:
    """Resolve `host` to all its addresses. Raises `OSError` and `UnicodeError` as `socket.getaddrinfo` does."""
    with contextlib.suppress(socket.gaierror):
        return _getaddrinfo(host, port, family, socket.AI_NUMERICHOST)  # an address literal needs no query
    return await run_in_thread(f"look-up of {host}", partial(_getaddrinfo, host, port, family, 0))


def _getaddrinfo(host: str, port: int, family: socket.AddressFamily, flags: int) -> list[AddressInfo]:
    found: Any = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=flags)
    return list(found)
