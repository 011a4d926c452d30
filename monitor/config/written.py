"""The content of a configuration file as JSON types, with variables as they are written.

Text that looks like something else, such as the name `no` or `010`, stays text; keys for numbers get numbers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from monitor.config import document
from monitor.config.introspection import field_at, kind_of
from monitor.config.model import Config
from monitor.errors import ConfigError

if TYPE_CHECKING:
    from monitor.config.document import Node

_NUMBERS: Final = {
    "whole number": (re.compile(r"-?\d+", re.ASCII), int),
    "number": (re.compile(r"-?\d+(\.\d+)?", re.ASCII), float),
}
"""Kind of a field → the texts that are numbers there, and their type."""


def written(text: str, filename: str) -> dict[str, Any]:
    """Return the mapping in `text`, which is a valid configuration; keys without a value are left out.

    Raises `ConfigError` if it is not even a mapping.
    """
    try:
        root = document.read(text, None).root
    except document.DocumentError as error:
        raise ConfigError(filename, [error.problem]) from None
    return {key: _value(node, (key,)) for key, node in (root.entries or {}).items() if not _is_null(node)}


def _is_null(node: Node) -> bool:
    return node.value is None and node.items is None and node.entries is None


def _value(node: Node, names: tuple[str, ...]) -> Any:
    if node.items is not None:
        return [_value(item, names) for item in node.items]
    if node.entries is not None:
        return {key: _value(entry, (*names, key)) for key, entry in node.entries.items() if not _is_null(entry)}
    return _scalar(node.value, names)


def _scalar(text: str | None, names: tuple[str, ...]) -> Any:
    field = field_at(Config, names)
    pattern, number = _NUMBERS.get(kind_of(field).type, (None, None)) if field is not None else (None, None)
    if text is None or pattern is None or number is None or not pattern.fullmatch(text):
        return text
    return number(text)
