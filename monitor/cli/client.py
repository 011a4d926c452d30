"""Requests of commands to a running monitor: its address, credentials, and errors that say what to do."""

from __future__ import annotations

import base64
import getpass
import http.client
import json
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

import typer

from monitor.errors import RequestError, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

TIMEOUT: Final = 10.0
"""Seconds that the server may be silent."""

MAX_TIME: Final = 30.0
"""Seconds for the whole response."""

MAX_BYTES: Final = 32 << 20
"""Largest response; that of 1000 relays has 4 MB."""

MAX_TEXT: Final = 500
"""Characters of a text of the monitor that are printed."""

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


@dataclass(frozen=True, slots=True)
class RunningMonitor:
    """A running monitor at `url`, with the credentials for it. Its methods raise `RequestError` unless they succeed."""

    url: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request, with `body` as JSON unless it is None; return the JSON value of the response."""
        status, content = self._request(method, path, body)
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise RequestError(f"{self.url} answered {status}, and not with JSON: is it a relay-monitor?") from None

    def get(self, path: str) -> bytes:
        """Return the response to a GET as it is."""
        return self._request("GET", path, None)[1]

    def _request(self, method: str, path: str, body: Any) -> tuple[int, bytes]:
        connection, prefix = _connection(self.url, self.ca_file)
        try:
            connection.request(method, prefix + path, None if body is None else json.dumps(body), self._headers(body))
            response = connection.getresponse()
            status, content = response.status, _read(response, self.url)
        except ssl.SSLCertVerificationError as error:
            raise RequestError(
                f"{self.url}: {error.verify_message}; --ca-file names the certificates to trust"
            ) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise RequestError(
                f"{self.url} cannot be reached: {why}; --url is the address of a running monitor"
            ) from None
        finally:
            connection.close()
        if not 200 <= status < 300:  # noqa: PLR2004 - success
            said = _error_in(content)
            hint = "; --user and --password-file name the credentials" if status in {401, 403} else ""
            raise RequestError(
                f"{self.url}: {said}{hint}" if said else f"{self.url} answered {status} for {path}{hint}"
            )
        return status, content

    def _headers(self, body: Any) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.user is not None:
            credentials = base64.b64encode(f"{self.user}:{self.password or ''}".encode()).decode()
            headers["Authorization"] = f"Basic {credentials}"
        return headers


def running_monitors(
    urls: Iterable[str], user: str | None, password_file: Path | None, ca_file: Path | None
) -> list[RunningMonitor]:
    """Return the monitors at these URLs, with the same credentials for all of them. Raises `OSError`."""
    password = read_password(password_file)
    return [RunningMonitor(url, user, password, ca_file) for url in urls]


def _error_in(content: bytes) -> str:
    """Return what a monitor says of an error, empty if it says nothing."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    why = value.get("error") if isinstance(value, dict) else None
    return shown(why) if isinstance(why, str) else ""


def shown(text: str) -> str:
    """Return a text of a monitor as it is printed."""
    return printable(text[:MAX_TEXT])


def system_user() -> str:
    """Return the name of the user who runs the command, empty if there is none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a user without a name, as in a container
        return ""


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
