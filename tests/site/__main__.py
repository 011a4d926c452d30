"""Build the documentation as a site, and check it: `python -m tests.site ZENSICAL [browser]`, with that tool's path.

It exits with 1 if the build warns or a check fails, and leaves the site in build/site. With `browser`, it opens each
page in Chromium, and leaves pictures in build/pictures/site. The page of errors needs to know the address of the site:
`SITE_URL` in the environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

from tests.relays import ROOT
from tests.site import checks
from tests.site.pages import copy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def problems(folder: Path, pages: list[Path]) -> Iterator[str]:
    """Yield a line for each fault of the built site."""
    site = checks.site_of(folder)
    yield from checks.broken_links(site, folder)
    yield from checks.foreign_requests(site, folder)
    yield from checks.unlike_github(site, pages, ROOT)
    yield from checks.not_in_the_navigation(site, pages)
    yield from checks.unsearchable(folder, pages)


def published_at(url: str) -> Path:
    """Write the settings of a site with an address, and return their path; folders in them begin at the file."""
    path = ROOT / "build" / "zensical.toml"
    settings = (ROOT / "zensical.toml").read_text("utf-8").replace('_dir = "build/', '_dir = "')
    path.write_text(settings.replace("[project]\n", f'[project]\nsite_url = "{url}"\n', 1), "utf-8")
    return path


def main(program: str, *actions: str) -> int:
    """Build and check the site; return the exit status."""
    file = published_at(os.environ["SITE_URL"]) if "SITE_URL" in os.environ else ROOT / "zensical.toml"
    settings = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]
    folder = ROOT / settings["site_dir"]
    pages = copy(ROOT / settings["docs_dir"])
    if folder.exists():
        shutil.rmtree(folder)
    built = subprocess.run([program, "build", "--strict", "--clean", "--config-file", str(file)], cwd=ROOT, check=False)
    if built.returncode != 0:
        return 1
    found = list(problems(folder, pages))
    if "browser" in actions:
        from tests.site import browser  # noqa: PLC0415 - needs Playwright

        found += browser.faults(folder, [checks.html_of(page) for page in pages])
    sys.stdout.writelines(f"{line}\n" for line in found)
    sys.stdout.write(f"{len(pages)} pages in {folder.relative_to(ROOT)}: {len(found) or 'no'} faults\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
