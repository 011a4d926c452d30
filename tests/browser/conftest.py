"""One browser and the daemons that all tests of this folder look at."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.browser.hostile import Hostile
from tests.browser.many_relays import ManyRelays
from tests.browser.relays import Relays
from tests.browser.troubles import Troubles
from tests.browser.views import Views

if TYPE_CHECKING:
    from collections.abc import Iterator

EXPECT_TIMEOUT = 20_000
"""Milliseconds in which a page must show what a test expects, on a busy machine."""

REBOUND = "rebound.example"
"""A name of another site that resolves to this host in the browser."""

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")


@pytest.fixture(scope="session")
def views() -> Iterator[Views]:
    """The browser: Debian's, since Playwright's own download is not pinned by a lock."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        # The tests of CI run as root, for whom Chromium has no sandbox.
        arguments = ["--no-sandbox", f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        expect.set_options(timeout=EXPECT_TIMEOUT)
        yield Views(browser)
        browser.close()


@pytest.fixture(scope="session")
def relays() -> Iterator[Relays]:
    """The loop of the embedded relays."""
    with Relays() as running:
        yield running


@pytest.fixture(scope="module")
def many_relays(tmp_path_factory: pytest.TempPathFactory, relays: Relays) -> Iterator[ManyRelays]:
    """Forty relays, all up."""
    with ManyRelays.started(tmp_path_factory.mktemp("many_relays"), relays) as running:
        yield running


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, relays: Relays) -> Iterator[Hostile]:
    """Relays whose words are hostile, all down."""
    with Hostile.started(tmp_path_factory.mktemp("hostile"), relays) as running:
        yield running


@pytest.fixture(scope="session")
def troubles(tmp_path_factory: pytest.TempPathFactory, relays: Relays) -> Iterator[Troubles]:
    """Relays in each kind of trouble, for long enough that the daemon has found it."""
    folder = tmp_path_factory.mktemp("troubles")
    with Troubles.started(folder, relays) as running:
        yield running
