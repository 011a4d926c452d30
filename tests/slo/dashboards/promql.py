"""As much of PromQL as it takes to find the selectors of an expression, and the functions around each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*") | (?P<range>\[[^\]]*\]) | (?P<name>[a-zA-Z_:][\w:]*) | (?P<number>-?\d[\w.]*)
      | (?P<mark>[(){}]|=~|!~|!=|==|<=|>=|[-+*/%^<>=,$])""",
    re.VERBOSE,
)
LISTS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
WORDS = {"and", "or", "unless", "bool", "offset"}


@dataclass(frozen=True, slots=True)
class Selector:
    """One selector: what it selects, over which range, inside which functions (the innermost last)."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]
    range: str | None
    within: tuple[str, ...]

    def has(self, label: str, how: str, value: str) -> bool:
        return (label, how, value) in self.matchers


def selectors(expr: str) -> Iterator[Selector]:
    """Every selector of an expression, in its order."""
    tokens = [(match.lastgroup, match.group()) for match in TOKEN.finditer(expr)]
    around: list[str] = []
    pending = ""
    place = 0
    while place < len(tokens):
        kind, text = tokens[place]
        following = tokens[place + 1][1] if place + 1 < len(tokens) else ""
        if kind == "name" and text in LISTS:
            place = _closing(tokens, place, ")") if following == "(" else place
        elif kind == "name" and (following == "(" or following in LISTS) and text not in WORDS:
            pending = text
        elif kind == "name" and text not in WORDS:
            end = _closing(tokens, place, "}") if following == "{" else place
            inside = [tokens[at][1] for at in range(place + 2, end)]
            matchers = tuple((inside[at], inside[at + 1], inside[at + 2].strip('"')) for at in range(0, len(inside), 4))
            ranged = (
                tokens[end + 1][1].strip("[]") if tokens[end + 1 : end + 2] and tokens[end + 1][0] == "range" else None
            )
            yield Selector(text, matchers, ranged, tuple(around))
            place = end
        elif text == "(":
            around.append(pending)
            pending = ""
        elif text == ")":
            around.pop()
        place += 1


def _closing(tokens: list[tuple[str | None, str]], place: int, mark: str) -> int:
    while tokens[place][1] != mark:
        place += 1
    return place


def listed(expr: str) -> set[str]:
    """The labels that an expression groups or matches by."""
    pattern = rf"\b(?:{'|'.join(sorted(LISTS))}) ?\(([^)]*)\)"
    return {label.strip() for names in re.findall(pattern, expr) for label in names.split(",") if label.strip()}
