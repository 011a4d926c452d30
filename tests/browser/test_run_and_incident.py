"""The pages of a failed run and of an incident, and maintenance that a person starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.checks import assert_fits
from tests.browser.views import DESKTOP, PHONE, picture

if TYPE_CHECKING:
    from tests.browser.troubles import Troubles
    from tests.browser.views import Views

pytestmark = [pytest.mark.required_counterpart("Chromium"), pytest.mark.timeout(240)]


def test_a_run_says_what_was_expected_and_what_was_observed(troubles: Troubles, views: Views) -> None:
    runs = troubles.daemon.get("/api/v1/runs?relay=silent-node&probe=steady&outcome=failed&limit=20").json()["runs"]
    # One of the first has no diagnosis yet.
    run = next(run for run in runs if run["failure"]["step"] == "deliver")
    path = f"/api/v1/runs/{run['id']}"
    troubles.daemon.until(lambda: all(each["verdict"] for each in troubles.daemon.get(path).json()["messages"]))
    for size, name in ((DESKTOP, "desktop"), (PHONE, "phone")):
        with views.open(f"{troubles.daemon.url}/runs/{run['id']}", size) as page:
            picture(page, f"run-{name}", full_page=True, documented="run" if size == DESKTOP else "")
            assert_fits(page)
            expect(page.get_by_role("heading", level=1)).to_contain_text("silent-node")
            main = page.get_by_role("main")
            for words in ("Expected", "Observed", "Last good run", "stored", "dApp", "wallet"):
                expect(main).to_contain_text(words)
            expect(main.get_by_role("link", name="Incident")).to_be_visible()
            page.get_by_role("link", name="previous run").click()
            expect(page.get_by_role("heading", level=1)).to_contain_text("silent-node")
            page.get_by_role("link", name="next run").click()
            expect(page).to_have_url(f"{troubles.daemon.url}/runs/{run['id']}")


def test_an_incident_is_copied_as_markdown(troubles: Troubles, views: Views) -> None:
    with views.open(f"{troubles.daemon.url}/?relay=stopped") as page:
        page.locator("#relay-stopped").get_by_role("link", name="Incident").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("stopped")
        incident = page.url.rpartition("/")[2]
        picture(page, "incident-desktop", full_page=True, documented="incident")
        main = page.get_by_role("main")
        for words in (incident, "tcp refused", "Verdict", "eu-west", "attempts failed", "steady", "session"):
            expect(main).to_contain_text(words)
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.get_by_role("button", name="Copy as Markdown").click()
        expect(page.get_by_role("status").filter(has_text="Copied")).to_be_visible()
        copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("#")
    assert incident in copied
    assert "tcp refused" in copied
    assert troubles.daemon.get(f"/api/v1/incidents/{incident}").json()["relay"] == "stopped"


def test_maintenance_is_started_and_ended_by_hand(troubles: Troubles, views: Views) -> None:
    daemon = troubles.daemon
    with views.open(f"{daemon.url}/maintenance?relay=tokyo", PHONE) as page:
        expect(page.get_by_label("tokyo")).to_be_checked()
        page.get_by_label("For").fill("5m")
        page.get_by_label("Reason").fill("a new version")
        page.get_by_label("By").fill("operator")
        page.get_by_role("button", name="Start maintenance").click()
        expect(page.get_by_text("a new version")).to_be_visible()
        assert_fits(page)
    with views.open(daemon.url) as page:
        expect(page.locator("#relay-tokyo")).to_contain_text("maintenance")
        expect(page.locator("#relay-tokyo")).to_have_attribute("data-condition", "up")
        [window] = daemon.get("/api/v1/maintenance").json()["windows"]
        assert window["relays"] == ["tokyo"]
        with views.browser.new_context() as context:
            second = context.new_page()
            second.goto(f"{daemon.url}/maintenance")
            second.get_by_role("button", name="End").click()
            expect(second.get_by_text("a new version")).to_have_count(0)
        expect(page.locator("#relay-tokyo")).not_to_contain_text("maintenance")
