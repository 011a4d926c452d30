"""Forty relays, of which three fail while the page is open."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.checks import assert_accessible, assert_fits, assert_on_first_screen, walk
from tests.browser.many_relays import SIZE, STOPPABLE
from tests.browser.views import DESKTOP, PHONE, picture

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.many_relays import ManyRelays
    from tests.browser.views import Views

pytestmark = [pytest.mark.required_counterpart("Chromium"), pytest.mark.alone]

MAX_DELAY = 2.0
"""Seconds from a change of a relay's condition until an open page shows it."""

NOTE_CHANGE = """(id) => {
  window.shownAt = null;
  const look = () => {
    const relay = document.getElementById(id);
    if (window.shownAt === null && relay && relay.dataset.condition === "down") window.shownAt = Date.now() / 1000;
  };
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, attributes: true});
}"""


def test_forty_relays_that_are_up_are_one_calm_page(many_relays: ManyRelays, views: Views) -> None:
    for size, name in ((DESKTOP, "desktop"), (PHONE, "phone")):
        with views.open(many_relays.daemon.url, size) as page:
            picture(page, f"all-up-{name}")
            expect(page.locator("#banner")).to_contain_text(f"All {SIZE} relays are up")
            assert page.locator("[data-condition=up]").count() == SIZE
            assert_fits(page)
            assert_accessible(page)


def test_an_outage_is_shown_within_two_seconds_and_disturbs_nobody(many_relays: ManyRelays, views: Views) -> None:
    name = STOPPABLE[0]
    with views.open(many_relays.daemon.url) as page:
        page.evaluate(NOTE_CHANGE, f"relay-{name}")
        page.locator("input[name=q]").focus()
        page.keyboard.type("rel")
        many_relays.nodes[name].stop()
        many_relays.daemon.until_conditions({name: "down"})
        expect(page.locator(f"#relay-{name}")).to_have_attribute("data-condition", "down")
        (found,) = [
            line for line in many_relays.daemon.lines() if line["event"] == "relay is down" and line["relay"] == name
        ]
        delay = page.evaluate("window.shownAt") - many_relays.daemon.seconds_of(found)
        assert delay <= MAX_DELAY, f"shown {delay:.2f} s after the log says so"
        expect(page).to_have_title(re.compile("1 down"))
        expect(page.locator("#banner")).to_contain_text(f"1 of {SIZE} relays is down: {name}, tcp refused")
        # What a person was doing goes on.
        assert page.evaluate("document.activeElement.name") == "q"
        assert page.evaluate("document.activeElement.value") == "rel"


def test_three_relays_that_are_down_stand_on_the_first_screen(many_relays: ManyRelays, views: Views) -> None:
    for name in STOPPABLE:
        many_relays.nodes[name].stop()
    many_relays.daemon.until_conditions(dict.fromkeys(STOPPABLE, "down"))
    for size, size_name in ((DESKTOP, "desktop"), (PHONE, "phone")):
        for scheme in ("light", "dark"):
            with views.open(many_relays.daemon.url, size, scheme) as page:
                shown_in = {"desktop-light": "on-call", "phone-dark": "on-call-phone"}.get(f"{size_name}-{scheme}", "")
                picture(page, f"three-down-{size_name}-{scheme}", documented=shown_in)
                expect(page.locator("#banner")).to_contain_text(f"3 of {SIZE} relays are down")
                assert_on_first_screen(page, [f"relay-{name}" for name in STOPPABLE])
                assert_fits(page)
    assert_stays_reachable(many_relays, views)


def assert_stays_reachable(many_relays: ManyRelays, views: Views) -> None:
    """Assert that the page can be read by keyboard, filtered, and used without scripts."""
    with views.open(many_relays.daemon.url) as page:
        assert_accessible(page)
        stops = walk(page)
        for name in STOPPABLE:
            assert any(name in stop["name"] for stop in stops)
    with views.open(f"{many_relays.daemon.url}/?state=down") as page:
        assert shown(page) == set(STOPPABLE)
        expect(page.locator("select[name=state]")).to_have_value("down")
    with views.open(many_relays.daemon.url, scripts=False) as page:
        page.locator("input[name=q]").fill("relay-1")
        page.keyboard.press("Enter")
        page.wait_for_url("**q=relay-1**")
        assert shown(page) == {f"relay-1{number}" for number in range(10)}


def shown(page: Page) -> set[str]:
    """Return the relays that a page shows."""
    return {
        str(relay.get_attribute("id")).removeprefix("relay-")
        for relay in page.locator("[data-condition]").all()
        if relay.is_visible()
    }
