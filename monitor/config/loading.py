"""From a file to its value, or to every fault in it at once: the configuration, and other files of the same making.

Faults of single values and faults between values are found in one go: values that are wrong are left out (or, where
they cannot be, replaced), the rest is checked as if they were right, and whatever hangs on them is not judged.
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
from monitor.config.document import MAX_BYTES, Document, KeyPath, Unreadable
from monitor.config.faults import fault_of, is_own, keys_at, nearest, nested
from monitor.config.fields import Section
from monitor.config.model import Config
from monitor.errors import ConfigError, Fault, StartupError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from monitor.config.document import Node

# What stands in for a value that is wrong and cannot be left out, so that its neighbours can be checked: at its own
# path, each item of a list as the first one. Nothing that hangs on it is judged, so any valid value will do.
_STAND_INS: Final[dict[str, Any]] = {
    "locations": ["stand-in"],
    "references": ["stand-in:443"],
    "relays": [{"name": "stand-in", "url": "embedded"}],
    "probes": [{"name": "stand-in", "scenario": "steady-messaging", "relays": ["stand-in"]}],
    "slos": [{"name": "stand-in", "probe": ["stand-in"], "sli": "availability"}],
    "maintenance": [{"relays": ["stand-in"], "cron": "0 0 * * *", "duration": "1h"}],
}
# Once for what is wrong, and once for each thing around it that cannot be without it.
_ATTEMPTS: Final = 4

Model = TypeVar("Model", bound=Section)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form(Generic[Model]):
    """A kind of file: its model, what must hold between its values, and what an empty one lacks (None: nothing)."""

    model: type[Model]
    check: Callable[[Model, Node, set[KeyPath]], list[Fault]]
    needs: str | None = None


CONFIG: Final = Form(model=Config, check=check, needs="keys such as relays: and probes:")


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """The configuration in a file.

    Raises `ConfigError` with every fault in it, and `StartupError` where the file cannot be read.
    """
    return parse(text_of(path), str(path), environ)


def parse(text: str, filename: str, environ: Mapping[str, str]) -> Config:
    """The configuration in `text`; relative paths in it start at the folder of `filename`.

    Raises `ConfigError` with every fault in it.
    """
    return parse_as(CONFIG, text, filename, environ).resolved()


def text_of(path: Path) -> str:
    """The text of a file. Raises `ConfigError` where it is too large or no text, `StartupError` where unreadable."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise StartupError(f"{path}: the configuration cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(str(path), [Fault(0, "", f"is larger than {MAX_BYTES} bytes")])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(str(path), [Fault(line, "", "is not UTF-8 text")]) from None
    return text


def parse_as(form: Form[Model], text: str, filename: str, environ: Mapping[str, str] | None) -> Model:
    """What `text` holds by `form`; see `parse`, and `document.read` for an `environ` of None."""
    try:
        read = document.read(text, environ)
    except Unreadable as unreadable:
        raise ConfigError(filename, [unreadable.fault]) from None
    root = read.root
    if root.entries is None and root.items is None and root.value is None and form.needs is None:
        return form.model()
    if root.entries is None:
        what = "is empty" if root.items is None and root.value is None else "is not a mapping"
        raise ConfigError(filename, [Fault(root.line, "", f"{what}; expected {form.needs or 'a mapping'}")])
    value, faults = _validate(form, read, Path(filename).parent)
    if faults or value is None:
        raise ConfigError(filename, [*faults])
    return value


def _validate(form: Form[Model], read: Document, folder: Path) -> tuple[Model | None, set[Fault]]:
    data: Any = read.root.data()
    faults = set(read.faults)
    left_out: set[KeyPath] = set()
    meant: set[KeyPath] = set()
    for _ in range(_ATTEMPTS):
        try:
            value = form.model.model_validate(data, context={"folder": folder})
        except ValidationError as error:
            errors: list[dict[str, Any]] = [{**each} for each in error.errors(include_url=False, include_input=False)]
        else:
            return value, faults.union(form.check(value, read.root, read.unknown | left_out | meant))
        before = frozenset(left_out)
        for detail in filter(partial(is_own, read.root), errors):
            path, fault = fault_of(form.model, read.root, detail)
            is_echo = any(nested(path, each) for each in before)
            if not is_echo and not any(path[: len(each)] == each for each in read.unknown):
                faults.add(fault)
            left_out.add(_leave_out(data, path, before))
            if detail["type"] == "extra_forbidden" and (key := nearest(str(path[-1]), keys_at(form.model, path[:-1]))):
                meant.add((*path[:-1], key))
    return None, faults


def _inside(data: Any, part: str | int) -> Any:
    """What is under a key or an index, None where it has been left out."""
    if isinstance(data, dict):
        return data.get(part)
    return data[part] if isinstance(data, list) and isinstance(part, int) and part < len(data) else None


def _leave_out(data: Any, path: KeyPath, before: frozenset[KeyPath]) -> KeyPath:
    """Take what is wrong at `path` out of `data`, or put a stand-in there. Returns the path that is unknown now.

    That is what holds it, where it was left out `before` and is missed, or is an item for which nothing can stand in.
    """
    holder = reduce(_inside, path[:-1], data)
    first = (0 if isinstance(part, int) else part for part in path)
    stand_in: Any = deepcopy(reduce(_inside, first, _STAND_INS))
    is_possible = isinstance(holder, dict) or (isinstance(holder, list) and stand_in is not None)
    if len(path) > 1 and (path in before or not is_possible):
        return _leave_out(data, path[:-1], before)
    if stand_in is not None:
        holder[path[-1]] = stand_in
    else:
        holder.pop(path[-1], None)
    return path
