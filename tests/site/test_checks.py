"""The checks of the built site find what they are for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.relays import ROOT
from tests.site import checks
from tests.site.pages import copy, linked_files, pages
from tests.site.structure import Page, as_on_github, read

if TYPE_CHECKING:
    from collections.abc import Mapping

MARKDOWN = """# Title

1. Step

    ```sh
    relay-monitor drill
    ```

2. [Step](other.md#words)

| a | b |
|---|---|
| 1 | 2 |
"""
HTML = """<nav><a href="docs/other.html">Other</a><ul><li></li></ul></nav><article><h1 id="title">Title</h1>
<ol><li><p>Step</p><div class="highlight"><pre><code>relay-monitor drill</code></pre></div></li>
<li><p><a href="docs/other.html#words">Step</a></p></li></ol>
<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table></article>"""
OTHER = '<article><h2 id="words">Words</h2><img src="../picture.png"></article>'


def written(folder: Path, **files: str) -> Mapping[Path, Page]:
    """Write a site of two pages and a picture, and read it; `files` replace its pages."""
    (folder / "docs").mkdir(exist_ok=True)
    (folder / "index.html").write_text(files.get("index", HTML))
    (folder / "docs" / "other.html").write_text(files.get("other", OTHER))
    (folder / "picture.png").write_bytes(b"")
    return checks.site_of(folder)


def test_a_good_site_has_no_faults(tmp_path: Path) -> None:
    site = written(tmp_path)
    (tmp_path / "search.json").write_text('["index.html", "docs/other.html"]')
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "README.md").write_text(MARKDOWN)
    built = [Path("README.md"), Path("docs/other.md")]
    assert [
        *checks.broken_links(site, tmp_path),
        *checks.foreign_requests(site, tmp_path),
        *checks.unlike_github(site, built[:1], tmp_path / "source"),
        *checks.not_in_the_navigation(site, built),
        *checks.unsearchable(tmp_path, built),
    ] == []


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ("docs/missing.html", "leads to nothing"),
        ("docs/other.html#missing", "there is no such anchor"),
        ("#missing", "there is no such anchor"),
        ("../outside.html", "leads to nothing"),
        ("docs/", "leads to nothing"),
    ],
)
def test_a_broken_link_is_found(tmp_path: Path, link: str, fault: str) -> None:
    (line,) = checks.broken_links(written(tmp_path, index=f'<a href="{link}"></a>'), tmp_path)
    assert line.startswith(f"index.html: {link}")
    assert line.endswith(fault)


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example.com/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example.com/css">',
        '<link rel="preconnect" href="https://fonts.example.com">',
        '<img src="http://badges.example.com/x.svg">',
    ],
)
def test_a_request_to_another_host_is_found(tmp_path: Path, html: str) -> None:
    assert len(list(checks.foreign_requests(written(tmp_path, index=html), tmp_path))) == 1


def test_a_link_to_another_host_is_no_request(tmp_path: Path) -> None:
    site = written(
        tmp_path, index='<a href="https://example.com"></a><link rel="canonical" href="https://example.com">'
    )
    assert list(checks.foreign_requests(site, tmp_path)) == []


def test_a_font_of_another_host_is_found_in_a_style(tmp_path: Path) -> None:
    site = written(tmp_path)
    (tmp_path / "style.css").write_text("@font-face { src: url('https://fonts.example.com/x.woff2') }")
    assert len(list(checks.foreign_requests(site, tmp_path))) == 1


def test_a_block_that_the_site_shows_otherwise_is_found(tmp_path: Path) -> None:
    """As where a block of code within a list has too few spaces before it."""
    (tmp_path / "README.md").write_text(MARKDOWN)
    site = written(tmp_path, index=HTML.replace("<pre>", "<p>").replace("</pre>", "</p>"))
    (line,) = checks.unlike_github(site, [Path("README.md")], tmp_path)
    assert line == "README.md: 1 <code> for 0, 0 <pre> for 1"


def test_a_page_that_was_not_built_is_found(tmp_path: Path) -> None:
    (line,) = checks.unlike_github(written(tmp_path), [Path("docs/new.md")], tmp_path)
    assert line == "docs/new.md: is not part of the site"


def test_a_page_outside_of_the_navigation_is_found(tmp_path: Path) -> None:
    (line,) = checks.not_in_the_navigation(written(tmp_path), [Path("docs/other.md"), Path("docs/new.md")])
    assert line.startswith("docs/new.md: ")


def test_a_page_that_the_search_does_not_know_is_found(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "search.json").write_text('["index.html"]')
    (line,) = checks.unsearchable(tmp_path, [Path("README.md"), Path("docs/other.md")])
    assert line.startswith("docs/other.md: ")


def test_blocks_outside_of_the_article_are_not_counted() -> None:
    assert read(HTML).blocks == as_on_github(MARKDOWN)


@pytest.mark.integration
def test_pages_and_the_files_that_they_link_keep_their_folders(tmp_path: Path) -> None:
    found = copy(tmp_path / "pages")
    assert found == pages()
    assert {Path("README.md"), Path("docs/alerts.md"), Path("docs/runbooks/RelayDown.md")} <= set(found)
    for path in [*found, Path("config.yaml"), Path("docs/img/on-call.png"), Path("docs/site.css")]:
        assert (tmp_path / "pages" / path).read_bytes() == (ROOT / path).read_bytes()


def test_a_link_in_a_block_of_code_is_not_one(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("[a](a.yaml) ![b](img/b.png)\n\n```md\n[c](c.yaml)\n```\n\n[d]: d.txt\n")
    assert [path.as_posix() for path in linked_files(Path("page.md"), tmp_path)] == ["a.yaml", "img/b.png", "d.txt"]
