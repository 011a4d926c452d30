"""Health check of a container: `python -m monitor.healthcheck [HOST:PORT]`; exit 0 if the daemon serves, else 1.

Any answer counts, including 401 and a request for a client certificate. It imports little, since it runs every few
seconds.
"""

from __future__ import annotations

import http.client
import ssl
import sys
from typing import Final

TIMEOUT: Final = 4.0
"""Seconds for each of the attempts: plain HTTP, then TLS."""

_BROKEN: Final = 500


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


def main() -> int:
    """Run the command."""
    why = alive(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9464")
    if why is not None:
        sys.stderr.write(f"not healthy: {why}\n")
    return int(why is not None)


if __name__ == "__main__":
    sys.exit(main())
