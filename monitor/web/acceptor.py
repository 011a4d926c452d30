"""Accept connections, with TLS where it is configured.

Each connection uses the configuration in force when it is accepted, so that a new certificate serves the next client.
"""

from __future__ import annotations

import asyncio
import ipaddress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog

from monitor.web.connection_limits import ClientCounts, origin_of

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from monitor.supervision import Supervision
    from monitor.web.auth import ServerSecurity, WebAuth

_log = structlog.get_logger(__name__)

HANDSHAKE_TIMEOUT: Final = 10.0
"""Timeout of a TLS handshake, in seconds."""

MAX_HANDSHAKES: Final = 100
"""Largest number of concurrent handshakes."""

MAX_HANDSHAKES_PER_ADDRESS: Final = 50
"""Largest number of concurrent handshakes of one client address."""

RETRY_DELAY: Final = 0.5
"""Seconds to wait after a failed accept, usually for want of descriptors."""


class Acceptor:
    """Accepts connections of `listener`. `protocol` creates the HTTP protocol of one, with its security settings."""

    def __init__(
        self,
        listener: socket.socket,
        auth: WebAuth,
        protocol: Callable[[ServerSecurity], asyncio.Protocol],
        supervision: Supervision,
    ) -> None:
        listener.setblocking(False)  # noqa: FBT003 - positional only
        self._listener = listener
        self._auth = auth
        self._protocol = protocol
        self._handshakes: set[asyncio.Task[None]] = set()
        self._counts = ClientCounts()  # of handshakes
        self._accepting = supervision.watch("web", self._accept_connections)

    def close(self) -> None:
        """Stop accepting, and cancel running handshakes."""
        for task in (self._accepting, *self._handshakes):
            task.cancel()
        self._listener.close()

    async def _accept_connections(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self._listener)
            except OSError as error:
                _log.warning("accept failed", why=error.strerror, repeats=True)
                await asyncio.sleep(RETRY_DELAY)
                continue
            origin = origin_of(address[0])
            if self._counts.is_full(origin, MAX_HANDSHAKES, MAX_HANDSHAKES_PER_ADDRESS):
                connection.close()
                continue
            task = asyncio.ensure_future(self._handshake(connection))
            self._handshakes.add(task)
            self._counts.add(origin)  # now: more connections may be accepted before the task begins
            task.add_done_callback(partial(self._handshake_ended, origin))

    def _handshake_ended(self, origin: str, task: asyncio.Task[None]) -> None:
        self._handshakes.discard(task)
        self._counts.remove(origin)

    async def _handshake(self, connection: socket.socket) -> None:
        try:
            connection.setblocking(False)  # noqa: FBT003 - positional only
            security = await self._auth.current()
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._protocol(security),
                connection,
                ssl=security.context,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT if security.context is not None else None,
            )
        except OSError as error:  # ssl.SSLError is one
            _log.debug("TLS handshake with a client failed", why=str(error))
            connection.close()
        except asyncio.CancelledError:
            connection.close()
            raise
        except Exception:  # noqa: BLE001 - a bug must not leave the client waiting
            connection.close()
            _log.exception("connection setup failed by an internal error")


def is_allowed(security: ServerSecurity, transport: asyncio.BaseTransport) -> bool:
    """Return True if the client's certificate has one of the allowed names (DNS, IP, e-mail, URI)."""
    allowed = security.config.tls_server_config.client_allowed_sans
    if allowed is None or security.context is None:
        return True
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    certificate: dict[str, Any] = (tls.getpeercert() if tls is not None else None) or {}
    names = {_normalized(value) for _, value in certificate.get("subjectAltName", ())}
    return not names.isdisjoint(map(_normalized, allowed))


def _normalized(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name
