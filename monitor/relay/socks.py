"""SOCKS4(a) and SOCKS5 (RFC 1928, RFC 1929) over an open connection to the proxy; python-socks does the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from python_socks import ProxyError, ProxyType
from python_socks.async_.asyncio import Proxy as SocksProxy

from monitor.errors import ProbeError
from monitor.vocabulary import Reason, Step

if TYPE_CHECKING:
    import socket

    from monitor.relay.proxy import Proxy

_NO_TIMEOUT: Final = 86400.0
"""Seconds: python-socks sets a timeout of its own, and the caller's deadline must be the only one."""

_SOCKS5_REASONS: Final = {
    1: Reason.UNREACHABLE,  # general failure
    2: Reason.REFUSED,  # not allowed by ruleset
    3: Reason.UNREACHABLE,  # network
    4: Reason.UNREACHABLE,  # host
    5: Reason.REFUSED,
    6: Reason.UNREACHABLE,  # TTL expired
}
"""Reply codes of RFC 1928, section 6; the others say that the request was not understood."""

_CLOSED: Final = "Connection closed unexpectedly"
_ACCESS_DENIED: Final = {
    "No acceptable authentication methods were offered",
    "Username and password authentication failure",
}
"""What python-socks says where it gives no code; all else without a code is a malformed answer."""


class _Connected(SocksProxy):
    """A first hop whose connection stands already: without one, python-socks would make its own."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def connect(self, *_args: Any, **_options: Any) -> socket.socket:
        """Return the connection."""
        return self._sock


async def connect(sock: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    """Ask the proxy at the other end of `sock` for a connection to `host`, a name or an address.

    Raises `ProbeError` for what the proxy answers and `OSError` for what the socket does; then `sock` is closed.
    """
    kind = ProxyType.SOCKS4 if proxy.scheme.startswith("socks4") else ProxyType.SOCKS5
    # `rdns`: a name that comes here is for the proxy to look up.
    hop = SocksProxy(kind, proxy.host, proxy.port, proxy.username, proxy.password, rdns=True, forward=_Connected(sock))
    try:
        await hop.connect(host, port, timeout=_NO_TIMEOUT)
    except ProxyError as error:
        raise _obstacle_of(kind, error) from error
    except UnicodeDecodeError as error:
        raise ProbeError(Step.PROXY, Reason.PROTOCOL, "the proxy names an address that is not text") from error


def _obstacle_of(kind: ProxyType, error: ProxyError) -> ProbeError:
    said, code = str(error), error.error_code
    if said == _CLOSED:
        return ProbeError(Step.PROXY, Reason.RESET, "the proxy closed the connection")
    if code is None:
        reason = Reason.REFUSED if said in _ACCESS_DENIED else Reason.PROTOCOL
    elif kind is ProxyType.SOCKS4:
        reason = Reason.REFUSED
    else:
        reason = _SOCKS5_REASONS.get(code, Reason.PROTOCOL)
    return ProbeError(Step.PROXY, reason, f"the proxy answered: {said[:100]}")
