"""The fenced blocks of a page, with the marks before them, and the commands in them.

A mark is a comment on a line of its own directly before a block: `<!-- needs: cluster -->`. `MARKS` lists them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]

SHELL: Final = frozenset({"sh", "bash", "console"})
SNIPPETS: Final = frozenset({"yaml", "ini", "promql"})
SHOWN: Final = frozenset({"text", ""})
"""Languages of what a program prints, which nobody enters."""

MARKS: Final = {
    "needs": "what the commands of the block need that a test does not have: one of NEEDS; they are not executed",
    "exits": "the exit status of each command, separated by commas, `0/1` for either; 0 without it",
    "file": "the name under which the reader saves the snippet",
    "into": "the configuration into which the reader writes the snippet's keys",
}
NEEDS: Final = ("cluster", "docker", "network", "systemd")

FENCE: Final = re.compile(r"^(?P<indent> *)(?P<fence>```+|~~~+)(?P<language>[^`\n]*)$")
MARK: Final = re.compile(r"^ *<!-- ([a-z]+): (.+?) -->$")
PROMPT: Final = "$ "


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block: the page's path in the project, the line of its fence, its text without indentation."""

    page: str
    line: int
    language: str
    text: str
    marks: dict[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """The page and the line, as compilers write them."""
        return f"{self.page}:{self.line}"

    def names(self, mark: str) -> list[str]:
        """Return the values of a mark, which are separated by commas."""
        return [name.strip() for name in self.marks.get(mark, "").split(",") if name.strip()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command of a block, what the page shows of its output, and the exit statuses that it may have."""

    where: str
    text: str
    shown: tuple[str, ...] = ()
    statuses: tuple[int, ...] = (0,)


def pages() -> list[Path]:
    """Return all pages of the documentation."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")]
    return sorted(path for path in found if path.name != "CHANGELOG.md")


def blocks_of(page: str, text: str) -> Iterator[Block]:
    """Yield the blocks of a page. Raises `ValueError` for a block without an end, or a mark without a block."""
    lines = text.splitlines()
    number = 0
    marks: dict[str, str] = {}
    while number < len(lines):
        begin = FENCE.match(lines[number])
        if begin is None:
            if (mark := MARK.match(lines[number])) is not None and mark[1] in MARKS:
                marks[mark[1]] = mark[2]
            elif marks:
                raise ValueError(f"{page}:{number}: a mark stands directly before a block")
            number += 1
            continue
        closing = next((i for i in range(number + 1, len(lines)) if lines[i].strip() == begin["fence"]), None)
        if closing is None:
            raise ValueError(f"{page}:{number + 1}: the block has no end")
        indent = len(begin["indent"])
        inside = [line[indent:] if line[:indent].isspace() else line for line in lines[number + 1 : closing]]
        language = begin["language"].strip()
        yield Block(page=page, line=number + 1, language=language, text="\n".join(inside) + "\n", marks=marks)
        number, marks = closing + 1, {}


def read_blocks(path: Path) -> list[Block]:
    """Return the blocks of a page's file."""
    return list(blocks_of(path.relative_to(ROOT).as_posix(), path.read_text("utf-8")))


def commands_of(block: Block) -> list[Command]:
    """Return the commands of a block of a shell. Raises `ValueError` if a block `console` has none after a prompt."""
    found = list(_after_prompts(block) if block.language == "console" else _lines(block))
    if not found:
        raise ValueError(f"{block.where}: no command; in a block `console` they follow `{PROMPT}`, others are `sh`")
    statuses = [tuple(map(int, status.split("/"))) for status in block.names("exits")] or [(0,)] * len(found)
    if len(statuses) != len(found):
        raise ValueError(f"{block.where}: `exits` has {len(statuses)} numbers for {len(found)} commands")
    return [
        Command(where=f"{block.page}:{block.line + line}", text=text, shown=shown, statuses=allowed)
        for (line, text, shown), allowed in zip(found, statuses, strict=True)
    ]


def _lines(block: Block) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """Yield each line with the ones that continue it. A here-document makes the whole block one command."""
    if "<<" in block.text:
        yield 1, block.text.rstrip("\n"), ()
        return
    begun: list[str] = []
    for number, line in enumerate(block.text.splitlines(), 1):
        if line.strip() and not (line.lstrip().startswith("#") and not begun):
            begun.append(line)
        if begun and not line.endswith("\\"):
            yield number - len(begun) + 1, "\n".join(begun), ()
            begun = []


def _after_prompts(block: Block) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    command: list[str] = []
    shown: list[str] = []
    begun = 0
    for number, line in enumerate(block.text.splitlines(), 1):
        if line.startswith(PROMPT):
            if command:
                yield begun, "\n".join(command), tuple(shown)
            command, shown, begun = [line.removeprefix(PROMPT)], [], number
        elif command and command[-1].endswith("\\") and not shown:
            command.append(line)
        else:
            shown.append(line)
    if command:
        yield begun, "\n".join(command), tuple(shown)
