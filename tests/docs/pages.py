"""Which pages a reader reads in one go."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from tests.docs.blocks import SHELL, pages, read_blocks

if TYPE_CHECKING:
    from tests.docs.blocks import Block


IN_CI: Final = frozenset({
    "README.md",
    "docs/kubernetes.md",
    "docs/operations.md",
    "docs/quick-start.md",
    "docs/watch-your-relay.md",
})  # fmt: skip
"""The pages that CI reads, in 25 s of CPU: those of a first start and of the way to production.

`make docs-commands` reads all.
"""


IN_A_CHECKOUT: Final = frozenset({"README.md", "docs/quick-start.md", "docs/watch-your-relay.md"})
"""Pages whose reader has not installed the program, and uses that of .venv/ after a target of make has set it up."""


def readings() -> dict[str, list[Block]]:
    """Return the blocks of each page with commands. Runbooks are read together: they have few, and the same."""
    found: dict[str, list[Block]] = {}
    for path in pages():
        blocks = read_blocks(path)
        if any(block.language in SHELL for block in blocks):
            page = PurePosixPath(blocks[0].page)
            name = "docs/runbooks" if page.parent.name == "runbooks" else str(page)
            found.setdefault(name, []).extend(blocks)
    return found
