"""Load a configuration file, or report every problem in it at once.

Problems of single values and problems between values are found in one pass: wrong values are removed, or replaced
where they are required, and the rest is checked without what depends on them.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pydantic import ValidationError

from monitor.config import document
from monitor.config.checks import check
from monitor.config.document import MAX_BYTES, Document, DocumentError, KeyPath
from monitor.config.fields import Section
from monitor.config.model import Config
from monitor.config.problems import is_own, keys_at, moved_to, nearest, overlaps, problem_of
from monitor.errors import ConfigError, ConfigProblem, StartupError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from monitor.config.document import Node

# Replacements for required values that are wrong, so that the values beside them can be checked: each at its own path,
# the items of a list at index 0. Nothing that depends on one is reported, so any valid value will do.
_REPLACEMENTS: Final[dict[str, Any]] = {
    "locations": ["stand-in"],
    "references": ["stand-in:443"],
    "relays": [{"name": "stand-in", "url": "embedded"}],
    "probes": [{"name": "stand-in", "scenario": "steady-messaging", "relays": ["stand-in"]}],
    "slos": [{"name": "stand-in", "probe": ["stand-in"], "sli": "availability"}],
    "maintenance": [{"relays": ["stand-in"], "cron": "0 0 * * *", "duration": "1h"}],
}
# One for the wrong value, and one for each enclosing value that is invalid without it.
_MAX_ATTEMPTS: Final = 4

Model = TypeVar("Model", bound=Section)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileKind(Generic[Model]):
    """A kind of file: its model, its checks between values, and what an empty file lacks (None: it may be empty)."""

    model: type[Model]
    check: Callable[[Model, Node, set[KeyPath]], list[ConfigProblem]]
    needs: str | None = None


CONFIG: Final = FileKind(model=Config, check=check, needs="keys such as relays: and probes:")


def load(path: Path, environ: Mapping[str, str], *, check_files: bool = True) -> Config:
    """Load the configuration in a file; see `parse`.

    Raises `ConfigError` with every problem in it, and `StartupError` if the file cannot be read.
    """
    return parse(text_of(path), str(path), environ, check_files=check_files)


def parse(text: str, filename: str, environ: Mapping[str, str], *, check_files: bool = True) -> Config:
    """Parse the configuration in `text`; relative paths in it start at the folder of `filename`.

    Without `check_files`, the files that it names need not exist: it is for a monitor on another host.

    Raises `ConfigError` with every problem in it.
    """
    return parse_as(CONFIG, text, filename, environ, check_files=check_files).resolved()


def text_of(path: Path) -> str:
    """Read a text file. Raises `ConfigError` if it is too large or not UTF-8, `StartupError` if it is unreadable."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise StartupError(f"{path}: the configuration cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(str(path), [ConfigProblem(0, "", f"is larger than {MAX_BYTES} bytes")])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(str(path), [ConfigProblem(line, "", "is not UTF-8 text")]) from None
    return text


def parse_as(
    kind: FileKind[Model], text: str, filename: str, environ: Mapping[str, str] | None, *, check_files: bool = True
) -> Model:
    """Parse `text` as a `kind`; see `parse`, and `document.read` for an `environ` of None."""
    try:
        read = document.read(text, environ)
    except DocumentError as error:
        raise ConfigError(filename, [error.problem]) from None
    root = read.root
    if root.entries is None and root.items is None and root.value is None and kind.needs is None:
        return kind.model()
    if root.entries is None:
        what = "is empty" if root.items is None and root.value is None else "is not a mapping"
        raise ConfigError(filename, [ConfigProblem(root.line, "", f"{what}; expected {kind.needs or 'a mapping'}")])
    value, problems = _validate(kind, read, {"folder": Path(filename).parent, "check_files": check_files})
    if problems or value is None:
        raise ConfigError(filename, [*problems])
    return value


def _validate(
    kind: FileKind[Model], read: Document, context: dict[str, Any]
) -> tuple[Model | None, set[ConfigProblem]]:
    data: Any = read.root.data()
    problems = set(read.problems)
    removed: set[KeyPath] = set()
    misspelled: set[KeyPath] = set()
    for _ in range(_MAX_ATTEMPTS):
        try:
            value = kind.model.model_validate(data, context=context)
        except ValidationError as error:
            errors: list[dict[str, Any]] = [{**each} for each in error.errors(include_url=False, include_input=False)]
        else:
            return value, problems.union(kind.check(value, read.root, read.unknown | removed | misspelled))
        before = frozenset(removed)
        for detail in filter(partial(is_own, read.root), errors):
            path, problem = problem_of(kind.model, read.root, detail)
            is_consequence = any(overlaps(path, each) for each in before)
            if not is_consequence and not any(path[: len(each)] == each for each in read.unknown):
                problems.add(problem)
            removed.add(_remove(data, path, before))
            is_unknown = detail["type"] == "extra_forbidden" and moved_to(path) is None
            if is_unknown and (key := nearest(str(path[-1]), keys_at(kind.model, path[:-1]))):
                misspelled.add((*path[:-1], key))
    return None, problems


def _inside(data: Any, part: str | int) -> Any:
    """The value at a key or an index, None if it has been removed."""
    if isinstance(data, dict):
        return data.get(part)
    return data[part] if isinstance(data, list) and isinstance(part, int) and part < len(data) else None


def _remove(data: Any, path: KeyPath, before: frozenset[KeyPath]) -> KeyPath:
    """Remove the wrong value at `path` from `data`, or put a replacement there. Returns the path that is now unknown.

    That is the enclosing value's path where the value was removed `before` and is required, or is an item without a
    replacement.
    """
    parent = reduce(_inside, path[:-1], data)
    first = (0 if isinstance(part, int) else part for part in path)
    replacement: Any = deepcopy(reduce(_inside, first, _REPLACEMENTS))
    is_possible = isinstance(parent, dict) or (isinstance(parent, list) and replacement is not None)
    if len(path) > 1 and (path in before or not is_possible):
        return _remove(data, path[:-1], before)
    if replacement is not None:
        parent[path[-1]] = replacement
    else:
        parent.pop(path[-1], None)
    return path
