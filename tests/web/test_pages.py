from __future__ import annotations

import asyncio
import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from monitor.errors import ConfigError, ConfigProblem, StartupError
from monitor.journal import Journal
from monitor.results import Failure
from monitor.vocabulary import Reason, Step
from monitor.web import build_app
from tests.journal.sample import FULL, run
from tests.web.site import EVIL, client, serving, state, view

if TYPE_CHECKING:
    import httpx
    from starlette.types import Message

UNKNOWN = "018f2f3a-0000-7000-8000-ffffffffffff"


def text_of(response: httpx.Response) -> str:
    """Return the visible text of a page, on one line."""
    assert response.status_code == 200
    shown: list[str] = []

    class Reader(HTMLParser):
        def handle_data(self, data: str) -> None:
            shown.append(data)

    Reader().feed(response.text)
    return re.sub(r"\s+", " ", " ".join(shown))


class TestEscaping:
    async def test_all_texts_are_escaped(self) -> None:
        async with client() as web:
            for path in ("/", f"/runs/{run(8).id}", f"/runs/{FULL.id}"):
                page = (await web.get(path)).text
                assert "<script>" not in page
                assert "<again>" not in page
            assert EVIL in text_of(await web.get("/"))


class TestHealth:
    async def test_it_is_healthy_while_it_serves(self) -> None:
        async with client() as web:
            assert (await web.get("/-/healthy")).status_code == 200

    async def test_not_ready_has_a_reason(self) -> None:
        why: list[str | None] = ["the schedule has not started yet", None]
        async with client(ready=lambda: why.pop(0)) as web:
            before, after = await web.get("/-/ready"), await web.get("/-/ready")
        assert (before.status_code, before.text) == (503, "not ready: the schedule has not started yet\n")
        assert after.status_code == 200


class TestReload:
    async def test_a_post_reloads(self) -> None:
        reloads = []

        async def reload() -> None:
            reloads.append(1)

        async with client(reload=reload) as web:
            response = await web.post("/-/reload")
            assert (response.status_code, response.text, len(reloads)) == (200, "reloaded\n", 1)

    @pytest.mark.parametrize(
        ("error", "code", "text"),
        [
            (
                ConfigError("config.yaml", [ConfigProblem(3, "relays[0].url", "is wrong")]),
                400,
                "config.yaml:3: relays[0].url",
            ),
            (StartupError("config.yaml: cannot be read"), 500, "config.yaml: cannot be read"),
        ],
    )
    async def test_an_invalid_configuration_is_answered_with_its_errors(
        self, error: Exception, code: int, text: str
    ) -> None:
        async def reload() -> None:
            raise error

        async with client(reload=reload) as web:
            response = await web.post("/-/reload")
            assert response.status_code == code
            assert text in response.text
            assert "reload failed" in response.text

    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
    async def test_other_methods_are_refused(self, method: str) -> None:
        async with client() as web:
            response = await web.request(method, "/-/reload")
            assert (response.status_code, response.headers["allow"]) == (405, "POST")

    @pytest.mark.parametrize(("site", "code"), [("cross-site", 403), ("same-site", 403), ("same-origin", 501)])
    async def test_a_cross_site_request_is_refused(self, site: str, code: int) -> None:
        async def reload() -> None:
            pytest.fail("reload was called")

        async with client(reload=None if code == 501 else reload) as web:
            assert (await web.post("/-/reload", headers={"Sec-Fetch-Site": site})).status_code == code


