"""What a reload changes, key by key, for the log, the journal and incidents. Secrets are never shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from monitor.config.fields import Duration, Section
from monitor.config.introspection import marks_of
from monitor.config.units import show_duration, show_ratio

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CHANGES: Final = 50
"""Largest number of changes that are shown one by one."""

MAX_VALUE: Final = 100
"""Largest length of a value, in characters."""

SECRET: Final = "***"  # noqa: S105 - what is shown instead of one


@dataclass(frozen=True, slots=True)
class Change:
    """One key with its values before and after, as text; None where it did not exist.

    A relay, probe or SLO that is new or removed is one change. Of a list of names, the values are those that are no
    longer in it, and those that are new.
    """

    key: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        """Return `relays[demo].page_after: 30s → 1m`."""
        if self.before is None:
            return f"{self.key}: added" + (f" {self.after}" if self.after else "")
        if self.after is None:
            return f"{self.key}: removed" + (f" {self.before}" if self.before else "")
        return f"{self.key}: {self.before} → {self.after}"


def audit(old: Section, new: Section) -> tuple[Change, ...]:
    """Return what differs between two configurations of one kind, in the order of their keys."""
    return tuple(_sections("", old, new))


def texts_of(changes: tuple[Change, ...]) -> list[str]:
    """Return the changes as texts, at most `MAX_CHANGES` and the number of the others."""
    texts = [str(change) for change in changes[:MAX_CHANGES]]
    return texts + ([f"{len(changes) - MAX_CHANGES} more"] if len(changes) > MAX_CHANGES else [])


def reload_text(changes: list[str]) -> str:
    """Return the sentence for a reload with these changes."""
    return f"Configuration reloaded: {'; '.join(changes)}." if changes else "Configuration reloaded without a change."


def _sections(path: str, old: Section, new: Section) -> Iterator[Change]:
    for name, field in type(new).model_fields.items():
        key = f"{path}.{name}" if path else name
        is_duration = any(isinstance(mark, Duration) for mark in marks_of(field))
        yield from _values(key, getattr(old, name), getattr(new, name), is_duration=is_duration)


def _values(key: str, old: Any, new: Any, *, is_duration: bool = False) -> Iterator[Change]:
    if old == new:
        return
    if isinstance(old, Section) and type(old) is type(new):
        yield from _sections(key, old, new)
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        yield from _entries(key, old, new)
    elif isinstance(old, tuple) and isinstance(new, tuple):
        yield from _lists(key, old, new)
    else:
        yield Change(key, _shown(old, is_duration=is_duration), _shown(new, is_duration=is_duration))


def _entries(key: str, old: Mapping[Any, Any], new: Mapping[Any, Any]) -> Iterator[Change]:
    for name in [*old, *(name for name in new if name not in old)]:
        path = f"{key}[{name}]"
        if name not in new:
            yield Change(path, "", None)
        elif name not in old:
            yield Change(path, None, "")
        else:
            yield from _values(path, old[name], new[name])


def _lists(key: str, old: tuple[Any, ...], new: tuple[Any, ...]) -> Iterator[Change]:
    items = (*old, *new)
    if all(hasattr(item, "name") for item in items):
        yield from _entries(key, {item.name: item for item in old}, {item.name: item for item in new})
    elif any(isinstance(item, Section) for item in items):
        yield from _entries(key, dict(enumerate(old)), dict(enumerate(new)))
    else:
        removed = [_shown(item) for item in old if item not in new]
        added = [_shown(item) for item in new if item not in old]
        yield Change(key, _joined(removed), _joined(added)) if removed or added else Change(key, "order", "new order")


def _joined(texts: list[str]) -> str | None:
    return _cut(", ".join(texts)) if texts else None


def _shown(value: Any, *, is_duration: bool = False) -> str:
    """Return a value as it is written in the configuration."""
    if is_duration and isinstance(value, float):
        return show_duration(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, SecretStr):
        return SECRET
    if isinstance(value, Decimal):
        return show_ratio(value)
    if isinstance(value, Section):
        parts = (f"{name}: {_shown(getattr(value, name))}" for name in type(value).model_fields)
        return _cut(f"{{{', '.join(parts)}}}")
    text = str(value.value if isinstance(value, Enum) else value)
    if "://" in text:  # the query may have a token
        text, query, _ = text.partition("?")
        text += "?…" if query else ""
    return _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"
