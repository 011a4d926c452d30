"""Maintenance on demand over HTTP: the API and the page with its form."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import bcrypt
import httpx
import pytest

from monitor.clock import SYSTEM_CLOCK
from monitor.daemon.maintenance import MaintenanceOnDemand
from monitor.web import WebAuth, build_app, read_security
from monitor.web.bodies import MAX_BODY
from tests.web.site import EVIL, client, state

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp

ASKED = {"relays": ["demo"], "for": "20m", "reason": "deploy 1234", "by": "ana"}


def control() -> MaintenanceOnDemand:
    return MaintenanceOnDemand(None, SYSTEM_CLOCK, relays=lambda: ["demo", "other"], configured=tuple)


def on_this_host(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:9464")


class TestApi:
    async def test_a_window_is_started_listed_and_ended(self) -> None:
        windows = control()
        async with client(maintenance=windows) as web:
            response = await web.post("/api/v1/maintenance", json=ASKED)
            started = response.json()["window"]
            assert (response.status_code, started["relays"], started["reason"], started["by"]) == (
                201,
                ["demo"],
                "deploy 1234",
                "ana",
            )
            assert (await web.get("/api/v1/maintenance")).json() == {
                "windows": [started],
                "configured": [],
                "relays": ["demo", "other"],
            }
            ended = await web.delete(f"/api/v1/maintenance/{started['id']}?by=ana")
            assert (ended.status_code, ended.json()["window"]["id"]) == (200, started["id"])
            assert (await web.get("/api/v1/maintenance")).json()["windows"] == []
            assert (await web.delete(f"/api/v1/maintenance/{started['id']}")).status_code == 404

    async def test_all_relays_are_asked_for_expressly(self) -> None:
        async with client(maintenance=control()) as web:
            response = await web.post("/api/v1/maintenance", json={"all": True, "for": "1h", "reason": "network"})
            assert response.json()["window"]["relays"] == ["demo", "other"]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"relays": ["demo", "nowhere"]}, "no relay 'nowhere'"),
            ({"relays": []}, "name the relays, or set all"),
            ({"all": True}, "name the relays, or set all"),
            ({"all": "yes"}, "only be true"),
            ({"all": False}, "only be true"),
            ({"relays": "demo"}, "list of names"),
            ({"relays": [1]}, "list of names"),
            ({"for": "5h"}, "1s–4h"),
            ({"for": "0"}, "1s–4h"),
            ({"for": "soon"}, "not a duration"),
            ({"for": 20}, "must be text"),
            ({"reason": ""}, "reason must be"),
            ({"reason": "a\x1b[31m"}, "reason must be"),
            ({"by": "x" * 300}, "by must be"),
            ({"until": "noon"}, "unknown key 'until'"),
        ],
    )
    async def test_a_wrong_request_is_answered_with_what_is_allowed(
        self, changes: dict[str, Any], message: str
    ) -> None:
        windows = control()
        async with client(maintenance=windows) as web:
            response = await web.post("/api/v1/maintenance", json=ASKED | changes)
        assert response.status_code == 400
        assert message in response.json()["error"]
        assert windows.list() == ()

    @pytest.mark.parametrize(
        ("body", "kind", "code"),
        [
            (b"{", "application/json", 400),
            (b"[]", "application/json", 400),
            (b"[" * 10_000, "application/json", 400),
            (b'{"by":"' + b"x" * MAX_BODY + b'"}', "application/json", 413),
            (b"{}", "text/plain", 415),
        ],
    )
    async def test_another_body_is_refused(self, body: bytes, kind: str, code: int) -> None:
        async with client(maintenance=control()) as web:
            response = await web.post("/api/v1/maintenance", content=body, headers={"Content-Type": kind})
        assert (response.status_code, list(response.json())) == (code, ["error"])

    async def test_the_author_is_the_user_who_was_authenticated(self, tmp_path: Path) -> None:
        path = tmp_path / "web.yml"
        path.write_text(f"basic_auth_write_users: {{ops: '{bcrypt.hashpw(b'pw', bcrypt.gensalt(4)).decode()}'}}\n")
        app = build_app(state(maintenance=control()), WebAuth(read_security(path)))
        async with on_this_host(app) as web:
            for by, shown in (("", "ops"), ("ops", "ops"), ("ana", "ana (ops)")):
                response = await web.post("/api/v1/maintenance", json=ASKED | {"by": by}, auth=("ops", "pw"))
                assert response.json()["window"]["by"] == shown


class TestPage:
    async def test_the_form_starts_a_window_and_the_button_ends_it(self) -> None:
        windows = control()
        async with client(maintenance=windows) as web:
            assert "No relay is in maintenance" in (await web.get("/maintenance")).text
            fields = {"relays": ["demo", "other"], "for": " 20m ", "reason": "deploy 1234", "by": "ana"}
            response = await web.post("/maintenance", data=fields)
            assert (response.status_code, response.headers["location"]) == (303, "/maintenance")
            page = (await web.get("/maintenance")).text
            assert "demo, other" in page
            (action,) = re.findall(r'action="(/maintenance/[^"]+)"', page)
            assert (await web.post(action)).status_code == 303
        assert windows.list() == ()

    async def test_a_wrong_form_is_shown_again_with_what_was_typed(self) -> None:
        async with client(maintenance=control()) as web:
            fields = {"relays": "demo", "for": "9h", "reason": EVIL}
            response = await web.post("/maintenance", data=fields)
        assert response.status_code == 400
        assert "1s–4h" in response.text
        assert 'value="demo" checked' in response.text
        assert 'value="9h"' in response.text
        assert EVIL not in response.text

    async def test_the_relay_of_a_link_is_selected(self) -> None:
        async with client(maintenance=control()) as web:
            page = (await web.get("/maintenance?relay=other")).text
        assert re.findall(r'value="(\w+)" checked', page) == ["other"]

    async def test_an_unknown_window_is_said_on_the_page(self) -> None:
        async with client(maintenance=control()) as web:
            response = await web.post("/maintenance/xyz/end")
        assert response.status_code == 404
        assert "is open" in response.text