class TestApi:
    async def test_the_status_is_json(self) -> None:
        async with client() as web:
            body = (await web.get("/api/v1/status")).json()
        assert body["version"] == "1.2.3"
        assert [relay["up"] for relay in body["relays"]] == [False, False, None, True]

    @pytest.mark.parametrize(
        ("query", "numbers"),
        [
            ("", [8, 7, 2, 1]),
            ("relay=demo", [8, 7, 1]),
            ("relay=demo&probe=steady", [7, 1]),
            ("outcome=failed&limit=1", [8]),
            ("outcome=aborted", []),
            ("relay=%C3%A9", []),
            ("limit=500", [8, 7, 2, 1]),
        ],
    )
    async def test_runs_are_filtered(self, query: str, numbers: list[int]) -> None:
        async with client() as web:
            body = (await web.get(f"/api/v1/runs?{query}")).json()
        assert [int(item["id"][-12:], 16) for item in body["runs"]] == numbers

    @pytest.mark.parametrize(
        ("query", "says"),
        [
            ("limit=0", "limit '0' must be 1–500"),
            ("limit=501", "limit '501'"),
            ("limit=-1", "limit '-1'"),
            ("limit=", "limit ''"),
            ("limit=1e2", "limit '1e2'"),
            ("limit=%D9%A3", "limit '\u0663'"),
            ("limit=" + "1" * 5_000, "must be 1–500"),
            ("outcome=bad", "outcome 'bad' is not one of ok, failed, aborted, excluded"),
            ("relais=demo", "unknown parameter 'relais'; expected relay, probe, outcome, since, until or limit"),
            ("relay=a&relay=b", "a parameter is given twice"),
        ],
    )
    async def test_an_invalid_parameter_is_refused(self, query: str, says: str) -> None:
        async with client() as web:
            response = await web.get(f"/api/v1/runs?{query}")
        assert response.status_code == 400
        assert says in response.json()["error"]

    async def test_one_run_has_its_timeline(self) -> None:
        async with client() as web:
            body = (await web.get(f"/api/v1/runs/{FULL.id}")).json()
        assert [mark["step"] for mark in body["timeline"]] == ["tcp", "publish"]

    @pytest.mark.parametrize("path", [f"runs/{UNKNOWN}", "runs/x", "nothing", "runs/a/b"])
    async def test_not_found_is_json(self, path: str) -> None:
        async with client() as web:
            response = await web.get(f"/api/v1/{path}")
        assert response.status_code == 404
        assert response.json()["error"]

    async def test_a_list_is_sent_run_by_run(self) -> None:
        """In one piece, a list of large runs would block the event loop and need much memory."""
        store = Journal()
        for number in range(50):
            store.add(run(number, exchanges=run(1).exchanges * 200))
        app = build_app(state(journal=store))
        scope = {"type": "http", "method": "GET", "path": "/api/v1/runs", "query_string": b"", "headers": []}
        pieces: list[bytes] = []

        async def receive() -> Message:
            await asyncio.Event().wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            pieces.append(message.get("body", b""))

        await app(scope, receive, send)
        assert len(json.loads(b"".join(pieces))["runs"]) == 50
        assert max(map(len, pieces)) < 2 * sum(map(len, pieces)) / 50


class TestAllResponses:
    @pytest.mark.parametrize("path", ["/", "/runs/{}", "/api/v1/runs", "/api/v1/runs/{}"])
    async def test_a_lone_surrogate_can_be_shown(self, path: str) -> None:
        store = Journal()
        broken = Failure(step=Step.HELLO, reason=Reason.RELAY_ERROR, detail="error 100 \ud83d!")
        store.add(run(1, failed=True, failure=broken))
        assert store.flush()
        shown = view(failures=tuple(store.failures(run(1).started_at, 1)))
        async with client(journal=store, status=serving(shown)) as web:
            response = await web.get(path.format(run(1).id))
        assert response.status_code == 200
        assert "error 100" in response.text

    @pytest.mark.parametrize(
        "path", ["/", "/metrics", "/static/style.css", "/-/ready", "/api/v1/runs", "/nothing", "/-/reload"]
    )
    async def test_it_has_the_security_headers(self, path: str) -> None:
        async with client() as web:
            headers = (await web.get(path)).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"

    async def test_a_page_loads_only_its_own_files(self) -> None:
        async with client() as web:
            page = (await web.get("/")).text
            addresses = re.findall(r'(?:src|<link [^>]*href)="([^"]+)"', page)
            assert [address.partition("?")[0] for address in addresses] == [
                "/static/critical.svg",
                "/static/style.css",
                "/static/overview.css",
                "/static/page.js",
            ]
            for address in addresses:
                assert "immutable" in (await web.get(address)).headers["cache-control"]
            assert " style=" not in page
            assert "<style" not in page
            style = await web.get(addresses[1])
        assert style.headers["content-type"] == "text/css; charset=utf-8"
        assert "url(" not in style.text

    async def test_an_unknown_file_is_404(self) -> None:
        async with client() as web:
            for name in ("nothing.css", "..%2Fapp.py", "__init__.py"):
                assert (await web.get(f"/static/{name}")).status_code == 404
