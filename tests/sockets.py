"""Sockets that tests need: addresses that refuse or never answer, a count of open ones, and no proxy on the way."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_DESCRIPTORS = Path("/proc/self/fd")
_LOCAL_PORTS: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST_PORT: Final = 10_000


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the machine's proxy variables. A folder's conftest imports this fixture for all tests of the folder."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def open_sockets() -> int:
    """Return the number of open sockets of this process; 0 if it is unknown."""
    found = 0
    for descriptor in _DESCRIPTORS.iterdir() if _DESCRIPTORS.exists() else ():
        with contextlib.suppress(OSError):  # that of the listing itself is closed
            found += str(descriptor.readlink()).startswith("socket:")
    return found


def _ports() -> Iterator[int]:
    """Return ports in turn that no outgoing connection is given, or 0 where these are unknown."""
    low = int(_LOCAL_PORTS.read_text("ascii").split()[0]) if _LOCAL_PORTS.exists() else 0
    if low <= _FIRST_PORT:
        return itertools.repeat(0)
    count = low - _FIRST_PORT
    start = random.randrange(count)  # two processes that run at once rarely begin alike
    return (_FIRST_PORT + number % count for number in itertools.count(start))


_PORTS: Final = _ports()


def closed_port() -> int:
    """Return a port of 127.0.0.1 that refuses connections, another one at each call.

    A server may listen on it later: a port that the kernel chooses may by then be that of an outgoing connection.
    """
    for candidate in itertools.islice(_PORTS, 1_000):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", candidate))
            port: int = probe.getsockname()[1]
            return port
    raise RuntimeError("a thousand ports of 127.0.0.1 are in use")


@contextlib.contextmanager
def unanswering() -> Iterator[str]:
    """Yield a host and port that never accept a connection: the backlog is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, contextlib.ExitStack() as waiting:
        address = server.getsockname()
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.settimeout(0)
            client.connect_ex(address)
        yield f"127.0.0.1:{address[1]}"
