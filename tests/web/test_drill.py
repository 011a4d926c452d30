"""Drills over HTTP: the API, the webhook for Alertmanager, and scrapes."""

from __future__ import annotations

import asyncio
import re
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import bcrypt
import httpx
import pytest

from monitor.drill import ALERT, WEBHOOK, Drill
from monitor.errors import RequestError
from monitor.web import WebAuth, build_app, drill, read_security
from monitor.web.bodies import MAX_BODY
from monitor.web.drill import MAX_NOTIFICATIONS
from monitor.web.model import DrillView
from tests.web.site import EVIL, NOW, client, serving, state, view

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Scope, Send

STARTED_AT = 1_700_000_000.0
TOKEN = {"Authorization": "Bearer a token of the drills"}
PROMETHEUS = {"X-Prometheus-Scrape-Timeout-Seconds": "10", "User-Agent": "Prometheus/2.42.0"}

WAIT = 10.0
"""Seconds after which a test fails."""


@dataclass
class FakeDrills:
    """One drill at a time, whose clock stands still at 7 s."""

    newest: Drill | None = None
    min_timeout = 35.0
    token_file: Path | None = None
    started: list[tuple[float | None, str]] = field(default_factory=list)

    def state(self, *names: str) -> tuple[Any, ...]:
        """Return these attributes of the newest drill."""
        return tuple(getattr(self.newest, name) for name in names)

    def start(self, timeout: float | None, author: str) -> Drill:
        if self.newest is not None and self.newest.is_running:
            raise RequestError("drill k7m2xq of ana runs")
        self.started.append((timeout, author))
        self.newest = Drill(id="k7m2xq", author=author, started_at=STARTED_AT, timeout=timeout or 180.0)
        return self.newest

    def cancel(self, id: str) -> Drill:  # noqa: A002 - the field's name
        if self.newest is None or self.newest.id != id:
            raise RequestError("no drill runs")
        self.newest = self.newest.cancel(7.0)
        return self.newest

    def see_scrape(self, id: str, scraper: str) -> None:  # noqa: A002 - the field's name
        if self.newest is not None and self.newest.id == id:
            self.newest = self.newest.see_scrape(7.0, scraper)

    def see_notification(self, id: str, fired_at: float | None) -> bool:  # noqa: A002 - the field's name
        if self.newest is None or self.newest.id != id:
            return False
        self.newest = self.newest.see_notification(7.0, fired_at)
        return True


def notification(**labels: str) -> dict[str, Any]:
    """Return what Alertmanager 0.25 sends."""
    labels = {"alertname": ALERT, "drill": "k7m2xq", "install": "default", "severity": "none"} | labels
    return {
        "receiver": "drill",
        "status": "firing",
        "alerts": [
            {
                "status": "firing",
                "labels": labels,
                "annotations": {"summary": "A drill"},
                "startsAt": "2023-11-14T22:13:25.391Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://prometheus:9090/graph",
                "fingerprint": "0123456789abcdef",
            }
        ],
        "groupLabels": {"drill": labels["drill"]},
        "commonLabels": labels,
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "version": "4",
        "groupKey": "{}",
        "truncatedAlerts": 0,
    }


