"""The door: connections are taken one by one, each on the terms of its moment, and given TLS where these say so.

So a new certificate serves the next client, and whoever never comes to speak of HTTP holds a place for seconds only.
"""

from __future__ import annotations

import asyncio
import ipaddress
from typing import TYPE_CHECKING, Any, Final

import structlog

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from monitor.web.auth import Access, Terms

_log = structlog.get_logger(__name__)

HANDSHAKE: Final = 10.0
"""Seconds a client has for the TLS handshake."""

MAX_WAITING: Final = 100
"""Connections on their way in at the most."""

BREATH: Final = 0.5
"""Seconds to wait where the system has no more descriptors to give."""


class Door:
    """Takes connections from `listener`; `protocol` makes what speaks HTTP on one, for the terms it came in on."""

    def __init__(self, listener: socket.socket, access: Access, protocol: Callable[[Terms], asyncio.Protocol]) -> None:
        listener.setblocking(False)  # noqa: FBT003 - as sockets spell it
        self._listener = listener
        self._access = access
        self._protocol = protocol
        self._waiting: set[asyncio.Task[None]] = set()
        self._taking = asyncio.ensure_future(self._take())

    def close(self) -> None:
        """Take no more, and turn away who waits."""
        for task in (self._taking, *self._waiting):
            task.cancel()
        self._listener.close()

    async def _take(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                taken, _ = await loop.sock_accept(self._listener)
            except OSError as error:
                _log.warning("no connection could be taken", why=error.strerror)
                await asyncio.sleep(BREATH)
                continue
            if len(self._waiting) >= MAX_WAITING:
                taken.close()
                continue
            task = asyncio.ensure_future(self._let_in(taken))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)

    async def _let_in(self, taken: socket.socket) -> None:
        try:
            taken.setblocking(False)  # noqa: FBT003 - as sockets spell it
            terms = await self._access.current()
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._protocol(terms),
                taken,
                ssl=terms.context,
                ssl_handshake_timeout=HANDSHAKE if terms.context is not None else None,
            )
        except OSError as error:  # ssl.SSLError is one
            _log.debug("no TLS with a client", why=str(error))
            taken.close()
        except asyncio.CancelledError:
            taken.close()
            raise
        except Exception:  # noqa: BLE001 - a fault of ours, and no client is left waiting for it
            taken.close()
            _log.exception("a client could not be let in")


def is_allowed(terms: Terms, transport: asyncio.BaseTransport) -> bool:
    """Whether a client's certificate has one of the names that the terms ask for: DNS, IP, e-mail, URI."""
    allowed = terms.config.tls_server_config.client_allowed_sans
    if allowed is None or terms.context is None:
        return True
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    certificate: dict[str, Any] = (tls.getpeercert() if tls is not None else None) or {}
    names = {_plain(value) for _, value in certificate.get("subjectAltName", ())}
    return not names.isdisjoint(map(_plain, allowed))


def _plain(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name
