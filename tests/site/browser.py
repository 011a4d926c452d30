"""Open every page of the built site in Chromium: none is wider than the screen or requests another host."""

from __future__ import annotations

import http.server
import shutil
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from playwright.sync_api import TimeoutError, sync_playwright  # noqa: A004 - the browser's

from tests.browser.conftest import CHROMIUM
from tests.browser.views import DESKTOP, PHONE, PICTURES, Scheme, Views

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page, ViewportSize

FOLDER: Final = PICTURES / "site"

VIEWS: Final[dict[str, tuple[ViewportSize, Scheme]]] = {"phone": (PHONE, "dark"), "desktop": (DESKTOP, "light")}

SIDEWAYS: Final = "document.scrollingElement.scrollWidth - innerWidth"
"""By how many pixels a page is wider than the screen."""


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port; yield its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, name="site")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def faults(folder: Path, pages: Iterable[Path]) -> Iterator[str]:
    """Open each page in two views; yield what is wrong, and leave pictures in build/pictures/site."""
    if CHROMIUM is None:
        yield "there is no Chromium: apt-get install chromium"
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with served(folder) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        views = Views(browser)
        yield from _search(views, f"{address}/index.html")
        for path in pages:
            for name, (size, scheme) in VIEWS.items():
                picture = f"{'-'.join(path.with_suffix('').parts)}-{name}"
                try:
                    with views.open(f"{address}/{path.as_posix()}", size, scheme) as page:
                        yield from (f"{path}, {name}: {line}" for line in _seen(page, picture))
                except AssertionError as error:  # of what the browser complains
                    yield f"{path}, {name}: {error}"
        browser.close()


def _seen(page: Page, picture: str) -> Iterator[str]:
    """Take pictures of what is seen first, and of the first table; yield a line if the page is too wide."""
    if (pixels := page.evaluate(SIDEWAYS)) > 0:
        yield f"is {pixels} pixels wider than the screen"
    page.screenshot(path=FOLDER / f"{picture}.png")
    if (table := page.locator("article table").first).count():
        table.evaluate("table => table.scrollIntoView()")
        page.screenshot(path=FOLDER / f"{picture}-table.png")


def _search(views: Views, url: str) -> Iterator[str]:
    """Search for words of one page; yield a line if it is not found."""
    with views.open(url) as page:
        page.locator(".md-search__button").click()
        page.locator("input[type=text]:focus, input[type=search]:focus").wait_for()
        page.keyboard.type("silent node")
        try:
            page.locator("a[href*='conditions.html']:visible", has_text="silent node").first.wait_for(timeout=10_000)
        except TimeoutError:
            yield "the search for 'silent node' does not find docs/conditions.html"
        page.screenshot(path=FOLDER / "search.png")
