"""Tables as plain text, for terminals and pipes.

A table in a terminal is as wide as it, and long cells wrap; in a pipe no cell wraps: each row stays one line.
"""

from __future__ import annotations

import shutil
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TextIO

from monitor.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

GAP: Final = "  "
MIN_WIDTH: Final = 8
"""Characters below which a column is not made narrower."""

MAX_CELL: Final = 500
"""Characters of a cell; the rest is cut."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, which may have several lines, and whether its cells are aligned to the right."""

    title: str
    right: bool = False


def terminal_width(stream: TextIO) -> int | None:
    """Return the width of the terminal that `stream` is, or None if it is none."""
    return max(shutil.get_terminal_size().columns, 40) if stream.isatty() else None


def table(columns: Sequence[Column], rows: Sequence[Sequence[str] | str], *, width: int | None = None) -> Iterator[str]:
    """Yield the lines of a table. A row is its cells, or a text: a heading between rows.

    `width` is what `terminal_width` returns. Cells may be of untrusted text.
    """
    cells = [[printable(cell[:MAX_CELL]) for cell in row] for row in rows if not isinstance(row, str)]
    texts = [[*column.title.splitlines(), *(row[index] for row in cells)] for index, column in enumerate(columns)]
    widths = [max(map(len, column)) for column in texts]
    if width is not None:
        # Figures do not wrap as long as words can.
        words = [
            max(_longest_word(text), max(map(len, text[-len(cells) :])) if column.right and cells else 0)
            for column, text in zip(columns, texts, strict=True)
        ]
        _shrink(widths, words, width)
    titles = [
        [part for line in column.title.splitlines() for part in _wrap(line, size)]
        for column, size in zip(columns, widths, strict=True)
    ]
    height = max(map(len, titles))
    for line in zip(*([""] * (height - len(title)) + title for title in titles), strict=True):
        yield _line(line, columns, widths)
    yield "─" * (sum(widths) + len(GAP) * (len(widths) - 1))
    remaining = iter(cells)
    for row in rows:
        if isinstance(row, str):
            yield printable(row)
            continue
        wrapped = [_wrap(cell, size) for cell, size in zip(next(remaining), widths, strict=True)]
        for number in range(max(map(len, wrapped))):
            parts = [cell[number] if number < len(cell) else "" for cell in wrapped]
            yield _line(parts, columns, widths)


def paragraph(text: str, *, width: int | None = None) -> list[str]:
    """Return a sentence or more as lines that fit the terminal; one line in a pipe."""
    return textwrap.wrap(printable(text), width, break_on_hyphens=False) if width is not None else [printable(text)]


def _line(parts: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    padded = [
        part.rjust(size) if column.right else part.ljust(size)
        for part, column, size in zip(parts, columns, widths, strict=True)
    ]
    return GAP.join(padded).rstrip()


def _shrink(widths: list[int], words: Sequence[int], width: int) -> None:
    """Make the widest columns narrower until all fit: down to their longest word, and then to `MIN_WIDTH`."""
    for least in (words, [MIN_WIDTH] * len(widths)):
        while sum(widths) + len(GAP) * (len(widths) - 1) > width:
            excess = [size if size > floor else 0 for size, floor in zip(widths, least, strict=True)]
            if not any(excess):
                break
            widths[excess.index(max(excess))] -= 1


def _longest_word(texts: Iterable[str]) -> int:
    return max((len(word) for text in texts for word in text.split()), default=0)


def _wrap(cell: str, width: int) -> list[str]:
    if len(cell) <= width:
        return [cell]
    return textwrap.wrap(cell, width, break_on_hyphens=False) or [""]
