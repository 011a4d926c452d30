"""From what pydantic found to faults with a line: what is wrong, and what is allowed."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final

from monitor.config.document import KeyPath, Node, show_path
from monitor.config.fields import Unshown
from monitor.config.introspection import element_kind_of, field_at, kind_of, models_in
from monitor.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitor.config.fields import Section

SECRET: Final = frozenset({"token", "headers", "cert", "key", "client_ca", "basic_auth_users"})
_SHOWN: Final = 60
_WHAT: Final = {
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
    """The path as the file has it, and the node a fault is shown at: the value, or what should hold it.

    pydantic's places hold tags of unions (`<every>`) and indices of lists written as a single value; both are
    passed over. Keys that are not there stay in the path.
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


def nested(one: KeyPath, other: KeyPath) -> bool:
    """Whether two paths are the same, or one leads into the other."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


class Findings:
    """The faults found between the values of a file; silent about whatever rests on one that is not known."""

    def __init__(self, root: Node, unknown: Iterable[KeyPath]) -> None:
        self.faults: list[Fault] = []
        self._root, self._unknown = root, frozenset(unknown)

    def add(self, path: KeyPath, message: str, *rests_on: KeyPath) -> None:
        """Report a fault, unless the value at `path`, or one that it rests on, or one inside them is not known."""
        for known in (path, *rests_on):
            if any(nested(known, each) for each in self._unknown):
                return
        place, node = locate(self._root, path)
        fault = Fault(node.line, show_path(place), message)
        if fault not in self.faults:
            self.faults.append(fault)

    def line_of(self, path: KeyPath) -> int:
        """The line of the file where a value stands."""
        return locate(self._root, path)[1].line


def fault_of(model: type[Section], root: Node, error: dict[str, Any]) -> tuple[KeyPath, Fault]:
    """The fault of one of pydantic's errors about a `model`, with its path in the file."""
    path, node = locate(root, error["loc"])
    message = _message(model, path, node, error)
    return path, Fault(node.line, show_path(path), message)


def is_own(root: Node, error: dict[str, Any]) -> bool:
    """Whether an error is a fault of its own, and not just pydantic's echo of another one.

    Defaults that hang on a wrong value are not computed, and wrong items are not counted.
    """
    if error["type"] == "default_factory_not_called":
        return False
    return error["type"] != "too_short" or locate(root, error["loc"])[1].items == []


def listed(names: Sequence[str]) -> str:
    """`a, b or c`."""
    return " or ".join(", ".join(names).rsplit(", ", 1))


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The one of `words` that was probably meant, None where nothing is close."""
    return next(iter(difflib.get_close_matches(word, list(words), n=1)), None)


def suggestion(word: str, words: Iterable[str]) -> str:
    """`did you mean …?`, or what there is to choose from."""
    known = list(words)
    close = nearest(word, known)
    return f"did you mean {close}?" if close else f"known are: {', '.join(known[:30])}"


def keys_at(model: type[Section], path: KeyPath, loc: KeyPath = ()) -> list[str]:
    """The keys that the mapping at `path` of a `model` may have.

    Tags in pydantic's own `loc` say which of several models stands there.
    """
    names = tuple(part for part in path if isinstance(part, str))
    if not names:
        return list(model.model_fields)
    field = field_at(model, names)
    if field is None:
        # Below a mapping of the user's own making, such as a relay's override.
        field = field_at(model, names[:-1])
    models = list(models_in(field.annotation)) if field is not None else []
    models = [each for each in models if f"<{each.__name__.lower()}>" in loc] or models
    return list(dict.fromkeys(name for each in models for name in each.model_fields))


def _message(model: type[Section], path: KeyPath, node: Node, error: dict[str, Any]) -> str:
    match error["type"]:
        case "missing":
            return f"is missing{_expected(model, path)}"
        case "extra_forbidden":
            return f"is not a key here; {suggestion(str(path[-1]), keys_at(model, path[:-1], error['loc']))}"
        case "value_error":
            said: ValueError = error["ctx"]["error"]
            # A key is in the path already.
            unshown = isinstance(said, Unshown) or node.raw is None or error["loc"][-1] == "[key]"
            return f"{'' if unshown else _subject(path, node)}{said}"
    return f"{_subject(path, node)}{_WHAT.get(error['type'], 'is not allowed')}{_expected(model, path)}"


def _subject(path: KeyPath, node: Node) -> str:
    """What was written, in front of what is wrong with it; never what could be a secret."""
    if node.entries is not None:
        return "a mapping "
    if node.items is not None:
        return "a list " if node.items else "[] "
    if node.raw is None or SECRET.intersection(part for part in path if isinstance(part, str)):
        return ""
    if node.value is None:
        return "null "
    # A query may hold a token.
    shown = node.raw if "://" not in node.raw else node.raw.partition("?")[0]
    return f"{shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + '…'!r} "


def _expected(model: type[Section], path: KeyPath) -> str:
    field = field_at(model, tuple(part for part in path if isinstance(part, str)))
    if field is None:
        return ""
    kind = element_kind_of(field) if isinstance(path[-1], int) else kind_of(field)
    return f"; expected {kind}".replace("`", "")
