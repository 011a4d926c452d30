"""Writes figures into a page of docs/, between two comments that mark the place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def write(page: Path, name: str, lines: Sequence[str]) -> None:
    """Replace the lines between `<!-- name -->` and the next `<!-- end -->`. Raises `ValueError` without them."""
    between = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    text, found = between.subn(lambda match: match[1] + "".join(f"{line}\n" for line in lines) + match[2],
                               page.read_text("utf-8"), count=1)  # fmt: skip
    if not found:
        raise ValueError(f"{page} has no <!-- {name} --> with an <!-- end --> after it")
    page.write_text(text, encoding="utf-8")
