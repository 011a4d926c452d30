"""Requests of commands to a running monitor: its address, credentials, and errors that say what to do."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import typer

from monitor.errors import RequestError

TIMEOUT: Final = 10.0
"""Seconds that the server may be silent."""

MAX_TIME: Final = 30.0
"""Seconds for the whole response."""

MAX_BYTES: Final = 32 << 20
"""Largest response; that of 1000 relays has 4 MB."""

DEFAULT_URL: Final = "http://127.0.0.1:9464"

TOPIC: Final = "The running monitor"

UrlOption = Annotated[
    str,
    typer.Option(
        "--url", metavar="URL", envvar="RELAY_MONITOR_URL", help="Address of its page.", rich_help_panel=TOPIC
    ),
]
UserOption = Annotated[
    str | None, typer.Option("--user", metavar="NAME", help="User for basic auth.", rich_help_panel=TOPIC)
]
PasswordFileOption = Annotated[
    Path | None,
    typer.Option(
        "--password-file", metavar="FILE", help="File that contains the user's password.", rich_help_panel=TOPIC
    ),
]
CaFileOption = Annotated[
    Path | None,
    typer.Option(
        "--ca-file", metavar="FILE.pem", help="Certificates to trust instead of the system's.", rich_help_panel=TOPIC
    ),
]


def read_password(path: Path | None) -> str | None:
    """Return the password in a file, without the line's end. Raises `OSError`."""
    return None if path is None else path.read_text("utf-8").rstrip("\r\n")


def request(
    url: str,
    method: str,
    path: str,
    body: Any = None,
    *,
    user: str | None = None,
    password: str | None = None,
    ca_file: Path | None = None,
) -> tuple[int, Any]:
    """Send a request to the monitor at `url`; return the status and the JSON value of the response.

    `body` is sent as JSON unless it is None. Raises `RequestError` if there is no such response.
    """
    status, content = request_bytes(url, method, path, body, user=user, password=password, ca_file=ca_file)
    try:
        return status, json.loads(content)
    except (ValueError, RecursionError):
        raise RequestError(f"{url} answered {status}, and not with JSON: is it a relay-monitor?") from None


def request_bytes(
    url: str,
    method: str,
    path: str,
    body: Any = None,
    *,
    user: str | None = None,
    password: str | None = None,
    ca_file: Path | None = None,
) -> tuple[int, bytes]:
    """Do as `request`, and return the response as it is."""
    connection, prefix = _connection(url, ca_file)
    headers = {"Accept": "application/json"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    if user is not None:
        credentials = base64.b64encode(f"{user}:{password or ''}".encode()).decode()
        headers["Authorization"] = f"Basic {credentials}"
    try:
        connection.request(method, prefix + path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, _read(response, url)
    except ssl.SSLCertVerificationError as error:
        raise RequestError(f"{url}: {error.verify_message}; --ca-file names the certificates to trust") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise RequestError(f"{url} cannot be reached: {why}; --url is the address of a running monitor") from None
    finally:
        connection.close()


def _connection(url: str, ca_file: Path | None) -> tuple[http.client.HTTPConnection, str]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if host is None or parts.scheme not in {"http", "https"} or parts.query or parts.fragment:
        raise RequestError(f"--url {url!r} is not an address such as {DEFAULT_URL}")
    if parts.username is not None:
        raise RequestError("--url has a user; give it by --user and --password-file, since others see the command")
    prefix = parts.path.rstrip("/")
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT), prefix
    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    return http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=context), prefix


def _read(response: http.client.HTTPResponse, url: str) -> bytes:
    deadline = time.monotonic() + MAX_TIME
    content = b""
    while chunk := response.read1(1 << 16):
        content += chunk
        if len(content) > MAX_BYTES or time.monotonic() > deadline:
            raise RequestError(f"{url}: the response is too long")
    return content
