"""The overview page in each kind of trouble."""

from __future__ import annotations

import re
import resource
from typing import TYPE_CHECKING, Final

import pytest
from playwright.sync_api import expect

from tests.browser.checks import assert_accessible, assert_fits
from tests.browser.daemon import Daemon, relay
from tests.browser.troubles import CONDITIONS
from tests.browser.views import DESKTOP, PHONE, picture
from tests.sockets import closed_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.browser.troubles import Troubles
    from tests.browser.views import Scheme, Views

pytestmark = [pytest.mark.required_counterpart("Chromium"), pytest.mark.timeout(240)]

SIZES: Final = {"desktop": DESKTOP, "phone": PHONE}

WORDS: Final = {
    "losing": ("degraded", "exchanges failed"),
    "slow": ("degraded", "exchanges over the latency threshold"),
    "refusing": ("not accepting", "new connections fail (upgrade 502", "existing ones deliver"),
    "stopped": ("down", "tcp refused"),
    "silent-node": ("degraded", "exchanges failed", "deliver silent at 127.0.0.1"),
    "no-credentials": ("unknown", "cannot be read: No such file or directory", "before that: up"),
    "deployed": ("down", "tcp refused", "maintenance"),
    "tokyo": ("up",),
    "dublin": ("up",),
}
"""What the page says of each relay."""


def test_the_page_names_each_trouble(troubles: Troubles, views: Views) -> None:
    with views.open(troubles.daemon.url) as page:
        for name, condition in CONDITIONS.items():
            relay = page.locator(f"#relay-{name}")
            expect(relay).to_have_attribute("data-condition", condition)
            for words in WORDS[name]:
                expect(relay).to_contain_text(words)
        expect(page.locator("#banner")).to_contain_text("are down: stopped")
        # Worst first; the one in maintenance is expected to be down, and stands behind those that are not.
        ids = [str(item.get_attribute("id")) for item in page.locator("[data-condition]").all()]
        names = [item.removeprefix("relay-") for item in ids]
        assert names[:2] == ["stopped", "refusing"]
        assert set(names[2:5]) == {"losing", "slow", "silent-node"}
        assert set(names[-2:]) == {"tokyo", "dublin"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_trouble_is_legible(troubles: Troubles, views: Views, size: str, scheme: Scheme) -> None:
    with views.open(troubles.daemon.url, SIZES[size], scheme) as page:
        picture(page, f"troubles-{size}-{scheme}")
        picture(page, f"troubles-{size}-{scheme}-whole", full_page=True)
        assert_fits(page)
        assert_accessible(page)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["refusing", "silent-node"])
def test_one_relay_with_all_that_is_known_of_it(troubles: Troubles, views: Views, name: str, size: str) -> None:
    with views.open(f"{troubles.daemon.url}/?relay={name}", SIZES[size]) as page:
        picture(page, f"relay-{name}-{size}", full_page=True)
        assert_fits(page)
        assert_accessible(page)
        relay = page.locator(f"#relay-{name}")
        for words in ("steady", "idle", "session", "every 10s", "round-trip", "delivery", "stability"):
            expect(relay.get_by_text(words).first).to_be_visible()


def test_a_relay_without_a_verdict_says_what_its_first_attempt_met(views: Views, tmp_path: Path) -> None:
    new = relay("new", f"ws://127.0.0.1:{closed_port()}/connection/websocket")
    new["confirm"] = {"attempts": 3, "within": "60s", "every": "60s"}  # the verdict takes half a minute
    probes = [{"name": "steady", "scenario": "steady-messaging"}]
    with Daemon(tmp_path / "daemon", {"relays": [new], "probes": probes}) as daemon:
        daemon.until(daemon.status)
        with views.open(daemon.url, PHONE) as page:
            shown = page.locator("#relay-new")
            expect(shown).to_contain_text(
                re.compile(r"first attempt \d\d:\d\d:\d\d UTC, so far tcp refused"), timeout=30_000
            )
            expect(shown).to_have_attribute("data-condition", "unknown")
            expect(page.locator("#banner")).to_contain_text("1 of 1 relay is not observed: new")
            picture(page, "unknown-phone")
            assert_fits(page)


def test_an_unhealthy_monitor_says_so_before_anything_else(troubles: Troubles, views: Views) -> None:
    daemon = troubles.daemon
    allowed = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    with views.open(daemon.url) as page:
        # Fewer descriptors than it has open: the monitor cannot trust what it measures.
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (40, allowed[1]))
        try:
            expect(page.locator("#banner")).to_contain_text("This monitor is unhealthy", timeout=30_000)
            expect(page.locator("#banner")).to_contain_text("descriptors")
            for size in SIZES:
                page.set_viewport_size(SIZES[size])
                picture(page, f"unhealthy-{size}")
                assert_fits(page)
        finally:
            resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, allowed)
        expect(page.locator("#banner")).not_to_contain_text("unhealthy", timeout=60_000)
