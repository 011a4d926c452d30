"""What an image contains: files that do not belong there, sizes, and the list of its components."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENVIRONMENT: Final = "opt/relay-monitor"
"""The folder with the program and its packages."""

UNCHECKED_HASH: Final = b"\x01\0\0\0"
"""The flags of compiled Python that is not compared with its source (PEP 552)."""

BUILD_TOOLS: Final = frozenset({"bin/pip", "bin/pip3", "bin/uv", "bin/gcc", "site-packages/pip", "dist-packages/pip"})


def size(path: Path) -> float:
    """Return the size of a file, or of the files in a folder, in MB."""
    files = [path] if not path.is_dir() else [each for each in path.rglob("*") if not each.is_dir()]
    return sum(each.lstat().st_size for each in files) / 1e6


def packages(root: Path) -> Path:
    """Return the folder of the environment's packages."""
    return next((root / ENVIRONMENT).glob("lib/python3*/site-packages"))


def misplaced(root: Path, user: int) -> Iterator[str]:
    """Yield what an image should not contain."""
    for path in root.rglob("*"):
        name, status = path.relative_to(root).as_posix(), path.lstat()
        if f"{path.parent.name}/{path.name}" in BUILD_TOOLS:
            yield f"/{name} is a tool of the build"
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            continue
        if status.st_uid == user or (status.st_mode & 0o002 and not status.st_mode & 0o1000):
            yield f"/{name} can be written by the user of the image"
        if path.suffix == ".pyc" and path.read_bytes()[4:8] != UNCHECKED_HASH:
            yield f"/{name} is compared with the time of its source"


def components(root: Path) -> list[str]:
    """Return the package URLs in the image's own list of components. Raises `ValueError` if the list is not valid.

    The program itself has no URL, since it was installed from a file.
    """
    text = (root / ENVIRONMENT / "sbom.cdx.json").read_text("utf-8")
    if (wrong := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)) is not None:
        raise ValueError(f"the list of components is not valid: {wrong}")
    return [component["purl"] for component in json.loads(text)["components"] if "purl" in component]


def unlisted(root: Path) -> Iterator[str]:
    """Yield the packages of Python and of Debian that the list of components lacks."""
    listed = {purl.partition("?")[0].lower() for purl in components(root)}
    for metadata in sorted(packages(root).glob("*.dist-info")):
        name, _, version = metadata.name.removesuffix(".dist-info").rpartition("-")
        purl = f"pkg:pypi/{re.sub('[-_.]+', '-', name).lower()}@{quote(version)}".lower()
        if purl not in listed and not name.startswith("relay_monitor"):
            yield f"{purl} is not in the list of components"
    names = {purl.partition("@")[0] for purl in listed}
    for files in sorted((root / "var/lib/dpkg/info").glob("*.list")):
        if (purl := f"pkg:deb/debian/{quote(files.stem.partition(':')[0]).lower()}") not in names:
            yield f"{purl} is not in the list of components"
