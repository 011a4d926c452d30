"""`python -m monitor.healthcheck [HOST:PORT]`: does the daemon serve? Exits 0 or 1; for a container's health check.

Whoever answers is alive, also with "401 Unauthorized" or by asking for a client certificate: what the web
configuration demands of others, a check of life need not have. Stands alone, for it runs every few seconds.
"""

from __future__ import annotations

import http.client
import ssl
import sys
from typing import Final

TIMEOUT: Final = 4.0
"""Seconds for each try: plain, then TLS."""

_BROKEN: Final = 500


def alive(place: str) -> str | None:
    """Why nothing healthy serves at HOST:PORT, or None."""
    why = _answer(http.client.HTTPConnection(place, timeout=TIMEOUT))
    if why is None:
        return None
    # To its own address, to see whether it answers: whose certificate that is makes no difference.
    unverified = ssl._create_unverified_context()  # noqa: S323, SLF001 - likewise
    return _answer(http.client.HTTPSConnection(place, timeout=TIMEOUT, context=unverified))


def _answer(connection: http.client.HTTPConnection) -> str | None:
    is_asked = False
    try:
        connection.connect()
        # From TLS 1.3 on, whoever lacks a client certificate is hung up on after the handshake only.
        is_asked = isinstance(connection, http.client.HTTPSConnection)
        connection.request("GET", "/-/healthy")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return None if is_asked else str(error) or type(error).__name__
    finally:
        connection.close()
    return None if status < _BROKEN else f"status {status}"


def main() -> int:
    """The command."""
    why = alive(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9464")
    if why is not None:
        sys.stderr.write(f"not healthy: {why}\n")
    return int(why is not None)


if __name__ == "__main__":
    sys.exit(main())
