"""Protection against DNS rebinding: under which names data is served."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.responses import PlainTextResponse

from monitor.config import parse
from monitor.web import WebAuth, build_app, read_security
from monitor.web.host_guard import HostGuard
from monitor.web.hosts import hostname, own_names
from tests.web.site import state
from tests.web.test_write_guard import web_config as users

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Scope, Send

FOREIGN = "rebound.example"
BROWSER = {"Accept-Language": "de-DE,de;q=0.9"}
DATA = ("/", "/events", "/incidents", "/maintenance", "/runs/1", "/api/v1/status", "/api/v1/drill", "/api/v1/runs")

CONFIG = """
location: eu
relays: [{name: one, url: embedded}]
probes: [{name: steady, scenario: steady-messaging, schedule: continuous}]
server: {listen: "monitor-host.corp.example:0", allowed_hosts: [Monitor.Example.com, .corp.example.net]}
alerts: {external_url: "https://relays-{location}-{shard}.example.com:8443/monitor"}
drill: {webhook_url: "http://monitor.apps.example.com:9464"}
"""


async def data(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("data")(scope, receive, send)


async def get(
    path: str,
    host: str,
    auth: WebAuth | None = None,
    *,
    headers: dict[str, str] | None = None,
    names: frozenset[str] = frozenset(),
) -> httpx.Response:
    """Send a request for a name, as a client that has resolved it."""
    return await send(HostGuard(data, lambda: names, auth), path, host, headers=headers)


async def send(
    app: ASGIApp, path: str, host: str, *, method: str = "GET", headers: dict[str, str] | None = None
) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:9464") as web:
        return await web.request(method, path, headers={"Host": host, **(headers or {})})


class TestForeignName:
    async def test_it_gets_no_data(self) -> None:
        app = build_app(state())
        for path in DATA:
            for method in ("GET", "HEAD", "OPTIONS"):
                assert (await send(app, path, f"{FOREIGN}:9464", method=method)).status_code == 421, (path, method)

    @pytest.mark.parametrize(
        "host", [f"{FOREIGN}.", f"{FOREIGN.upper()}:80", "127.0.0.1.rebound.example", "localhost.example", "1.2.3.4.5"]
    )
    async def test_it_may_look_like_an_own_one(self, host: str) -> None:
        assert (await get("/api/v1/status", host)).status_code == 421

    async def test_the_error_says_which_setting_admits_it(self) -> None:
        api = (await get("/api/v1/status", FOREIGN)).json()["error"]
        page = await get("/", FOREIGN)
        for text in (api, page.text):
            assert "not known as rebound.example; add the name to server.allowed_hosts" in text
            assert "alerts.external_url" in text
        assert page.headers["content-type"] == "text/plain; charset=utf-8"

    async def test_the_error_shows_no_control_character(self) -> None:
        text = (await get("/", "a\x1b.example")).text
        assert "\x1b" not in text
        assert len((await get("/", f"{'a' * 5000}.example")).text) < 500

    async def test_a_page_gets_no_metrics(self) -> None:
        assert (await get("/metrics", FOREIGN, headers=BROWSER)).status_code == 421
        assert (await get("/metrics", FOREIGN, headers={"Accept-Language": ""})).status_code == 421

    async def test_prometheus_and_kubernetes_are_served(self) -> None:
        for path in ("/metrics", "/-/healthy", "/-/ready"):
            assert (await get(path, FOREIGN)).status_code == 200

    async def test_a_notification_of_alertmanager_is_accepted(self) -> None:
        """It is for no data, and what it may do does not depend on the name."""
        response = await send(build_app(state()), "/-/drill", FOREIGN, method="POST")
        assert response.status_code == 501  # no drills here


class TestOwnName:
    @pytest.mark.parametrize(
        "host",
        [
            "127.0.0.1:9464",
            "10.0.0.7",
            "[2001:db8::1]:9464",
            "localhost",
            "LocalHost.:9464",
            "monitor.localhost",
            "relay-monitor:9464",
            "relay-monitor.monitoring.svc:9464",
            "relay-monitor.monitoring.svc.cluster.local",
            "monitor.corp.internal",
        ],
    )
    async def test_no_site_on_the_internet_has_such_a_name(self, host: str) -> None:
        assert (await get("/api/v1/status", host)).status_code == 200

    @pytest.mark.parametrize(
        ("host", "code"),
        [
            ("relays-eu-2.example.com", 200),
            ("relays-us-2.example.com", 421),
            ("monitor.apps.example.com:9464", 200),
            ("monitor-host.corp.example", 200),
            ("monitor.example.com", 200),
            ("www.monitor.example.com", 421),
            ("corp.example.net", 200),
            ("a.b.corp.example.net", 200),
            ("evilcorp.example.net", 421),
        ],
    )
    async def test_the_configuration_has_names(self, host: str, code: int) -> None:
        names = own_names(parse(CONFIG, "config.yaml", {}), 2)
        assert (await get("/api/v1/status", host, names=names)).status_code == code

    async def test_a_machine_has_a_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("socket.gethostname", lambda: "Host-7.Corp.example")
        assert "host-7.corp.example" in own_names(parse(CONFIG, "config.yaml", {}), 0)


class TestProtectedOtherwise:
    async def test_users_who_read_are_asked_for_their_password_instead(self, tmp_path: Path) -> None:
        auth = users(tmp_path, "basic_auth_users")
        assert (await get("/", FOREIGN, auth)).status_code == 200
        assert (await send(build_app(state(), auth), "/", FOREIGN)).status_code == 401

    async def test_everybody_reads_where_only_changes_need_a_password(self, tmp_path: Path) -> None:
        auth = users(tmp_path, "basic_auth_write_users")
        assert (await get("/", FOREIGN, auth)).status_code == 421
        # Who changes something is asked for it under every name.
        assert (await send(build_app(state(), auth), "/-/reload", FOREIGN, method="POST")).status_code == 401

    async def test_a_certificate_has_the_name(self, folder: Path) -> None:
        (folder / "web.yml").write_text("tls_server_config: {cert_file: server.pem, key_file: server.key}\n")
        assert (await get("/", FOREIGN, WebAuth(read_security(folder / "web.yml")))).status_code == 200


def test_what_is_no_name_has_none() -> None:
    assert [hostname(text) for text in ("", "[", ":80", "A.b.:80")] == ["", "", "", "a.b"]
