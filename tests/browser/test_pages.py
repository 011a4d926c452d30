"""Every kind of page that a link leads to, and what is said where there is no page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.checks import assert_accessible, assert_fits, walk
from tests.browser.views import DESKTOP, PHONE, picture

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.browser.troubles import Troubles
    from tests.browser.views import Views

pytestmark = [pytest.mark.required_counterpart("Chromium"), pytest.mark.timeout(240)]

KINDS: Final = {"/", "/?relay", "/runs/ID", "/incidents", "/incidents/ID", "/incidents?relay", "/maintenance"}
"""Kinds of pages that links must lead to from `/`."""


def kind_of(url: str) -> str:
    """Return a page's address without what distinguishes pages of one kind."""
    parts = urlsplit(url)
    path = re.sub(r"^(/runs|/incidents)/[^/]+", r"\1/ID", parts.path)
    query = ",".join(name for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    return f"{path}?{query}" if query else path


def faults_of(page: Page, *checks: Callable[[Page], object]) -> list[str]:
    """Return what the checks find, so that one page does not hide the faults of the next."""
    found = []
    for check in checks:
        try:
            check(page)
        except AssertionError as error:
            found.append(str(error))
    return found


def test_every_kind_of_page_is_legible_and_accessible(troubles: Troubles, views: Views) -> None:
    home = f"{troubles.daemon.url}/"
    found = {kind_of(home): home}
    visited: set[str] = set()
    faults: list[str] = []
    while todo := sorted(found.keys() - visited):
        kind = todo[0]
        visited.add(kind)
        response = troubles.daemon.get(found[kind].removeprefix(troubles.daemon.url))
        assert response.status_code == 200, f"{found[kind]}: {response.status_code}"
        if not response.headers["content-type"].startswith("text/html"):
            continue
        name = re.sub(r"\W+", "-", kind).strip("-") or "overview"
        with views.open(found[kind], PHONE) as page:
            picture(page, f"page-{name}-phone", full_page=True)
            faults += faults_of(page, assert_fits)
        with views.open(found[kind], DESKTOP, "dark") as page:
            picture(page, f"page-{name}-dark", full_page=True)
            faults += faults_of(page, assert_fits, assert_accessible, *([walk] if kind in KINDS else []))
            links = [urljoin(page.url, str(link.get_attribute("href"))) for link in page.locator("a[href]").all()]
        for link in links:
            if link.startswith(home):
                found.setdefault(kind_of(link.partition("#")[0]), link.partition("#")[0])
    assert not faults, "\n".join(faults)
    assert visited >= KINDS


@pytest.mark.parametrize("path", ["/runs/none", "/incidents/none", "/none"])
def test_a_page_that_does_not_exist_leads_back(troubles: Troubles, views: Views, path: str) -> None:
    with views.open(troubles.daemon.url + path) as page:
        views.complaints.clear()  # the status 404
        assert_fits(page)
        assert_accessible(page)
        page.get_by_role("link", name=re.compile("relays|back|overview", re.IGNORECASE)).first.click()
        expect(page).to_have_url(f"{troubles.daemon.url}/")
