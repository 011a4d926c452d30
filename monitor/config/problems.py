"""Turn pydantic's errors into problems with a line: what is wrong, and what is allowed."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final

from monitor.config.document import KeyPath, Node, show_path
from monitor.config.fields import RedactedError
from monitor.config.introspection import element_kind_of, field_at, kind_of, models_in
from monitor.errors import ConfigProblem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitor.config.fields import Section

SECRET: Final = frozenset({"token", "headers", "cert", "key", "client_ca", "basic_auth_users"})
_MAX_SHOWN: Final = 60
_MESSAGES: Final = {
    "int_parsing": "is not a whole number",
    "int_type": "is not a whole number",
    "int_from_float": "is not a whole number",
    "float_parsing": "is not a number",
    "float_type": "is not a number",
    "finite_number": "is not a number",
    "greater_than": "is out of bounds",
    "greater_than_equal": "is out of bounds",
    "less_than_equal": "is out of bounds",
    "string_too_long": "is too long",
    "string_too_short": "is too short",
    "string_type": "is not text",
    "too_long": "is too long",
    "too_short": "has too few entries",
    "tuple_type": "is not a list",
    "model_type": "is not a mapping",
    "mapping_type": "is not a mapping",
}


def locate(root: Node, loc: KeyPath) -> tuple[KeyPath, Node]:
    """The path in the file, and the node at whose line a problem is shown: the value, or the mapping that lacks it.

    pydantic's locations contain tags of unions (`<every>`) and indices of lists written as a single value; both are
    skipped. Missing keys stay in the path.
    """
    node, path, is_there = root, [], True
    for part in loc:
        child = node.child(part) if is_there else None
        if child is not None:
            node = child
            path.append(part)
        elif isinstance(part, str) and not part.startswith(("<", "[")):
            is_there = False
            path.append(part)
    return tuple(path), node


def overlaps(one: KeyPath, other: KeyPath) -> bool:
    """Whether two paths are equal or one is a prefix of the other."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


class ProblemCollector:
    """The problems between the values of a file, without those that depend on a value at an `unknown` path."""

    def __init__(self, root: Node, unknown: Iterable[KeyPath]) -> None:
        self.problems: list[ConfigProblem] = []
        self._root, self._unknown = root, frozenset(unknown)

    def add(self, path: KeyPath, message: str, *depends_on: KeyPath) -> None:
        """Add a problem, unless `path` or one of `depends_on` overlaps an unknown path."""
        for known in (path, *depends_on):
            if any(overlaps(known, each) for each in self._unknown):
                return
        found, node = locate(self._root, path)
        problem = ConfigProblem(node.line, show_path(found), message)
        if problem not in self.problems:
            self.problems.append(problem)

    def line_of(self, path: KeyPath) -> int:
        """The line of a value in the file."""
        return locate(self._root, path)[1].line


def problem_of(model: type[Section], root: Node, error: dict[str, Any]) -> tuple[KeyPath, ConfigProblem]:
    """The path and the problem of one of pydantic's errors about a `model`."""
    path, node = locate(root, error["loc"])
    message = _message(model, path, node, error)
    return path, ConfigProblem(node.line, show_path(path), message)


def is_own(root: Node, error: dict[str, Any]) -> bool:
    """Whether an error is a problem of its own and not a consequence of another.

    pydantic also reports defaults that depend on a wrong value, and lists whose items are all wrong as too short.
    """
    if error["type"] == "default_factory_not_called":
        return False
    return error["type"] != "too_short" or locate(root, error["loc"])[1].items == []


def listed(names: Sequence[str]) -> str:
    """`a, b or c`."""
    return " or ".join(", ".join(names).rsplit(", ", 1))


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The most similar of `words`, None if none is similar."""
    return next(iter(difflib.get_close_matches(word, list(words), n=1)), None)


def suggestion(word: str, words: Iterable[str]) -> str:
    """`did you mean …?`, or the list of known words."""
    known = list(words)
    close = nearest(word, known)
    return f"did you mean {close}?" if close else f"known are: {', '.join(known[:30])}"


def keys_at(model: type[Section], path: KeyPath, loc: KeyPath = ()) -> list[str]:
    """The keys allowed in the mapping at `path` of a `model`; of a union, those of the models tagged in `loc`."""
    names = tuple(part for part in path if isinstance(part, str))
    if not names:
        return list(model.model_fields)
    field = field_at(model, names)
    if field is None:
        # Inside a mapping whose keys are names, such as the overrides of an SLO.
        field = field_at(model, names[:-1])
    models = list(models_in(field.annotation)) if field is not None else []
    models = [each for each in models if f"<{each.__name__.lower()}>" in loc] or models
    return list(dict.fromkeys(name for each in models for name in each.model_fields))


_MOVED: Final[dict[tuple[str, ...], str]] = {
    ("probes", "confirm"): "relays[].confirm, since the verdict is the relay's"
}
"""Keys of earlier versions by their path without indices, and where they are now."""


def moved_to(path: KeyPath) -> str | None:
    """Where the key at `path` is now; None if it was never a key."""
    return _MOVED.get(tuple(part for part in path if isinstance(part, str)))


def _message(model: type[Section], path: KeyPath, node: Node, error: dict[str, Any]) -> str:
    match error["type"]:
        case "missing":
            return f"is missing{_expected(model, path)}"
        case "extra_forbidden" if moved_to(path) is not None:
            return f"has moved; expected {moved_to(path)}"
        case "extra_forbidden":
            return f"is not a key here; {suggestion(str(path[-1]), keys_at(model, path[:-1], error['loc']))}"
        case "value_error":
            cause: ValueError = error["ctx"]["error"]
            # A wrong key is part of the path already.
            is_hidden = isinstance(cause, RedactedError) or node.raw is None or error["loc"][-1] == "[key]"
            return f"{'' if is_hidden else _subject(path, node)}{cause}"
    return f"{_subject(path, node)}{_MESSAGES.get(error['type'], 'is not allowed')}{_expected(model, path)}"


def _subject(path: KeyPath, node: Node) -> str:
    """The wrong value, to put in front of the message; empty where it could be a secret."""
    if node.entries is not None:
        return "a mapping "
    if node.items is not None:
        return "a list " if node.items else "[] "
    if node.raw is None or SECRET.intersection(part for part in path if isinstance(part, str)):
        return ""
    if node.value is None:
        return "null "
    # The query of a URL may contain a token.
    shown = node.raw if "://" not in node.raw else node.raw.partition("?")[0]
    return f"{shown if len(shown) <= _MAX_SHOWN else shown[: _MAX_SHOWN - 1] + '…'!r} "


def _expected(model: type[Section], path: KeyPath) -> str:
    field = field_at(model, tuple(part for part in path if isinstance(part, str)))
    if field is None:
        return ""
    kind = element_kind_of(field) if isinstance(path[-1], int) else kind_of(field)
    return f"; expected {kind}".replace("`", "")
