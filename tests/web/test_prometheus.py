"""The client of Prometheus against a small HTTP server; `tests/e2e` has it against Prometheus."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
import trustme

from monitor.config import PrometheusConfig
from monitor.vocabulary import Condition
from monitor.web import prometheus
from monitor.web.model import LocationView
from monitor.web.prometheus import NotFoundError, PrometheusClient, PrometheusError, SloEvents, TooMuchDataError
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def serving(
    respond: Callable[[str, str], tuple[int, bytes]],
    authorization: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[str]:
    """Serve what `respond` returns for a path and a query, to requests with this header; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def handle_request(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            status, content = respond(self.path, parse_qs(body).get("query", [""])[0])
            if authorization not in {None, self.headers.get("Authorization")}:
                status, content = 401, b""
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = handle_request  # noqa: N815 - names of the base class

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - of the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http{'' if tls is None else 's'}://127.0.0.1:{server.server_port}/prefix/"
        finally:
            server.shutdown()
            thread.join()


def vector(*samples: tuple[dict[str, str], str]) -> bytes:
    result = [{"metric": labels, "value": [1.0, value]} for labels, value in samples]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()


def alert(name: str, severity: str = "critical", **changes: Any) -> dict[str, Any]:
    return {
        "labels": {"alertname": name, "severity": severity, "install": "default", "relay": "demo"},
        "annotations": {"summary": f"{name} is firing"},
        "state": "firing",
        "activeAt": "2024-05-01T12:00:00.123456789Z",
        "value": "1e+00",
    } | changes


def alerts(*found: dict[str, Any]) -> bytes:
    return json.dumps({"status": "success", "data": {"alerts": found}}).encode()


def test_firing_alerts_of_the_install_are_read_the_worst_first() -> None:
    other = alert("Other", labels={"alertname": "Other", "install": "another"})
    pending = alert("Pending", state="pending")
    content = alerts(alert("Slow", "warning"), other, pending, alert("RelayDown"), alert("Odd", activeAt="soon"))
    with serving(lambda path, _: (200, content) if path == "/prefix/api/v1/alerts" else (404, b"")) as url:
        found = PrometheusClient(url, "default").alerts()
    assert [each.name for each in found] == ["Odd", "RelayDown", "Slow"]
    assert found[0].since is None
    assert found[1].since == datetime(2024, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
    assert (found[1].relay, found[1].location, found[1].summary) == ("demo", None, "RelayDown is firing")


@contextmanager
def protected(expected: str) -> Iterator[str]:
    """Serve no alerts to requests with this Authorization header, and status 401 to others."""
    with serving(lambda *_: (200, alerts()), expected) as url:
        yield url


def config_with(tmp_path: Path, **changes: Any) -> PrometheusConfig:
    """Return the settings of credentials; `password` and `token` are the contents of their files."""
    for name in ("password_file", "bearer_token_file", "ca_file"):
        if name in changes:
            path = tmp_path / name
            path.write_text(changes[name])
            changes[name] = path
    return PrometheusConfig.model_construct(**changes)


def test_basic_authentication_with_a_password_from_a_file(tmp_path: Path) -> None:
    config = config_with(tmp_path, username="ops", password_file="päss\n")
    with protected("Basic " + base64.b64encode("ops:päss".encode()).decode()) as url:
        assert PrometheusClient(url, "default", config).alerts() == ()
        with pytest.raises(PrometheusError, match=r"^status 401; prometheus.username or bearer_token_file names"):
            PrometheusClient(url, "default").alerts()


def test_a_bearer_token_is_read_anew(tmp_path: Path) -> None:
    config = config_with(tmp_path, bearer_token_file="old")
    with protected("Bearer new") as url:
        with pytest.raises(PrometheusError, match="status 401"):
            PrometheusClient(url, "default", config).alerts()
        config_with(tmp_path, bearer_token_file="new\n")
        assert PrometheusClient(url, "default", config).alerts() == ()


@pytest.mark.parametrize("content", ["", "hünter2", "hunter2\nhunter2"])
def test_a_secret_that_cannot_be_sent_is_named_and_not_shown(tmp_path: Path, content: str) -> None:
    config = config_with(tmp_path, bearer_token_file=content)
    with pytest.raises(PrometheusError, match="bearer_token_file") as raised:
        PrometheusClient("http://127.0.0.1:1", "default", config)
    assert "nter2" not in str(raised.value)


def test_only_the_certificates_of_ca_file_are_trusted(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    config = config_with(tmp_path, ca_file=authority.cert_pem.bytes().decode())
    with serving(lambda *_: (200, alerts()), tls=context) as url:
        assert PrometheusClient(url, "default", config).alerts() == ()
        with pytest.raises(PrometheusError, match=r"(?i)certificate verify failed"):
            PrometheusClient(url, "default").alerts()
    broken = config_with(tmp_path, ca_file="nothing")
    with pytest.raises(PrometheusError, match=r"the certificates in .*ca_file cannot be read"):
        PrometheusClient(url, "default", broken)


def test_conditions_are_read_by_relay_and_location() -> None:
    content = vector(
        ({"relay": "demo", "location": "us", "state": "up"}, "1"),
        ({"relay": "demo", "location": "eu", "state": "down"}, "1"),
        ({"relay": "demo", "location": "ap", "state": "of the future"}, "1"),
    )
    asked: list[str] = []

    def respond(_: str, query: str) -> tuple[int, bytes]:
        asked.append(query)
        return 200, content

    with serving(respond) as url:
        found = PrometheusClient(url, "mine").conditions()
    assert found == {
        "demo": (
            LocationView(location="eu", condition=Condition.DOWN),
            LocationView(location="us", condition=Condition.UP),
        )
    }
    assert asked == ['max by (relay, location, state) (relay_state{install="mine"}) == 1']


def test_events_are_summed_with_the_time_that_they_cover() -> None:
    labels = {"relay": "demo", "slo": "delivery"}

    def respond(_: str, query: str) -> tuple[int, bytes]:
        assert query.count('relay_slo_events_total{install="default"}[30d]') == 1
        if "count_over_time" in query:
            return 200, vector((labels, "480"))
        return 200, vector((labels | {"outcome": "good"}, "990.5"), (labels | {"outcome": "bad"}, "NaN"))

    with serving(respond) as url:
        found = PrometheusClient(url, "default").events(2_592_000, 15)
    assert found == {("demo", "delivery"): SloEvents(990.5, 0.0, 7200)}


@pytest.mark.parametrize(
    ("status", "content", "why"),
    [
        (500, b"", "status 500"),
        (302, b"", "status 302"),
        (200, b"<html>", "not that of Prometheus"),
        (200, b"{}", "not that of Prometheus"),
        (200, b'{"data": {"alerts": [{"labels": {"install": 1}}]}}', "not that of Prometheus"),
        (200, b"[" * 100_000, "not that of Prometheus"),
        (200, b'{"data": {"alerts": []}, "more": "' + b"x" * 5_000_000 + b'"}', "larger than 4 MB"),
    ],
)
def test_what_is_no_answer_of_prometheus_is_an_error(status: int, content: bytes, why: str) -> None:
    with serving(lambda *_: (status, content)) as url, pytest.raises(PrometheusError, match=why):
        PrometheusClient(url, "default").alerts()


def refused(error: str) -> bytes:
    return json.dumps({"status": "error", "errorType": "execution", "error": error}).encode()


@pytest.mark.parametrize(
    ("status", "content", "kind", "message"),
    [
        (
            422,
            refused("query processing would load too many samples into memory"),
            TooMuchDataError,
            "status 422: query",
        ),
        (422, refused("the query exceeded the maximum number of chunks"), TooMuchDataError, "status 422: the query"),
        (503, refused("query timed out in query execution"), TooMuchDataError, "status 503: query timed out"),
        (503, b"<html>", TooMuchDataError, "status 503"),
        (404, b"", NotFoundError, "status 404"),
        (400, refused("invalid parameter\n\x1b[1m"), PrometheusError, "status 400: invalid parameter \ufffd[1m"),
        (422, refused("many-to-many matching not allowed"), PrometheusError, "status 422: many-to-many"),
        (422, refused("x" * 5_000_000), PrometheusError, "status 422"),
        (422, b"", PrometheusError, "status 422"),
    ],
)
def test_a_refused_query_is_divided_only_if_a_limit_is_the_reason(
    status: int, content: bytes, kind: type[PrometheusError], message: str
) -> None:
    with serving(lambda *_: (status, content)) as url, pytest.raises(PrometheusError) as raised:
        PrometheusClient(url, "default").samples("up", 0.0, 60.0)
    assert type(raised.value) is kind
    assert str(raised.value).startswith(message)


def test_a_prometheus_that_does_not_listen_is_an_error() -> None:
    with pytest.raises(PrometheusError, match="Connection refused"):
        PrometheusClient(f"http://127.0.0.1:{closed_port()}", "default").conditions()


def test_a_prometheus_that_is_silent_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "SILENCE_TIMEOUT", 0.05)
    released = threading.Event()

    def respond(*_: str) -> tuple[int, bytes]:
        released.wait()
        return 200, b""

    with serving(respond) as url:
        try:
            with pytest.raises(PrometheusError, match="timed out"):
                PrometheusClient(url, "default").alerts()
        finally:
            released.set()


def test_a_slow_response_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "RESPONSE_TIMEOUT", -1.0)
    with serving(lambda *_: (200, alerts())) as url, pytest.raises(PrometheusError, match="took longer"):
        PrometheusClient(url, "default").alerts()


@pytest.mark.parametrize(
    ("build", "version"),
    [
        ({"version": "2.42.0"}, 2),
        ({"version": "v3.1.0"}, 3),
        ({"version": "2.16.0", "application": "Grafana Mimir"}, None),
        ({"version": "0.37.2"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_the_version_is_that_of_prometheus_alone(build: dict[str, str] | None, version: int | None) -> None:
    content = b"" if build is None else json.dumps({"status": "success", "data": build}).encode()
    with serving(lambda *_: (404 if build is None else 200, content)) as url:
        assert PrometheusClient(url, "default").major_version() == version
