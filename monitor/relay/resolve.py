"""The system's resolver, in a thread of its own for each name: one that hangs holds up no other."""

from __future__ import annotations

import contextlib
import socket
from functools import partial
from typing import Any

from monitor.threads import aside

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]


async def look_up(host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[AddressInfo]:
    """Every address of a name, or the one that `host` is. Raises `OSError` and `UnicodeError` as the system does."""
    with contextlib.suppress(socket.gaierror):
        return _ask(host, port, family, socket.AI_NUMERICHOST)  # at once: nobody is asked
    return await aside(f"look-up of {host}", partial(_ask, host, port, family, 0))


def _ask(host: str, port: int, family: socket.AddressFamily, flags: int) -> list[AddressInfo]:
    found: Any = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=flags)
    return list(found)
