"""The pages of the site, and the files that they link: copied as they are, in the folders that they have here."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from tests.relays import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES: Final = ("*.md", "docs/**/*.md")
"""Pages by pattern, from the top of the project."""

THEME: Final = (Path("docs/site.css"), Path("monitor/web/static/ok.svg"))
"""What zensical.toml names beside pages."""

LINK: Final = re.compile(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$", re.MULTILINE)


def pages(root: Path = ROOT) -> list[Path]:
    """Return the paths of all pages, relative to the top of the project."""
    return sorted(path.relative_to(root) for pattern in PAGES for path in root.glob(pattern))


def linked_files(page: Path, root: Path = ROOT) -> Iterator[Path]:
    """Yield the files of the project, other than pages, to which a page links."""
    text = re.sub(r"^ *```.*?^ *```", "", (root / page).read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in (first or second for first, second in LINK.findall(text)):
        path = target.partition("#")[0]
        if path and ":" not in path and not path.endswith(".md"):
            yield (root / page.parent / unquote(path)).resolve().relative_to(root)


def copy(folder: Path, root: Path = ROOT) -> list[Path]:
    """Copy the pages and what they link into an empty folder; return the pages."""
    if folder.exists():
        shutil.rmtree(folder)
    found = pages(root)
    tracked = set(
        subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=root,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()
    )
    for path in {*found, *THEME, *(file for page in found for file in linked_files(page, root))}:
        if path.as_posix() in tracked:  # otherwise the link is broken, which the build reports
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / path, folder / path)
    return found
