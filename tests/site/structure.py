"""What a page of HTML consists of: its blocks in numbers, its anchors, and what it refers to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCKS: Final = frozenset({"h1", "h2", "h3", "h4", "table", "tr", "pre", "ul", "ol", "li", "img", "blockquote", "code"})
"""The elements that are counted."""

LOADED: Final = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src"}
"""Elements for which a browser requests something, and the attribute with its address."""

GITHUB: Final = MarkdownIt("commonmark").enable("table")


@dataclass(slots=True)
class Page:
    """A page of HTML. `blocks` counts only what is inside `article`, if the page has one."""

    blocks: Counter[str] = field(default_factory=Counter)
    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self, *, everywhere: bool) -> None:
        super().__init__()
        self.page = Page()
        self._everywhere = everywhere
        self._articles = 0
        self._pre = 0

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "article":
            self._articles += 1
        if tag == "pre":
            self._pre += 1
        if tag in BLOCKS and (self._everywhere or self._articles) and not (tag == "code" and self._pre):
            self.page.blocks[tag] += 1
        if "id" in values:
            self.page.anchors.add(values["id"])
        if tag == "a" and "href" in values:
            self.page.links.append(values["href"])
        if values.get(LOADED.get(tag, "")) and values.get("rel") != "canonical":
            self.page.loaded.append(values[LOADED[tag]])

    def handle_endtag(self, tag: str) -> None:
        if tag == "article":
            self._articles -= 1
        if tag == "pre":
            self._pre -= 1


def read(text: str, *, everywhere: bool = False) -> Page:
    """Return what a page of HTML consists of; `everywhere` counts blocks outside of `article` too."""
    reader = _Reader(everywhere=everywhere)
    reader.feed(text)
    reader.close()
    return reader.page


def as_on_github(markdown: str) -> Counter[str]:
    """Return the blocks of a page as CommonMark with tables, which is how GitHub renders it."""
    return read(GITHUB.render(markdown), everywhere=True).blocks
