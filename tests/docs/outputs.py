"""Compare what a page shows of a command's output with what it prints.

Both are compared as shapes: numbers, times, ids and the widths of columns differ from run to run. `…` stands for
anything; a line that consists of it, for any number of lines.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

WILDCARD: Final = "…"
VARYING: Final = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), r"[0-9a-f-]{36}"),
    (re.compile(r"\b(?=[a-f]*[0-9])[0-9a-f]{12,64}\b"), r"[0-9a-f]{12,64}"),
    (re.compile(r"(?<=window )[a-z0-9]{6}\b"), r"[a-z0-9]{6}"),
    (re.compile(r"\b\d{4}-\d\d-\d\d\b"), r"\d{4}-\d\d-\d\d"),
    (re.compile(r"(?:≤\s*)?(?<![\w.-])\d+(?:[.,:]\d+)*"), r"(?:≤\s*)?\d+(?:[.,:]\d+)*"),
    (re.compile(r"\s+"), r"\s+"),
    (re.compile(WILDCARD), r".*"),
)
"""What differs, in the page's line, and the expression that it becomes."""


def pattern_of(line: str) -> re.Pattern[str]:
    """Return the expression that a printed line matches if it has the shape of a shown one."""
    parts: list[str] = []
    at = 0
    line = line.strip()
    while at < len(line):
        found = next(((made, to) for one, to in VARYING if (made := one.match(line, at)) is not None), None)
        if found is None:
            parts.append(re.escape(line[at]))
            at += 1
        else:
            parts.append(found[1])
            at = found[0].end()
    return re.compile("".join(parts))


def difference(shown: Sequence[str], printed: str) -> str | None:
    """Return how the printed lines differ from the shown ones, or None."""
    wanted = [line for line in shown if line.strip()]
    lines = [line for line in printed.splitlines() if line.strip()]
    at, anywhere = 0, False
    for line in wanted:
        if line.strip() == WILDCARD:
            anywhere = True
            continue
        expression = pattern_of(line)
        candidates = range(at, len(lines) if anywhere else min(at + 1, len(lines)))
        found_at = next((i for i in candidates if expression.fullmatch(lines[i].strip())), None)
        if found_at is None:
            return f"did not print {line!r} in its place"
        at, anywhere = found_at + 1, False
    if at < len(lines) and wanted and not anywhere:
        return f"printed more after {wanted[-1]!r}"
    return None
