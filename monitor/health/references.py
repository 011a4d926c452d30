"""Hosts that have nothing to do with any relay: where none of them can be reached either, the fault is ours."""

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

PATIENCE: Final = 2.0
"""Seconds within which a reference must answer."""


class References:
    """Plain TCP connects to each of `places` (host:port), all at once; nothing is sent over them."""

    def __init__(self, places: Sequence[str]) -> None:
        self.places = tuple(places)
        # A look-up runs in a thread, which nobody can stop: one that hangs is not joined by another.
        self._lookups: dict[str, asyncio.Future[Any]] = {}

    async def unreachable(self) -> str | None:
        """Why none of them can be reached, in words; None as soon as one can, or where there are none. Never raises."""
        tries = [asyncio.ensure_future(self._try(place)) for place in self.places]
        said = []
        try:
            for ended in asyncio.as_completed(tries):
                why = await ended
                if why is None:
                    return None
                said.append(why)
        finally:
            for each in tries:
                each.cancel()
        return f"no reference reachable: {', '.join(sorted(said))}" if said else None

    async def _try(self, place: str) -> str | None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._connect(place)
        except TimeoutError:
            return f"{place}: no answer within {PATIENCE:g} s"
        except OSError as error:
            number = error.errno or 0  # below zero: the resolver's
            return f"{place}: {os.strerror(number) if number > 0 else error.strerror or error}"
        except UnicodeError:
            return f"{place}: not a host name"
        return None

    async def _connect(self, place: str) -> None:
        """Raises `OSError` where no address of the place answers."""
        loop = asyncio.get_running_loop()
        failure: OSError | None = None
        for family, kind, proto, _, address in await self._look_up(place):
            with contextlib.closing(socket.socket(family, kind, proto)) as sock:
                sock.setblocking(False)  # noqa: FBT003 - its only argument
                try:
                    await loop.sock_connect(sock, address)
                except OSError as error:
                    failure = failure or error
                else:
                    return
        raise failure or OSError("it has no address")

    async def _look_up(self, place: str) -> list[Any]:
        running = self._lookups.get(place)
        if running is None or running.done():
            host, port = split_host_port(place)
            running = asyncio.ensure_future(look_up(host, port))
            running.add_done_callback(_heed)
            self._lookups[place] = running
        found: list[Any] = await asyncio.shield(running)
        return found


def _heed(ended: asyncio.Future[Any]) -> None:
    """A look-up that nobody waits for any more may fail without a word."""
    if not ended.cancelled():
        ended.exception()
