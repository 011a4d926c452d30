"""Pictures of pages, taken with Chromium and made small."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from typing import TYPE_CHECKING, Final, Self

from PIL import Image
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from tests.dashboards.page import Page

CHROMIUM: Final = os.environ.get("CHROMIUM") or shutil.which("chromium")

FIRST_SCREEN: Final = 900
"""Pixels of height that a person sees without scrolling."""

MAX_HEIGHT: Final = 8000
COLOURS: Final = 256
"""Colours of a picture."""


class Camera:
    """A browser. As a context manager it is started and closed."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        playwright = self._stack.enter_context(sync_playwright())
        # Root has no sandbox.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        self._stack.callback(browser.close)
        self._page = browser.new_page()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def photograph(self, page: Page, file: Path, height: int | None = None) -> None:
        """Write a picture of a page, or of its first pixels."""
        self._page.set_viewport_size({"width": page.width, "height": min(height or page.height, MAX_HEIGHT)})
        self._page.set_content(page.html)
        picture = Image.open(io.BytesIO(self._page.screenshot()))
        # The method that keeps colours of few pixels as they are: those of a legend must be those of its series.
        small = picture.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        small.save(file, optimize=True)
