"""PromQL's syntax: an expression as a tree."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from monitor.config.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<duration>\d+(?:ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*)
      | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)
      | (?P<name>[a-zA-Z_:][\w:]*)
      | (?P<mark>=~|!~|!=|==|<=|>=|[-+*/%^<>=,(){}\[\]])""",
    re.VERBOSE,
)
AGGREGATIONS: Final = frozenset({"sum", "min", "max", "count", "avg", "group", "topk"})
COMPARISONS: Final = frozenset({"==", "!=", ">", "<", ">=", "<="})
SETS: Final = frozenset({"and", "or", "unless"})
_LEVELS: Final = ({"or"}, {"and", "unless"}, COMPARISONS, {"+", "-"}, {"*", "/", "%"})


class PromqlError(ValueError):
    """An expression that this module does not read or evaluate."""


@dataclass(frozen=True, slots=True, eq=False)
class Number:
    """A number; the same at each time."""

    value: float


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """A string, as an argument."""

    value: str


@dataclass(frozen=True, slots=True, eq=False)
class Selector:
    """A selector; `window` in seconds for a range, None for an instant; `offset` in seconds."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]  # label, operator, value
    window: float | None = None
    offset: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A function call."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Aggregation:
    """An aggregation `by` labels, or without them; `parameter` is that of `topk`."""

    operator: str
    inner: Node
    labels: frozenset[str]
    by: bool
    parameter: Node | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Binary:
    """An operation on two operands; `labels` of `on` or `ignoring`, None: all labels. `many` is the side of a group."""

    operator: str
    left: Node
    right: Node
    labels: frozenset[str] | None = None
    on: bool = False
    many: str = ""  # left, right
    include: tuple[str, ...] = ()
    as_bool: bool = False


Node: TypeAlias = "Number | Text | Selector | Call | Aggregation | Binary"


@lru_cache(maxsize=4096)
def parse(text: str) -> Node:
    """Return the tree of an expression. Raises `PromqlError`."""
    return _Parser(text).expression()


@lru_cache(maxsize=4096)
def selectors_of(text: str) -> tuple[Selector, ...]:
    """Return every selector of an expression. Raises `PromqlError`."""
    return tuple(selectors(parse(text)))


def selectors(node: Node) -> Iterator[Selector]:
    """Yield every selector of a tree."""
    if isinstance(node, Selector):
        yield node
    elif isinstance(node, Call):
        for argument in node.arguments:
            yield from selectors(argument)
    elif isinstance(node, Aggregation):
        yield from selectors(node.inner)
    elif isinstance(node, Binary):
        yield from selectors(node.left)
        yield from selectors(node.right)


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._at = 0

    def expression(self) -> Node:
        found = self._operation(0)
        if self._peek()[1]:
            raise self._error()
        return found

    def _error(self) -> PromqlError:
        return PromqlError(f"unexpected {self._peek()[1] or 'end'!r} in {self._text!r}")

    def _peek(self, offset: int = 0) -> tuple[str, str]:
        index = self._at + offset
        return self._tokens[index] if index < len(self._tokens) else ("", "")

    def _next(self) -> tuple[str, str]:
        found = self._peek()
        if not found[0]:
            raise self._error()
        self._at += 1
        return found

    def _accept(self, text: str) -> bool:
        if self._peek()[1] != text or self._peek()[0] == "text":
            return False
        self._at += 1
        return True

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise self._error()

    def _operation(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._unary()
        left = self._operation(level + 1)
        while self._peek()[0] != "text" and self._peek()[1] in _LEVELS[level]:
            operator = self._next()[1]
            as_bool = self._accept("bool")
            labels, on = None, False
            if self._peek()[1] in {"on", "ignoring"}:
                on = self._next()[1] == "on"
                labels = frozenset(self._names())
            many = ""
            include: tuple[str, ...] = ()
            if self._peek()[1] in {"group_left", "group_right"}:
                many = self._next()[1].removeprefix("group_")
                include = self._names() if self._peek()[1] == "(" else ()
            left = Binary(
                operator,
                left,
                self._operation(level + 1),
                labels=labels,
                on=on,
                many=many,
                include=include,
                as_bool=as_bool,
            )
        return left

    def _unary(self) -> Node:
        if self._accept("-"):
            inner = self._unary()
            return Number(-inner.value) if isinstance(inner, Number) else Binary("*", Number(-1.0), inner)
        kind, text = self._peek()
        if kind in {"number", "text"}:
            self._next()
            return Number(float(text)) if kind == "number" else Text(_unquoted(text))
        return self._operand(kind, text)

    def _operand(self, kind: str, text: str) -> Node:
        if self._accept("("):
            inner = self._operation(0)
            self._expect(")")
            return inner
        if kind == "name" and text in AGGREGATIONS and self._peek(1)[1] in {"(", "by", "without"}:
            return self._aggregation()
        if kind == "name" and self._peek(1)[1] == "(":
            self._next()
            return Call(text, self._arguments())
        if kind == "name" or text == "{":
            return self._selector()
        raise self._error()

    def _arguments(self) -> tuple[Node, ...]:
        self._expect("(")
        found: list[Node] = []
        while not self._accept(")"):
            found.append(self._operation(0))
            if self._peek()[1] != ")":
                self._expect(",")
        return tuple(found)

    def _aggregation(self) -> Node:
        operator = self._next()[1]
        by = True
        labels: tuple[str, ...] = ()
        if self._peek()[1] in {"by", "without"}:
            by, labels = self._next()[1] == "by", self._names()
        arguments = self._arguments()
        if self._peek()[1] in {"by", "without"}:
            by, labels = self._next()[1] == "by", self._names()
        return Aggregation(operator, arguments[-1], frozenset(labels), by, arguments[0] if arguments[1:] else None)

    def _names(self) -> tuple[str, ...]:
        self._expect("(")
        found: list[str] = []
        while not self._accept(")"):
            found.append(self._next()[1])
            self._accept(",")
        return tuple(found)

    def _selector(self) -> Node:
        name = self._next()[1] if self._peek()[0] == "name" else ""
        matchers: list[tuple[str, str, str]] = []
        if self._accept("{"):
            while not self._accept("}"):
                label, operator, value = self._next()[1], self._next()[1], self._next()[1]
                matchers.append((label, operator, _unquoted(value)))
                self._accept(",")
        window = None
        if self._accept("["):
            window = parse_duration(self._next()[1])
            self._expect("]")
        offset = 0.0
        if self._accept("offset"):
            sign = -1.0 if self._accept("-") else 1.0
            offset = sign * parse_duration(self._next()[1])
        return Selector(name, tuple(matchers), window, offset)


def _tokens(text: str) -> Sequence[tuple[str, str]]:
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise PromqlError(f"unexpected {text[at]!r} in {text!r}")
        at = match.end()
        if match.lastgroup != "space":
            found.append((match.lastgroup or "", match.group()))
    return found


def _unquoted(text: str) -> str:
    return str(json.loads(text)) if text.startswith('"') else text[1:-1]
