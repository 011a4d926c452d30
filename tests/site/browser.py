"""Open every page of the built site in Chromium: none is wider than the screen or requests another host."""

from __future__ import annotations

import http.server
import shutil
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from playwright.sync_api import sync_playwright

from tests.browser.conftest import CHROMIUM
from tests.browser.views import DESKTOP, PHONE, PICTURES, Views

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page

FOLDER: Final = PICTURES / "site"

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
    """Open each page in four views; yield what is wrong, and leave pictures in build/pictures/site."""
    if CHROMIUM is None:
        yield "there is no Chromium: apt-get install chromium"
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with served(folder) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        views = Views(browser)
        for path in pages:
            yield from _faults_of(views, f"{address}/{path.as_posix()}", "-".join(path.with_suffix("").parts))
        browser.close()


def _faults_of(views: Views, url: str, name: str) -> Iterator[str]:
    for size, width in ((PHONE, "phone"), (DESKTOP, "desktop")):
        for scheme in ("light", "dark"):
            try:
                with views.open(url, size, scheme) as page:
                    yield from (f"{name}, {width}: {line}" for line in _too_wide(page))
                    page.screenshot(path=FOLDER / f"{name}-{width}-{scheme}.png")
            except AssertionError as error:  # of what the browser complains
                yield f"{name}, {width}, {scheme}: {error}"


def _too_wide(page: Page) -> Iterator[str]:
    if (pixels := page.evaluate(SIDEWAYS)) > 0:
        yield f"is {pixels} pixels wider than the screen"
