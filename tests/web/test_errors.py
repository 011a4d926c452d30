from __future__ import annotations

import httpx
import pytest

from monitor.web import build_app
from tests.web.site import client, state
from tests.web.test_pages import UNKNOWN

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize("path", ["/nothing", f"/incidents/{UNKNOWN}", "/static/nothing.css"])
async def test_a_browser_gets_a_page_with_a_way_back(path: str) -> None:
    async with client() as web:
        page = await web.get(path, headers=BROWSER)
        text = await web.get(path)
    assert page.status_code == text.status_code == 404
    assert '<a href="/">All relays</a>' in page.text
    assert 'http-equiv="refresh"' not in page.text
    assert text.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(("path", "kind"), [("/", "text/html"), ("/api/v1/status", "application/json")])
async def test_a_bug_is_a_page_that_loads_again(path: str, kind: str) -> None:
    async def status() -> object:
        raise RuntimeError("a bug")

    transport = httpx.ASGITransport(build_app(state(status=status)), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://monitor.test") as web:
        response = await web.get(path, headers=BROWSER)
    assert ('http-equiv="refresh"' in response.text) == (kind == "text/html")
    assert response.status_code == 500
    assert response.headers["content-type"].startswith(kind)
    assert "Internal error of this monitor; see its log" in response.text
    assert "a bug" not in response.text
