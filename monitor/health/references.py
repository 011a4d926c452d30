"""Reference hosts, independent of any relay. If none is reachable, the fault is in the local network."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any, Final

from monitor.config.fields import split_host_port
from monitor.relay.resolve import look_up

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT: Final = 2.0
"""Seconds until a reference must accept a connection."""


class References:
    """Check `addresses` (host:port) by parallel TCP connects, over which nothing is sent."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = tuple(addresses)
        # A name is resolved in a thread, which cannot be cancelled: at most one for each address.
        self._lookups: dict[str, asyncio.Future[Any]] = {}

    async def unreachable(self) -> str | None:
        """Return why no reference is reachable, or None if one is, or none is configured. Never raises."""
        checks = [asyncio.ensure_future(self._check(address)) for address in self.addresses]
        failures = []
        try:
            for ended in asyncio.as_completed(checks):
                failure = await ended
                if failure is None:
                    return None
                failures.append(failure)
        finally:
            for check in checks:
                check.cancel()
        return f"no reference reachable: {', '.join(sorted(failures))}" if failures else None

    async def _check(self, address: str) -> str | None:
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._connect(address)
        except TimeoutError:
            return f"{address}: no answer within {TIMEOUT:g} s"
        except OSError as error:
            number = error.errno or 0  # negative numbers are the resolver's
            return f"{address}: {os.strerror(number) if number > 0 else error.strerror or error}"
        except UnicodeError:
            return f"{address}: not a host name"
        return None

    async def _connect(self, address: str) -> None:
        """Connect to one of the addresses of a host. Raises `OSError` if none accepts."""
        loop = asyncio.get_running_loop()
        failure: OSError | None = None
        for family, kind, proto, _, sockaddr in await self._look_up(address):
            with contextlib.closing(socket.socket(family, kind, proto)) as sock:
                sock.setblocking(False)  # noqa: FBT003 - positional only
                try:
                    await loop.sock_connect(sock, sockaddr)
                except OSError as error:
                    failure = failure or error
                else:
                    return
        raise failure or OSError("no address found")

    async def _look_up(self, address: str) -> list[Any]:
        running = self._lookups.get(address)
        if running is None or running.done():
            host, port = split_host_port(address)
            running = asyncio.ensure_future(look_up(host, port))
            running.add_done_callback(_retrieve_error)
            self._lookups[address] = running
        found: list[Any] = await asyncio.shield(running)
        return found


def _retrieve_error(ended: asyncio.Future[Any]) -> None:
    """Mark the error of an abandoned look-up as retrieved."""
    if not ended.cancelled():
        ended.exception()
