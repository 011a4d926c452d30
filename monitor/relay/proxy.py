"""The proxy of a target, configured or from the environment."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from monitor.errors import SettingsError
from monitor.vocabulary import Reason, Step

if TYPE_CHECKING:
    from monitor.relay.target import Target

_PORTS: Final = {"http": 80, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}
_VARIABLES: Final = tuple(
    name for kind in ("http", "https", "all", "no") for name in (f"{kind}_proxy", f"{kind}_proxy".upper())
)
_MAX_CREDENTIAL: Final = 255  # bytes (RFC 1929)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy and its credentials, which the repr leaves out."""

    host: str
    port: int
    username: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)
    scheme: str = "http"

    @property
    def authorization(self) -> str | None:
        """Value of the Proxy-Authorization header, or None."""
        if self.username is None:
            return None
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")

    @property
    def name(self) -> str:
        """`proxy HOST:PORT`."""
        return f"proxy {self.address}"

    @property
    def address(self) -> str:
        """`HOST:PORT`, with brackets for an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def error(self, reason: Reason, detail: str, *, status: str | int = "") -> SettingsError:
        """Return the error for a fault of the proxy itself. The text names it and its address."""
        detail = detail.removeprefix(f"{self.address}: ").removeprefix(f"{self.host}: ")
        return SettingsError(Step.PROXY, reason, f"{self.name}: {detail}", status=status, shared=self.name)

    @property
    def resolves(self) -> bool:
        """True if the proxy resolves the relay's name. For `socks4` and `socks5` the client does, as in curl."""
        return self.scheme not in {"socks4", "socks5"}


def proxy_of(target: Target) -> Proxy | None:
    """Return the proxy of a target, its own or the environment's. Raises `SettingsError` for an invalid one."""
    url = target.proxy
    if url is None:
        # With the port, because NO_PROXY may name one.
        url = _of_environment(f"{target.host}:{target.port}", target.secure, tuple(map(os.environ.get, _VARIABLES)))
    if not url:
        return None
    # Without the URL, which may contain a password.
    unusable = SettingsError(
        Step.PROXY,
        Reason.INTERNAL,
        "this proxy cannot be used: expected SCHEME://[USER:PASSWORD@]HOST:PORT, SCHEME one of " + ", ".join(_PORTS),
    )
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = _PORTS.get(parts.scheme) if parts.port is None else parts.port
    except ValueError:
        raise unusable from None
    if parts.scheme not in _PORTS or not parts.hostname or not port:
        raise unusable
    username = None if parts.username is None else unquote(parts.username)
    password = unquote(parts.password or "")
    if parts.scheme != "http" and not all(map(_fits_socks, (username or "", password))):
        raise unusable
    if parts.scheme.startswith("socks5") and bool(username) != bool(password):
        # RFC 1929 has no empty ones, and python-socks would offer no authentication at all.
        raise SettingsError(Step.PROXY, Reason.INTERNAL, "a SOCKS5 proxy takes a user name and a password, or neither")
    return Proxy(parts.hostname, port, username, password, parts.scheme)


@lru_cache(maxsize=4096)
def _of_environment(address: str, secure: bool, variables: tuple[str | None, ...]) -> str | None:  # noqa: ARG001, FBT001 - the key
    """Return the URL of the environment's proxy for an address, or None.

    `variables` are the values of `_VARIABLES`, so that a change of one is noticed. urllib reads the whole environment
    twice, which takes a third of a millisecond, and each connect asks twice. The system's settings, which urllib also
    reads on macOS, are those of the first time.
    """
    if proxy_bypass(address):
        return None
    proxies = getproxies()
    return proxies.get("https" if secure else "http") or proxies.get("all")


def _fits_socks(credential: str) -> bool:
    return credential.isascii() and "\0" not in credential and len(credential) <= _MAX_CREDENTIAL
