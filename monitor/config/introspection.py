"""Introspection of the models: the model or field at a path, and the description of a field's type and limits.

Problems, the reference and the schema describe fields by it.
"""

from __future__ import annotations

import types
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from monitor.config.fields import Duration, Kind, Section, Size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo


def models_in(annotation: object) -> Iterator[type[Section]]:
    """The models that a field can hold: itself, in a list, or as a mapping's value."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
        return
    for argument in get_args(annotation)[:1] if get_origin(annotation) is Annotated else get_args(annotation):
        yield from models_in(argument)


def field_at(model: type[Section], names: tuple[str, ...]) -> FieldInfo | None:
    """The field at a path of keys; keys that are names (of relays, of headers) are skipped."""
    if not names:
        return None
    head, tail = names[0], names[1:]
    if head not in model.model_fields:
        return field_at(model, tail) if tail else None
    field = model.model_fields[head]
    if not tail:
        return field
    return next((found for inner in models_in(field.annotation) if (found := field_at(inner, tail)) is not None), None)


def marks_of(field: FieldInfo) -> Iterator[object]:
    """The annotations of a field's type, also inside `| None`."""
    yield from field.metadata
    for argument in get_args(field.annotation):
        if get_origin(argument) is Annotated:
            yield from get_args(argument)[1:]


def element_kind_of(field: FieldInfo) -> Kind:
    """The description of a list's items."""
    annotation: Any = field.annotation
    return _kind(get_args(annotation)[0], ()) if get_origin(annotation) is tuple else kind_of(field)


def kind_of(field: FieldInfo) -> Kind:
    """The description of a field."""
    return _kind(field.annotation, tuple(field.metadata))


def _kind(annotation: Any, metadata: tuple[Any, ...]) -> Kind:  # noqa: PLR0911 - one return for each kind
    for mark in reversed(metadata):
        if isinstance(mark, Duration | Size):
            return mark.kind
        if isinstance(mark, Kind):
            return mark
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        # pydantic wraps constraints in a FieldInfo.
        inner = tuple(part for item in arguments[1:] for part in (getattr(item, "metadata", None) or (item,)))
        return _kind(arguments[0], (*inner, *metadata))
    if origin in {Union, types.UnionType}:
        return _kind(next(argument for argument in arguments if argument is not type(None)), metadata)
    if origin is tuple:
        return Kind(f"list of {_plural(_kind(arguments[0], ()).type.removesuffix(' with'))}", _span(metadata))
    if origin is Literal:
        return Kind("one of", ", ".join(f"`{value}`" for value in arguments))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return Kind("one of", ", ".join(f"`{member.value}`" for member in annotation))
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return Kind("mapping with", ", ".join(f"`{name}`" for name in annotation.model_fields))
    return Kind({int: "whole number", float: "number", str: "text"}.get(annotation, "mapping"), _span(metadata))


def _plural(noun: str) -> str:
    return f"{noun}s" if noun.isalpha() else noun


def _span(metadata: tuple[Any, ...]) -> str:
    low = high = ""
    for mark in metadata:
        # annotated-types, recognized by their attributes.
        for name in ("ge", "min_length"):
            low = str(getattr(mark, name, low))
        low = f"above {mark.gt}" if hasattr(mark, "gt") else low
        for name in ("le", "max_length"):
            high = str(getattr(mark, name, high))
    return f"{low} to {high}" if low and high else f"up to {high}" if high else low
