"""What is wrong with a built site: links without a target, requests to other hosts, pages that differ from GitHub's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from tests.site.structure import Page, as_on_github, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

FETCHED_BY_A_STYLE: Final = re.compile(r"""(?:url\(|@import )\s*["']?(https?:)?//""")


def site_of(folder: Path) -> dict[Path, Page]:
    """Return each page of HTML by its path in the site."""
    return {path.relative_to(folder): read(path.read_text("utf-8")) for path in sorted(folder.rglob("*.html"))}


def html_of(page: Path) -> Path:
    """Return where a page is in the site."""
    return page.with_name("index.html") if page.name == "README.md" else page.with_suffix(".html")


def broken_links(site: Mapping[Path, Page], folder: Path) -> Iterator[str]:
    """Yield a line for each link of the site that leads to no file, page or anchor of it."""
    for path, page in site.items():
        if path.name == "404.html":  # its links begin at the top, wherever that will be
            continue
        for link in dict.fromkeys([*page.links, *page.loaded]):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = _target(path, unquote(parts.path), folder)
            if target is None:
                yield f"{path}: {link} leads to nothing"
            elif parts.fragment and target in site and unquote(parts.fragment) not in site[target].anchors:
                yield f"{path}: {link}: there is no such anchor"


def _target(path: Path, link: str, folder: Path) -> Path | None:
    """Return the file that a link leads to, by its path in the site, or None."""
    found = (folder / path.parent / link).resolve() if link else (folder / path).resolve()
    if found.is_dir():
        found /= "index.html"
    return found.relative_to(folder.resolve()) if found.is_file() and found.is_relative_to(folder.resolve()) else None


def foreign_requests(site: Mapping[Path, Page], folder: Path) -> Iterator[str]:
    """Yield a line for each thing that a browser would request from another host."""
    for path, page in site.items():
        yield from (f"{path}: requests {url}" for url in page.loaded if urlsplit(url).netloc)
    for style in sorted(folder.rglob("*.css")):
        if found := FETCHED_BY_A_STYLE.search(style.read_text("utf-8")):
            yield f"{style.relative_to(folder)}: requests something from another host ({found.group()}…)"


def unlike_github(site: Mapping[Path, Page], pages: Iterable[Path], root: Path) -> Iterator[str]:
    """Yield a line for each page that is missing, or consists of other blocks than on GitHub.

    The usual reason is a block within a list: the site needs four spaces before it, and an empty line before a list.
    """
    for page in pages:
        built = site.get(html_of(page))
        if built is None:
            yield f"{page}: is not part of the site"
            continue
        expected = as_on_github((root / page).read_text("utf-8"))
        if differences := [
            f"{built.blocks[tag]} <{tag}> for {expected[tag]}"
            for tag in sorted(expected.keys() | built.blocks.keys())
            if built.blocks[tag] != expected[tag]
        ]:
            yield f"{page}: {', '.join(differences)}"


def not_in_the_navigation(site: Mapping[Path, Page], pages: Iterable[Path]) -> Iterator[str]:
    """Yield a line for each page to which the navigation of the first page does not lead."""
    linked = {(Path() / unquote(urlsplit(link).path)).as_posix() for link in site[Path("index.html")].links}
    for page in pages:
        built = html_of(page)
        if built.as_posix() not in linked and built != Path("index.html"):
            yield f"{page}: is not in the navigation (zensical.toml)"


def unsearchable(folder: Path, pages: Iterable[Path]) -> Iterator[str]:
    """Yield a line for each page that the index of the search lacks."""
    indexes = [path for path in folder.rglob("search*") if path.suffix in {".json", ".js"}]
    text = "".join(path.read_text("utf-8") for path in indexes)
    yield from (f"{page}: is not in the index of the search" for page in pages if html_of(page).as_posix() not in text)
