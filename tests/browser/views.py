"""Views of a page: its size and colour scheme, what a browser complains of, and pictures of it."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

from tests.relays import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page, Request, ViewportSize

DESKTOP: Final[ViewportSize] = {"width": 1280, "height": 800}
PHONE: Final[ViewportSize] = {"width": 390, "height": 844}

Scheme = Literal["light", "dark"]

PICTURES: Final = ROOT / "build" / "pictures"

DOCUMENTED: Final = os.environ.get("SCREENSHOTS")
"""Folder of the documentation's pictures; `make screenshots` sets it."""


@dataclass(slots=True)
class Views:
    """Opens pages in one browser, each in a context of its own."""

    browser: Browser
    complaints: list[str] = field(default_factory=list)
    """Errors on the console, exceptions, failed requests, and requests to other hosts, of the open page."""

    @contextlib.contextmanager
    def open(
        self, url: str, size: ViewportSize = DESKTOP, scheme: Scheme = "light", *, scripts: bool = True
    ) -> Iterator[Page]:
        """Open a page; at the end, assert that the browser had nothing to complain of."""
        context = self.browser.new_context(
            viewport=size, color_scheme=scheme, reduced_motion="reduce", java_script_enabled=scripts
        )
        self.complaints.clear()
        host = urlsplit(url).netloc
        context.on("weberror", lambda error: self.complaints.append(f"exception: {error.error}"))
        context.on(
            "console",
            lambda line: self.complaints.append(f"console: {line.text}") if line.type in {"error", "warning"} else None,
        )
        context.on("request", lambda request: self._check_host(request, host))
        try:
            page = context.new_page()
            page.goto(url, wait_until="load")
            yield page
            assert not self.complaints, self.complaints
        finally:
            context.close()

    def _check_host(self, request: Request, host: str) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in {"data", "blob"} and parts.netloc != host:
            self.complaints.append(f"request to another host: {request.url}")


def picture(page: Page, name: str, *, full_page: bool = False, documented: str = "") -> None:
    """Write a picture of what a person sees first, or of the whole page, and the same as one of the documentation.

    CI has nobody to look at them, and little time.
    """
    if os.environ.get("CI") == "true":
        return
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=full_page, animations="disabled")
    if documented and DOCUMENTED:
        shutil.copyfile(PICTURES / f"{name}.png", ROOT / DOCUMENTED / f"{documented}.png")
