"""A small PromQL reader: the selectors of an expression, and the functions around each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*") | (?P<variable>\$\w+) | (?P<at>@\s*(?:end|start)\(\)) | (?P<range>\[[^\]]*\])
      | (?P<constant>NaN|Inf) | (?P<name>[a-zA-Z_:][\w:]*) | (?P<number>-?\d[\w.]*)
      | (?P<mark>[(){}]|=~|!~|!=|==|<=|>=|[-+*/%^<>=,$])""",
    re.VERBOSE,
)
VARIABLE_MATCHERS = re.compile(r"\$\{\w+:raw\}")
"""A variable in place of matchers, as `centrifugo_x{${centrifugo_selector:raw}}`."""

LISTS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
WORDS = {"and", "or", "unless", "bool", "offset"}


@dataclass(frozen=True, slots=True)
class Selector:
    """One selector with its matchers and range, and the functions around it, innermost last."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]
    range: str | None
    within: tuple[str, ...]

    def has(self, label: str, how: str, value: str) -> bool:
        return (label, how, value) in self.matchers


def selectors(expr: str) -> Iterator[Selector]:
    """Yield every selector of an expression, in order; a variable in place of matchers has no matchers."""
    tokens = [(match.lastgroup, match.group()) for match in TOKEN.finditer(VARIABLE_MATCHERS.sub("", expr))]
    around: list[str] = []
    pending = ""
    index = 0
    while index < len(tokens):
        kind, text = tokens[index]
        following = tokens[index + 1][1] if index + 1 < len(tokens) else ""
        if kind == "name" and text in LISTS:
            index = _closing(tokens, index, ")") if following == "(" else index
        elif kind == "name" and (following == "(" or following in LISTS) and text not in WORDS:
            pending = text
        elif kind == "name" and text not in WORDS:
            last = _closing(tokens, index, "}") if following == "{" else index
            inside = [tokens[at][1] for at in range(index + 2, last)]
            matchers = tuple((inside[at], inside[at + 1], inside[at + 2].strip('"')) for at in range(0, len(inside), 4))
            ranged = (
                tokens[last + 1][1].strip("[]")
                if tokens[last + 1 : last + 2] and tokens[last + 1][0] == "range"
                else None
            )
            yield Selector(text, matchers, ranged, tuple(around))
            index = last
        elif text == "(":
            around.append(pending)
            pending = ""
        elif text == ")":
            around.pop()
        index += 1


def _closing(tokens: list[tuple[str | None, str]], index: int, mark: str) -> int:
    while tokens[index][1] != mark:
        index += 1
    return index


def listed(expr: str) -> set[str]:
    """Return the labels that an expression groups or matches by."""
    pattern = rf"\b(?:{'|'.join(sorted(LISTS))}) ?\(([^)]*)\)"
    return {label.strip() for names in re.findall(pattern, expr) for label in names.split(",") if label.strip()}
