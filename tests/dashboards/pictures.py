"""Pictures of pages, taken with Chromium and made small."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from typing import TYPE_CHECKING, Any, Final, Self

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
FREQUENT: Final = 64
"""Colours of a picture that stay as they are: backgrounds, bars, text."""

OTHERS: Final = 192
"""Colours that stand for all others, among them those of a legend, which few pixels have."""


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
        _with_few_colours(picture.convert("RGB")).save(file, optimize=True)


def _with_few_colours(picture: Image.Image) -> Image.Image:
    counted: list[tuple[int, Any]] = sorted(picture.getcolors(picture.width * picture.height) or [], reverse=True)
    frequent = [part for _, colour in counted[:FREQUENT] for part in colour]
    others = picture.quantize(OTHERS, Image.Quantize.MAXCOVERAGE).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([*frequent, *others[: 3 * OTHERS]])
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)
