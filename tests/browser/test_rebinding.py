"""DNS rebinding by a real browser: a page whose name resolves to the monitor reads nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.browser.conftest import REBOUND

if TYPE_CHECKING:
    from tests.browser.troubles import Troubles
    from tests.browser.views import Views

pytestmark = [pytest.mark.required_counterpart("Chromium"), pytest.mark.timeout(240)]

READ = """async ([path, headers]) => {
  const response = await fetch(path, {headers, referrerPolicy: "no-referrer", credentials: "omit", cache: "no-store"});
  return [response.status, await response.text()];
}"""

WITH_XHR = """(path) => new Promise((resolve) => {
  const request = new XMLHttpRequest();
  request.open("GET", path);
  request.setRequestHeader("Accept-Language", "");
  request.onloadend = () => resolve([request.status, request.responseText]);
  request.send();
})"""


def test_a_page_of_another_site_reads_nothing(troubles: Troubles, views: Views) -> None:
    """All headers are its own, but for `Host`, and `Accept-Language`, which it can change and not leave out."""
    context = views.browser.new_context()
    try:
        page = context.new_page()
        opened = page.goto(f"http://{REBOUND}:{urlsplit(troubles.daemon.url).port}/-/healthy")
        assert opened is not None
        assert opened.status == 200  # it has got to the monitor, and may run scripts there
        for path in ("/", "/api/v1/status", "/metrics"):
            for headers in ({}, {"Accept-Language": ""}, {"X-Prometheus-Scrape-Timeout-Seconds": "10"}):
                status, text = page.evaluate(READ, [path, headers])
                assert (status, "not known as rebound.example" in text) == (421, True), (path, headers)
            assert page.evaluate(WITH_XHR, path)[0] == 421
    finally:
        context.close()
    assert troubles.daemon.get("/metrics").status_code == 200
