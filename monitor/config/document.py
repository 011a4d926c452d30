"""Read a YAML text as plain data with the line of each value.

Scalars stay text (or None) until the models convert them: so `no` can be a name, `1.10` keeps its zero, and a number
can come from the environment. Nodes are built from PyYAML's events: no object is constructed, and depth and size are
limited before anything is built, aliases included.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

import yaml

from monitor.environment import expand
from monitor.errors import ConfigProblem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KeyPath: TypeAlias = tuple[str | int, ...]
Data: TypeAlias = "str | list[Data] | dict[str, Data] | None"

MAX_BYTES: Final = 1_048_576
MAX_DEPTH: Final = 20
MAX_NODES: Final = 50_000

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(slots=True)
class Node:
    """One value of the document. `line` counts from 1; of a value with a key it is the key's.

    `raw` is a scalar's text as written, before variables are expanded.
    """

    line: int
    value: str | None = None
    raw: str | None = None
    items: list[Node] | None = None
    entries: dict[str, Node] | None = None

    def child(self, part: str | int) -> Node | None:
        """The value at a key or an index, None if there is none."""
        if isinstance(part, int):
            return self.items[part] if self.items is not None and part < len(self.items) else None
        return self.entries.get(part) if self.entries is not None else None

    def data(self) -> Data:
        """This node and its descendants as plain lists, dicts and text."""
        if self.items is not None:
            return [item.data() for item in self.items]
        if self.entries is not None:
            return {key: node.data() for key, node in self.entries.items()}
        return self.value


class DocumentError(Exception):
    """The text cannot be read as a document; `problem` says why."""

    def __init__(self, line: int, message: str) -> None:
        self.problem = ConfigProblem(line, "", message)
        super().__init__(message)


def show_path(path: KeyPath) -> str:
    """Format a path: `probes[0].timeout`."""
    shown = ""
    for part in path:
        shown += f"[{part}]" if isinstance(part, int) else f".{part}" if shown else part
    return shown


@dataclass(slots=True)
class Document:
    """A document. `problems` are duplicate keys and unset variables, `unknown` the paths of the latter."""

    root: Node
    problems: list[ConfigProblem]
    unknown: set[KeyPath]


def read(text: str, environ: Mapping[str, str] | None) -> Document:
    """Read the document in `text` and expand variables from `environ`; None: `$` has no special meaning.

    Raises `DocumentError` for invalid YAML, several documents, tags, and too many or too deeply nested values.
    """
    builder = _Builder(environ)
    try:
        root = builder.build(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark is not None and mark.line >= len(text.splitlines()):
            # An unclosed value is detected at the end of the text; the line to correct is where it begins.
            mark = error.context_mark or mark
        what = ", ".join(part for part in (error.problem, error.context) if part)
        raise DocumentError(mark.line + 1 if mark else 0, f"is not YAML: {what}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise DocumentError(line, f"is not YAML: the character {error.character!r} is not allowed") from None
    return Document(root, builder.problems, builder.unknown)


@dataclass(slots=True)
class _Builder:
    """Builds nodes from events, without recursion: the depth of a document must not exhaust Python's stack."""

    environ: Mapping[str, str] | None
    problems: list[ConfigProblem] = field(default_factory=list)
    unknown: set[KeyPath] = field(default_factory=set)
    anchors: dict[str, Node] = field(default_factory=dict)
    open_anchors: dict[str, int] = field(default_factory=dict)
    nodes: int = 0

    def build(self, events: Iterator[yaml.Event]) -> Node:
        root: Node | None = None
        # Each entry is an open collection, its path, and the key whose value is next.
        stack: list[tuple[Node, KeyPath, list[Node]]] = []
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                raise DocumentError(_line(event), "is a second document; expected one")
            if isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
                self._close(stack.pop()[0])
                continue
            if not isinstance(event, yaml.NodeEvent):
                continue
            path = self._path_of_next(stack)
            node = self._node(event, path, is_key=bool(stack) and stack[-1][0].items is None and not stack[-1][2])
            if root is None:
                root = node
            else:
                self._attach(stack[-1], node, path)
            if isinstance(event, yaml.CollectionStartEvent):
                if len(stack) >= MAX_DEPTH:
                    raise DocumentError(node.line, f"is nested deeper than {MAX_DEPTH} levels")
                stack.append((node, path, []))
        return root if root is not None else Node(line=1)

    @staticmethod
    def _path_of_next(stack: list[tuple[Node, KeyPath, list[Node]]]) -> KeyPath:
        if not stack:
            return ()
        parent, path, key = stack[-1]
        if parent.items is not None:
            return (*path, len(parent.items))
        return (*path, str(key[0].raw)) if key else path

    def _node(self, event: yaml.NodeEvent, path: KeyPath, *, is_key: bool) -> Node:
        line = _line(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(event.anchor), line)
        if getattr(event, "tag", None) not in {None, "!"}:
            # Not shown: it may be the start of an unquoted password.
            raise DocumentError(line, "has a tag; tags are not supported: put text that begins with ! in quotes")
        self._count(1, line)
        if isinstance(event, yaml.ScalarEvent):
            value = event.value if is_key else self._expand(event.value, line, path)
            plain = event.style in {None, ""}
            node = Node(line, None if plain and value in _NULLS else value, event.value)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = Node(line, items=[])
        else:
            node = Node(line, entries={})
        if event.anchor:
            self.anchors[event.anchor] = node
            if not isinstance(event, yaml.ScalarEvent):
                self.open_anchors[event.anchor] = id(node)
        return node

    def _alias(self, anchor: str, line: int) -> Node:
        if anchor in self.open_anchors:
            raise DocumentError(line, "has an alias to a value that contains it")
        if anchor not in self.anchors:
            # Not shown: it may be an unquoted password.
            raise DocumentError(
                line,
                "has an alias without an anchor before it; put text that begins with * in quotes",
            )
        return self._copy(self.anchors[anchor], line)

    def _copy(self, node: Node, line: int) -> Node:
        """Copy an anchored value to the line of its alias, where problems in it are reported."""
        self._count(1, line)
        return Node(
            line,
            node.value,
            node.raw,
            None if node.items is None else [self._copy(item, line) for item in node.items],
            None if node.entries is None else {key: self._copy(entry, line) for key, entry in node.entries.items()},
        )

    def _count(self, number: int, line: int) -> None:
        self.nodes += number
        if self.nodes > MAX_NODES:
            raise DocumentError(line, f"has more than {MAX_NODES} values, aliases included")

    def _close(self, node: Node) -> None:
        self.open_anchors = {anchor: opened for anchor, opened in self.open_anchors.items() if opened != id(node)}

    def _attach(self, parent: tuple[Node, KeyPath, list[Node]], node: Node, path: KeyPath) -> None:
        collection, _, key = parent
        if collection.items is not None:
            collection.items.append(node)
        elif not key:
            if node.raw is None:
                raise DocumentError(node.line, "has a key that is not text")
            key.append(node)
        elif collection.entries is not None:
            self._enter(collection.entries, key, node, path)

    def _enter(self, entries: dict[str, Node], key: list[Node], node: Node, path: KeyPath) -> None:
        name, line = str(key[0].raw), key[0].line
        key.clear()
        node.line = line
        if name in entries:
            first = entries[name].line
            self.problems.append(ConfigProblem(line, show_path(path), f"is set twice, first in line {first}; keep one"))
        else:
            entries[name] = node

    def _expand(self, text: str, line: int, path: KeyPath) -> str:
        """Replace `${NAME}`, `${NAME:-default}` and `$$`; a variable that is not set is a problem."""
        if self.environ is None:
            return text
        expanded, wrong = expand(text, self.environ)
        self.problems += [ConfigProblem(line, show_path(path), message) for message in wrong]
        if wrong:
            self.unknown.add(path)
        return expanded


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 0