class FromElsewhere:
    """An application that is called from another host."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "client": ("192.0.2.7", 40_000)}, receive, send)


def from_elsewhere(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(FromElsewhere(app)), base_url="http://monitor:9464")


class TestApi:
    async def test_a_drill_is_started_followed_and_ended(self) -> None:
        drills = FakeDrills()
        async with client(drills=drills) as web:
            assert (await web.get("/api/v1/drill")).json() == {"drill": None}
            started = await web.post("/api/v1/drill", json={"timeout": "90s", "by": "ana"})
            assert (started.status_code, drills.started) == (201, [(90.0, "ana")])
            assert started.json()["drill"] == {
                "id": "k7m2xq",
                "by": "ana",
                "startedAt": "2023-11-14T22:13:20+00:00",
                "timeoutSeconds": 90.0,
                "endedAt": None,
                "result": "running",
                "links": [
                    {"link": "broken", "seconds": 0.0},
                    {"link": "scraped", "seconds": None},
                    {"link": "firing", "seconds": None},
                    {"link": "received", "seconds": None},
                ],
                "scraper": "",
                "missing": None,
                "why": "",
            }
            assert (await web.get("/api/v1/drill")).json() == started.json()
            assert (await web.post("/api/v1/drill", json={})).status_code == 409
            ended = await web.delete("/api/v1/drill/k7m2xq")
            assert (ended.status_code, ended.json()["drill"]["result"]) == (200, "cancelled")
            assert ended.json()["drill"]["endedAt"] == "2023-11-14T22:13:27+00:00"
            assert (await web.delete("/api/v1/drill/other")).status_code == 404

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ({"timeout": "soon"}, "such as 90s"),
            ({"timeout": "31m"}, "at most 30m"),
            ({"timeout": "0s"}, "more than 35s"),
            ({"timeout": "35s"}, "more than 35s"),
            ({"timeout": 90}, "must be text"),
            ({"by": None}, "must be text"),
            ({"by": "a" * 101}, "by must be up to 100"),
            ({"by": "ana\nben"}, "by must be up to 100"),
            ({"relay": "demo"}, "unknown key 'relay'; expected by, timeout"),
        ],
    )
    async def test_a_wrong_request_is_answered_with_what_is_allowed(self, body: dict[str, Any], message: str) -> None:
        drills = FakeDrills()
        async with client(drills=drills) as web:
            response = await web.post("/api/v1/drill", json=body)
        assert (response.status_code, drills.newest) == (400, None)
        assert message in response.json()["error"]

    async def test_another_host_may_not_start_or_end_one(self) -> None:
        drills = FakeDrills()
        async with from_elsewhere(build_app(state(drills=drills))) as web:
            assert (await web.post("/api/v1/drill", json={})).status_code == 403
            drills.start(None, "ana")
            assert (await web.delete("/api/v1/drill/k7m2xq")).status_code == 403
            assert (await web.get("/api/v1/drill")).json()["drill"]["result"] == "running"


class TestThePage:
    async def test_the_last_drill_is_one_of_the_facts(self) -> None:
        last = DrillView(ended_at=NOW - timedelta(hours=3), seconds=16.93, why="")
        async with client(status=serving(view(drill=last))) as web:
            page = (await web.get("/")).text
        assert re.search(r"last drill: page in 16\.9 s, <time[^>]*>3 h", page), page

    async def test_one_that_failed_is_a_notice(self) -> None:
        last = DrillView(ended_at=NOW - timedelta(hours=3), seconds=None, why=f"Prometheus {EVIL}")
        async with client(status=serving(view(drill=last))) as web:
            page = (await web.get("/")).text
        assert "The last drill failed" in page
        assert EVIL not in page


class TestScrapes:
    async def test_a_scrape_of_prometheus_counts(self) -> None:
        drills = FakeDrills()
        drills.start(None, "ana")
        async with client(drills=drills) as web:
            await web.get("/metrics")  # by a person
            assert drills.state("scraped", "scraper") == (None, "")
            await web.get("/metrics", headers=PROMETHEUS)
        assert drills.state("scraped", "scraper") == (7.0, "Prometheus/2.42.0")

    async def test_a_drill_that_begins_while_the_page_is_rendered_is_not_on_it(self) -> None:
        drills = FakeDrills()

        def render(_: str) -> tuple[bytes, str]:
            drills.start(None, "ana")
            return b"", "text/plain"

        async with client(drills=drills, metrics=render) as web:
            await web.get("/metrics", headers=PROMETHEUS)
        assert drills.newest is not None
        assert drills.newest.scraped is None


class TestWebhook:
    async def test_the_notification_of_the_running_drill_ends_it(self) -> None:
        drills = FakeDrills()
        drills.start(None, "ana")
        async with from_elsewhere(build_app(state(drills=drills))) as web:
            response = await web.post(WEBHOOK, json=notification())
        assert (response.status_code, response.text) == (200, "received\n")
        assert drills.state("received", "firing") == (7.0, pytest.approx(5.391))

    @pytest.mark.parametrize(
        "changed",
        [
            notification(drill="other"),
            notification(drill=""),
            notification(alertname="RelayDown"),
            notification() | {"alerts": []},
            notification() | {"alerts": [notification()["alerts"][0] | {"status": "resolved"}]},
        ],
    )
    async def test_another_notification_changes_nothing(self, changed: dict[str, Any]) -> None:
        drills = FakeDrills()
        before = drills.start(None, "ana")
        async with client(drills=drills) as web:
            response = await web.post(WEBHOOK, json=changed)
        assert (response.status_code, response.text.partition(":")[0]) == (200, "ignored")
        assert drills.newest is before

    @pytest.mark.parametrize(
        ("body", "kind", "code"),
        [
            (b"{", "application/json", 400),
            (b"[]", "application/json", 400),
            (b'{"alerts": [{"labels": {"drill": 1}}]}', "application/json", 400),
            (b"[" * 10_000, "application/json", 400),
            (b'{"version":"' + b"x" * MAX_BODY + b'"}', "application/json", 413),
            (b"{}", "text/plain", 415),
        ],
    )
    async def test_another_body_is_refused(self, body: bytes, kind: str, code: int) -> None:
        async with client(drills=FakeDrills()) as web:
            assert (await web.post(WEBHOOK, content=body, headers={"Content-Type": kind})).status_code == code

    async def test_notifications_are_limited(self) -> None:
        drills = FakeDrills()
        async with client(drills=drills) as web:
            codes = [(await web.post(WEBHOOK, json=notification())).status_code for _ in range(MAX_NOTIFICATIONS + 5)]
            drills.start(None, "ana")
            running = await web.post(WEBHOOK, json=notification())
        assert codes[:MAX_NOTIFICATIONS] == [200] * MAX_NOTIFICATIONS
        assert codes[-1] == 503
        assert running.text == "received\n"

    async def test_it_needs_the_right_to_read_only(self, tmp_path: Path) -> None:
        users = {"reader": "r", "writer": "w"}
        hashes = {name: bcrypt.hashpw(word.encode(), bcrypt.gensalt(4)).decode() for name, word in users.items()}
        path = tmp_path / "web.yml"
        path.write_text(
            f"basic_auth_users: {{reader: '{hashes['reader']}'}}\n"
            f"basic_auth_write_users: {{writer: '{hashes['writer']}'}}\n"
        )
        app = build_app(state(drills=FakeDrills()), WebAuth(read_security(path)))
        async with from_elsewhere(app) as web:
            for user in users.items():
                assert (await web.post(WEBHOOK, json=notification(), auth=user)).status_code == 200
            assert (await web.post(WEBHOOK, json=notification())).status_code == 401
            assert (await web.post("/api/v1/drill", json={}, auth=("reader", "r"))).status_code == 401
            # The user is part of the name in the log, and is not cut off by a longer one.
            long = await web.post("/api/v1/drill", json={"by": "a" * 95}, auth=("writer", "w"))
            assert (long.status_code, long.json()["error"][:5]) == (400, "by mu")
            started = await web.post("/api/v1/drill", json={"by": "ana"}, auth=("writer", "w"))
            assert (started.status_code, started.json()["drill"]["by"]) == (201, "ana (writer)")

    async def test_with_a_token_the_id_is_not_enough(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("a token of the drills\n")
        drills = FakeDrills(token_file=tmp_path / "token")
        drills.start(None, "ana")
        async with from_elsewhere(build_app(state(drills=drills))) as web:
            for given in ("", "Bearer", "Bearer another", "Basic a token of the drills", "a token of the drills"):
                response = await web.post(WEBHOOK, json=notification(), headers={"Authorization": given})
                assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
            response = await web.post(WEBHOOK, json=notification(), headers={b"Authorization": b"Bearer \xe9"})
            assert response.status_code == 401
            assert drills.state("received") == (None,)
            response = await web.post(WEBHOOK, json=notification(), headers=TOKEN)
            assert (response.status_code, response.text) == (200, "received\n")

    async def test_the_token_stands_for_a_user_and_no_user_for_the_token(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("a token of the drills")
        hashed = bcrypt.hashpw(b"r", bcrypt.gensalt(4)).decode()
        (tmp_path / "web.yml").write_text(f"basic_auth_users: {{reader: '{hashed}'}}\n")
        auth = WebAuth(read_security(tmp_path / "web.yml"))
        drills = FakeDrills(token_file=tmp_path / "token")
        async with from_elsewhere(build_app(state(drills=drills), auth)) as web:
            assert (await web.post(WEBHOOK, json=notification(), headers=TOKEN)).status_code == 200
            assert (await web.post(WEBHOOK, json=notification(), auth=("reader", "r"))).status_code == 401
            assert (await web.get("/api/v1/drill", headers=TOKEN)).status_code == 401
            drills.token_file = None
            assert (await web.post(WEBHOOK, json=notification(), headers=TOKEN)).status_code == 401
            assert (await web.post(WEBHOOK, json=notification(), auth=("reader", "r"))).status_code == 200

    async def test_a_token_that_cannot_be_read_is_read_again_with_the_next_notification(self, tmp_path: Path) -> None:
        drills = FakeDrills(token_file=tmp_path / "token")
        drills.start(None, "ana")
        async with client(drills=drills) as web:
            assert (await web.post(WEBHOOK, json=notification(), headers=TOKEN)).status_code == 503
            (tmp_path / "token").write_text("a token of the drills")
            assert (await web.post(WEBHOOK, json=notification(), headers=TOKEN)).text == "received\n"

    async def test_a_mount_that_hangs_costs_one_thread(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Anybody can post without a token, so that threads would be many."""
        monkeypatch.setattr(drill, "READ_TIMEOUT", 0.05)
        reads, release = [], threading.Event()

        def hang(path: Path) -> str:
            reads.append(path)
            release.wait(10)
            return "a token of the drills"

        monkeypatch.setattr(drill, "reveal", hang)
        async with client(drills=FakeDrills(token_file=tmp_path / "token")) as web:
            codes = [(await web.post(WEBHOOK, json=notification(), headers=TOKEN)).status_code for _ in range(3)]
            assert (codes, len(reads)) == ([503] * 3, 1)
            release.set()
            async with asyncio.timeout(WAIT):
                while (await web.post(WEBHOOK, json=notification(), headers=TOKEN)).status_code != 200:
                    pass  # the read has not ended yet

    async def test_a_page_of_another_site_cannot_send_one(self) -> None:
        async with client(drills=FakeDrills()) as web:
            response = await web.post(WEBHOOK, json=notification(), headers={"Origin": "https://evil.example"})
        assert response.status_code == 403
