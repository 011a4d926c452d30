"""SOCKS4(a) and SOCKS5 (RFC 1928, RFC 1929) over an open connection to the proxy, by python-socks."""

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
"""Effectively disables python-socks' own timeout, so that the caller's deadline applies. Seconds."""

_SOCKS5_REASONS: Final = {
    1: Reason.UNREACHABLE,  # general failure
    3: Reason.UNREACHABLE,  # network
    4: Reason.UNREACHABLE,  # host
    5: Reason.REFUSED,
    6: Reason.UNREACHABLE,  # TTL expired
}
"""Reply codes of RFC 1928, section 6, by which a proxy says that it cannot reach the relay."""

_FORBIDDEN: Final = 2  # not allowed by the proxy's ruleset
_SOCKS4_FAILED: Final = 91  # rejected or failed

_CLOSED: Final = "Connection closed unexpectedly"
_ACCESS_DENIED: Final = {
    "No acceptable authentication methods were offered",
    "Username and password authentication failure",
}
"""Messages of python-socks' errors without a code. Other errors without a code are malformed answers."""


class _Connected(SocksProxy):
    """A first hop that is connected already, since python-socks would otherwise open its own connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def connect(self, *_args: Any, **_options: Any) -> socket.socket:
        """Return the connection."""
        return self._sock


async def connect(sock: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    """Request a connection to `host` (name or address) from the proxy connected to `sock`.

    Raises `ProbeError` for an answer of the proxy and `OSError` for a socket error; `sock` is then closed.
    """
    kind = ProxyType.SOCKS4 if proxy.scheme.startswith("socks4") else ProxyType.SOCKS5
    # `rdns`: the proxy resolves a name passed here.
    hop = SocksProxy(kind, proxy.host, proxy.port, proxy.username, proxy.password, rdns=True, forward=_Connected(sock))
    try:
        await hop.connect(host, port, timeout=_NO_TIMEOUT)
    except ProxyError as error:
        raise _probe_error(proxy, kind, error) from error
    except UnicodeDecodeError as error:
        raise proxy.error(Reason.PROTOCOL, "it names an address that is not text") from error


def _probe_error(proxy: Proxy, kind: ProxyType, error: ProxyError) -> ProbeError:
    text, code = str(error)[:100], error.error_code
    said = f"it answered: {text}"
    if str(error) == _CLOSED:
        # Some close for a relay that they cannot reach, OpenSSH among them.
        return ProbeError(Step.PROXY, Reason.RESET, "the proxy closed the connection")
    if code is None:
        return proxy.error(Reason.REFUSED if text in _ACCESS_DENIED else Reason.PROTOCOL, said)
    if kind is ProxyType.SOCKS4:
        if code == _SOCKS4_FAILED:
            return ProbeError(Step.PROXY, Reason.REFUSED, f"the proxy answered: {text}", status=code)
        return proxy.error(Reason.REFUSED, said, status=code)
    if code in _SOCKS5_REASONS:
        return ProbeError(Step.PROXY, _SOCKS5_REASONS[code], f"the proxy answered: {text}", status=code)
    return proxy.error(Reason.REFUSED if code == _FORBIDDEN else Reason.PROTOCOL, said, status=code)
