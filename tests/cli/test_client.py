"""Requests to a real HTTP server on this host."""

from __future__ import annotations

import base64
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from monitor.cli import client
from monitor.errors import RequestError
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def serving(response: bytes, status: int = 200) -> Iterator[tuple[str, list[tuple[str, str, bytes, dict[str, str]]]]]:
    """Serve one answer to all requests; yield the address and the requests."""
    requests: list[tuple[str, str, bytes, dict[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            requests.append((self.command, self.path, body, dict(self.headers)))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(response)

        do_GET = do_POST = respond  # noqa: N815 - names of the base class

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - of the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", requests
        finally:
            server.shutdown()
            thread.join()


def test_it_returns_the_json_of_the_response() -> None:
    with serving(b'{"a": 1}', 201) as (url, requests):
        assert client.RunningMonitor(url + "/monitor/").send("GET", "/api/v1/status") == {"a": 1}
        assert client.RunningMonitor(url).get("/x") == b'{"a": 1}'
    assert requests[0][:3] == ("GET", "/monitor/api/v1/status", b"")


def test_body_and_credentials_are_sent(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("s3cr3t\n")
    with serving(b"{}") as (url, requests):
        client.RunningMonitor(url, "ops", client.read_password(path)).send("POST", "/x", {"for": "20m"})
    assert "s3cr3t" not in repr(client.RunningMonitor(url, "ops", "s3cr3t"))
    _, _, body, headers = requests[0]
    assert json.loads(body) == {"for": "20m"}
    assert headers["Content-Type"] == "application/json"
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"ops:s3cr3t"


@pytest.mark.parametrize("url", ["ftp://x", "127.0.0.1:9464", "http://", "http://x:99999", "http://x?y=1"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(RequestError, match="is not an address"):
        client.RunningMonitor(url).send("GET", "/")


def test_credentials_in_the_address_are_refused() -> None:
    with pytest.raises(RequestError, match="--password-file"):
        client.RunningMonitor("http://ops:s3cr3t@127.0.0.1").send("GET", "/")


def test_a_server_that_does_not_listen_is_named() -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    with pytest.raises(RequestError, match=f"{url} cannot be reached: Connection refused"):
        client.RunningMonitor(url).send("GET", "/")


@pytest.mark.parametrize("response", [b"<html>", b"", b"[" * 100_000, b"\xff"])
def test_what_is_not_json_is_refused(response: bytes) -> None:
    with serving(response) as (url, _), pytest.raises(RequestError, match="not with JSON"):
        client.RunningMonitor(url).send("GET", "/")


def test_a_response_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_BYTES", 1000)
    with serving(b"1" * 2000) as (url, _), pytest.raises(RequestError, match="too long"):
        client.RunningMonitor(url).send("GET", "/")


@pytest.mark.parametrize(
    ("status", "response", "message"),
    [
        (421, b'{"error": "not known as \\u001b[31m x"}', ": not known as"),
        (403, b'{"error": "from this host only"}', "from this host only; --user and --password-file"),
        (401, b"Unauthorized\n", " answered 401 for /x; --user and --password-file"),
        (404, b"[1]", " answered 404 for /x"),
    ],
)
def test_an_error_says_what_the_monitor_says(status: int, response: bytes, message: str) -> None:
    with serving(response, status) as (url, _), pytest.raises(RequestError, match=re.escape(message)) as raised:
        client.RunningMonitor(url).get("/x")
    assert str(raised.value).isprintable()
