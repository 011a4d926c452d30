"""Health check of a container: `python -m monitor.healthcheck [HOST:PORT]`, or `--config FILE`.

It exits with 0 if the daemon serves, else with 1. With `--config` the address is the file's `server.listen`. Any answer
counts, including 401 and a request for a client certificate. It imports little, since it runs every few seconds: not
the package that reads configurations.
"""

from __future__ import annotations

import http.client
import os
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitor.environment import expand

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT: Final = 4.0
"""Seconds for each of the attempts: plain HTTP, then TLS."""

DEFAULT_LISTEN: Final = "127.0.0.1:9464"
"""The address of a configuration without `server.listen`."""

_BROKEN: Final = 500

_ALL_ADDRESSES: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - replaced
"""Host to listen on → where such a server is reached from here."""


def alive(address: str) -> str | None:
    """Return why the daemon at HOST:PORT is not healthy, or None."""
    why = _request(http.client.HTTPConnection(address, timeout=TIMEOUT))
    if why is None:
        return None
    # The certificate does not matter for the check of its own address.
    unverified = ssl._create_unverified_context()  # noqa: S323, SLF001 - likewise
    return _request(http.client.HTTPSConnection(address, timeout=TIMEOUT, context=unverified))


def _request(connection: http.client.HTTPConnection) -> str | None:
    handshake_done = False
    try:
        connection.connect()
        # With TLS 1.3 a missing client certificate is rejected after the handshake.
        handshake_done = isinstance(connection, http.client.HTTPSConnection)
        connection.request("GET", "/-/healthy")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return None if handshake_done else str(error) or type(error).__name__
    finally:
        connection.close()
    return None if status < _BROKEN else f"status {status}"


def configured_address(text: str, environ: Mapping[str, str]) -> str:
    """Return the HOST:PORT at which a daemon with this configuration is reached from its own host.

    Raises `ValueError` if it cannot be told.
    """
    import yaml  # noqa: PLC0415 - not needed with an address

    try:
        document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {error}") from None
    server = document.get("server") if isinstance(document, dict) else None
    written = server.get("listen") if isinstance(server, dict) else None
    listen, wrong = expand(str(written or DEFAULT_LISTEN), environ)
    host, _, port = listen.rpartition(":")
    if wrong or not port.isdigit() or int(port) == 0:
        raise ValueError(f"server.listen: {listen!r} is no address with a port; check it with `relay-monitor check`")
    return f"{_ALL_ADDRESSES.get(host, host)}:{port}"


def check(arguments: list[str]) -> str | None:
    """Return why the daemon that these arguments name is not healthy, or None."""
    match arguments:
        case ["--config", path]:
            try:
                address = configured_address(Path(path).read_text(encoding="utf-8"), os.environ)
            except (OSError, ValueError) as error:
                return " ".join(f"{path}: {error}".split())
        case []:
            address = DEFAULT_LISTEN
        case [address] if not address.startswith("-"):
            pass
        case _:
            return "usage: python -m monitor.healthcheck [HOST:PORT | --config FILE]"
    return alive(address)


def main() -> int:
    """Run the command."""
    why = check(sys.argv[1:])
    if why is not None:
        sys.stderr.write(f"not healthy: {why}\n")
    return int(why is not None)


if __name__ == "__main__":
    sys.exit(main())
