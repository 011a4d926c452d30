"""The system's resolver, in a thread of its own for each name.

Nobody can stop a look-up that hangs. In a pool, a few of them would hold up those of every other relay, and the end of
the program with them: asyncio and uvloop both wait for theirs.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import Any

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]


async def look_up(host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[AddressInfo]:
    """Every address of a name, or the one that `host` is. Raises `OSError` and `UnicodeError` as the system does."""
    with contextlib.suppress(socket.gaierror):
        return _ask(host, port, family, socket.AI_NUMERICHOST)  # at once: nobody is asked
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[AddressInfo]] = loop.create_future()

    def look() -> None:
        try:
            found, failure = _ask(host, port, family, 0), None
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            found, failure = [], error
        # The loop may be closed by the time the resolver gives up.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_tell, answer, found, failure)

    threading.Thread(target=look, name=f"look-up of {host}", daemon=True).start()
    return await answer


def _ask(host: str, port: int, family: socket.AddressFamily, flags: int) -> list[AddressInfo]:
    found: Any = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=flags)
    return list(found)


def _tell(answer: asyncio.Future[list[AddressInfo]], found: list[AddressInfo], failure: Exception | None) -> None:
    if answer.done():  # nobody waits any more
        return
    if failure is None:
        answer.set_result(found)
    else:
        answer.set_exception(failure)
