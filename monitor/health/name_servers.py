"""Whether the name servers of this machine answer at all, asked when a relay's name cannot be resolved in time.

The system's resolver does not tell a name server that is silent from one that reports a failure of the name's own
servers; the first is our network's fault, the second the relay's.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

from monitor.threads import run_in_thread

RESOLV_CONF: Final = Path("/etc/resolv.conf")
PORT: Final = 53

TIMEOUT: Final = 2.0
"""Seconds until a name server must answer."""

_QUESTION: Final = bytes.fromhex("0100 0001 0000 0000 0000 00 0002 0001")
"""The end of a query (RFC 1035, section 4.1) for the name servers of the root, which each one knows."""


async def silent_name_servers() -> str | None:
    """Return why no name server answers, or None if one does, or none is known. Never raises."""
    try:
        addresses = await run_in_thread("read of the name servers", _name_servers)
    except (OSError, UnicodeDecodeError):
        return None
    if not addresses or any(await asyncio.gather(*(_replies(address) for address in addresses))):
        return None
    return f"no name server answers: {', '.join(addresses)}"


def _name_servers() -> list[str]:
    lines = [line.split() for line in RESOLV_CONF.read_text(encoding="utf-8").splitlines()]
    return [words[1] for words in lines if words[:1] == ["nameserver"] and len(words) > 1]


async def _replies(address: str) -> bool:
    query = _Query()
    with suppress(OSError, TimeoutError, ValueError):
        async with asyncio.timeout(TIMEOUT):
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: query, remote_addr=(address, PORT)
            )
            try:
                return await query.replied
            finally:
                transport.close()
    return False


class _Query(asyncio.DatagramProtocol):
    """One query; any reply is good."""

    def __init__(self) -> None:
        self.replied: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the query."""
        cast("asyncio.DatagramTransport", transport).sendto(secrets.token_bytes(2) + _QUESTION)

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Note the reply."""
        del data, addr
        self._finish(replied=True)

    def error_received(self, exc: Exception) -> None:
        """Note that nobody listens there."""
        del exc
        self._finish(replied=False)

    def _finish(self, *, replied: bool) -> None:
        if not self.replied.done():
            self.replied.set_result(replied)
