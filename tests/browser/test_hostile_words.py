"""Show that a relay's hostile words are harmless in pages, log and API."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.browser.checks import assert_fits
from tests.browser.hostile import MARK, SCRIPTS
from tests.browser.views import PHONE, picture
from tests.relays import ROOT

if TYPE_CHECKING:
    from tests.browser.hostile import Hostile
    from tests.browser.views import Views

pytestmark = [pytest.mark.required_counterpart("Chromium"), pytest.mark.timeout(240)]

MAX_PAGE_BYTES = 300_000
MAX_LOG_LINE = 2000
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
"""Control characters but tab and newline, and characters that are invisible or change the direction of text."""


def pages(hostile: Hostile) -> list[str]:
    """Return the pages that show a relay's words: the overview, a failed run of each relay, and incidents."""
    runs = [
        hostile.daemon.get(f"/api/v1/runs?relay={name}&outcome=failed&limit=1").json()["runs"][0] for name in SCRIPTS
    ]
    incidents = hostile.daemon.get("/api/v1/incidents").json()["incidents"]
    assert {incident["relay"] for incident in incidents} == set(SCRIPTS)
    return [
        "/",
        "/?relay=megabyte",
        "/incidents",
        *(f"/runs/{run['id']}" for run in runs),
        *(f"/incidents/{incident['id']}" for incident in incidents),
    ]


def test_pages_show_hostile_words_as_text(hostile: Hostile, views: Views) -> None:
    shown = 0
    for path in pages(hostile):
        body = hostile.daemon.get(path)
        assert len(body.content) < MAX_PAGE_BYTES
        assert not FORBIDDEN.search(body.text), FORBIDDEN.search(body.text)
        with views.open(hostile.daemon.url + path, PHONE) as page:
            picture(page, f"hostile{re.sub(r'[^a-z]+', '-', path)}", full_page=True)
            assert page.evaluate("window.pwned") is None
            assert page.locator("img, iframe, object, embed, [onerror], script:not([src])").count() == 0
            assert_fits(page)
            shown += MARK in page.inner_text("body")
    assert shown > len(SCRIPTS) / 2, "the words are not shown, so nothing was tried"


def test_the_log_has_no_control_characters_and_short_lines(hostile: Hostile) -> None:
    log = hostile.daemon.log.read_bytes().decode("utf-8")
    assert MARK in log
    assert not FORBIDDEN.search(log), FORBIDDEN.search(log)
    assert max(map(len, log.splitlines())) <= MAX_LOG_LINE
    assert not re.search("^forged", log, re.MULTILINE)


@pytest.mark.parametrize("path", ["/api/v1/status", "/api/v1/runs?outcome=failed&limit=20"])
def test_the_api_has_no_control_characters(hostile: Hostile, path: str) -> None:
    response = hostile.daemon.get(path)
    assert response.headers["content-type"].startswith("application/json")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert MARK in response.text
    assert len(response.content) < MAX_PAGE_BYTES
    assert not FORBIDDEN.search(response.text)


def test_markdown_quotes_hostile_words(hostile: Hostile) -> None:
    for incident in hostile.daemon.get("/api/v1/incidents").json()["incidents"]:
        text = hostile.daemon.get(f"/incidents/{incident['id']}.md").text
        assert not FORBIDDEN.search(text)
        # HTML stands in code or is escaped, so that a post-mortem shows it as text.
        assert "<script" not in re.sub(r"`[^`\n]*`|\\<", "", text)


def test_the_status_command_prints_no_control_characters(hostile: Hostile) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "monitor", "status", "--url", hostile.daemon.url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 1, done.stderr
    assert all(name in done.stdout for name in SCRIPTS)
    assert not FORBIDDEN.search(done.stdout), FORBIDDEN.search(done.stdout)


def test_metrics_have_no_hostile_words(hostile: Hostile) -> None:
    assert MARK not in hostile.daemon.get("/metrics").text
