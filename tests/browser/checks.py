"""What must hold for every page: no sideways scroll, no broken words, no serious finding of axe, reachable by keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from axe_playwright_python.sync_playwright import Axe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from playwright.sync_api import Page

SERIOUS: Final = frozenset({"serious", "critical"})
MAX_KEYS: Final = 400
"""Tab keys until the walk must be round."""

BROKEN_WORDS: Final = r"""() => {
  const broken = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (!node.parentElement.checkVisibility()) continue;
    // Long identifiers, paths and addresses may break.
    for (const found of node.data.matchAll(/(?<![A-Za-z])[A-Za-z]{2,20}(?![A-Za-z])/g)) {
      const range = document.createRange();
      range.setStart(node, found.index);
      range.setEnd(node, found.index + found[0].length);
      const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
      if (lines.size > 1) broken.add(found[0]);
    }
  }
  return [...broken];
}"""

CLIPPED: Final = r"""() => {
  const clipped = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const text = node.data.trim();
    if (!text || !node.parentElement.checkVisibility()) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (let element = node.parentElement; element; element = element.parentElement) {
      const style = getComputedStyle(element);
      if (!["hidden", "clip"].includes(style.overflowX) || style.textOverflow === "ellipsis") continue;
      const room = element.getBoundingClientRect();
      // An element of a pixel is for screen readers.
      if (room.width > 2 && [...range.getClientRects()].some((box) => box.right > room.right + 1)) clipped.add(text);
    }
  }
  return [...clipped];
}"""

WIDE: Final = """() => [...document.body.querySelectorAll("*")]
  .filter((element) => element.getBoundingClientRect().right > innerWidth)
  .map((element) => element.outerHTML.slice(0, 120))"""

FOCUSED: Final = """() => {
  const element = document.activeElement;
  if (!element || element === document.body) return null;
  const box = element.getBoundingClientRect();
  const style = getComputedStyle(element);
  const before = window.lastFocused;
  // An update may have removed it.
  const forward = !before?.isConnected || Boolean(before.compareDocumentPosition(element) & 4);
  window.lastFocused = element;
  window.firstFocused ??= element;
  return {
    name: (element.getAttribute("aria-label") || element.textContent || element.getAttribute("name") || "").trim(),
    tag: element.tagName,
    marked: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== "none",
    onScreen: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
    forward,
    again: element === window.firstFocused,
  };
}"""


def assert_fits(page: Page) -> None:
    """Assert that the page does not scroll sideways, cuts off no text and breaks no word."""
    width, room = page.evaluate("[document.scrollingElement.scrollWidth, innerWidth]")
    wide = page.evaluate(WIDE) if width > room else []
    assert width <= room, f"{page.url}: {width} px wide in a window of {room}: {wide[-3:]}"
    clipped = page.evaluate(CLIPPED)
    assert not clipped, f"{page.url}: text is cut off: {clipped}"
    broken = page.evaluate(BROKEN_WORDS)
    assert not broken, f"{page.url}: words break inside: {broken}"


def assert_accessible(page: Page) -> None:
    """Assert that axe has no serious finding."""
    found = Axe().run(page).response["violations"]
    serious = [_described(item) for item in found if item["impact"] in SERIOUS]
    assert not serious, f"{page.url}:\n" + "\n".join(serious)


def _described(finding: dict[str, Any]) -> str:
    where = "; ".join(f"{node['html'][:160]} – {node['failureSummary'][:200]}" for node in finding["nodes"][:3])
    return f"{finding['impact']} {finding['id']}: {finding['help']}: {where}"


def walk(page: Page) -> list[dict[str, Any]]:
    """Press the Tab key until the focus leaves the page, and return where it was.

    Asserts that the focus is visible, on the screen, and goes forward only.
    """
    stops: list[dict[str, Any]] = []
    while len(stops) < MAX_KEYS:
        page.keyboard.press("Tab")
        stop: dict[str, Any] | None = page.evaluate(FOCUSED)
        if stop is None or (stops and stop["again"]):
            return stops
        assert stop["marked"], f"{page.url}: the focus on {stop} is not visible"
        assert stop["onScreen"], f"{page.url}: the focus on {stop} is outside the window"
        assert stop["forward"], f"{page.url}: the focus goes back to {stop}"
        stops.append(stop)
    raise AssertionError(f"{page.url}: more than {MAX_KEYS} stops")


def assert_on_first_screen(page: Page, ids: Iterable[str]) -> None:
    """Assert that the elements with these ids are wholly visible without scrolling."""
    size = page.viewport_size
    assert size is not None
    assert page.evaluate("scrollY") == 0
    for element in ids:
        # In one step, since an update may replace the element at any time.
        box = page.evaluate("(id) => document.getElementById(id).getBoundingClientRect().toJSON()", element)
        assert box["height"] > 0, f"{element} is not shown"
        assert box["top"] >= 0, f"{element} begins above the window: {box}"
        assert box["bottom"] <= size["height"], f"{element} ends below the window: {box}"
