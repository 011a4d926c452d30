"""Write docs/configuration.md from the models: `python -m monitor.config.reference [--check]`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from monitor.config.fields import Duration, Size
from monitor.config.introspection import kind_of, marks_of, models_in
from monitor.config.model import Config
from monitor.config.units import show_duration, show_size
from monitor.generated_files import markdown_table, write_or_check
from monitor.scenarios import KEYS, SPECS, users_of
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic.fields import FieldInfo

    from monitor.config.fields import Section

TARGET: Final = Path("docs/configuration.md")

_INTRODUCTION: Final = """\
<!-- Written by `python -m monitor.config.reference` from the models in monitor/config/. Edit those. -->

# Configuration reference

The configuration is one YAML file, by default [`config.yaml`](../config.yaml). `relay-monitor check` reports every
error in it with its line, and the load on each relay; `relay-monitor schema` prints its JSON Schema, for editors.

- **Durations** are written as in Prometheus: `500ms`, `5s`, `1h30m`, `30d` (units `y w d h m s ms`, largest
  first). Zero needs no unit. **Ratios** are percentages: `99.9%`.
- **Environment**: `${NAME}` is the variable, which must be set and not empty; `${NAME:-default}` has a default, which
  may be empty; `$$` is a dollar sign. Variables are expanded after the YAML is parsed, so that a value never becomes
  structure; inside `{…}` and `[…]` they need quotes. An unquoted value that expands to nothing or `null` is null.
- **Secrets** never appear on pages, in logs or in errors. Each can also be in a file (`token_file`, or `{file: PATH}`
  for a header), which is read at each connect. Do not put secrets into URLs.
- **Relative paths** start at the folder of the configuration file.
- **Lists of names** and `endpoints` can be a single entry without a list: `probe: steady`. Unknown keys, and keys that
  a probe's scenario does not use, are errors. Anchors and aliases work; tags and merge keys (`<<`) do not.
"""


def render() -> str:
    """The whole reference, as Markdown."""
    parts = [_INTRODUCTION]
    written = set()
    for path, model in _sections(Config, ""):
        if model in written:
            continue
        written.add(model)
        parts.append(f"## {f'`{path}`' if path else 'Top level'}\n")
        parts.append(f"{_first_paragraph(model)}\n")
        parts.append(_table(model))
        if path == "slos[]":
            parts.append(_produced())
    return "\n".join(parts)


def _sections(model: type[Section], path: str) -> Iterator[tuple[str, type[Section]]]:
    """Every model with keys and its path, in the order of the file."""
    yield path, model
    for name, field in model.model_fields.items():
        kind = kind_of(field)
        suffix = "[]" if kind.type.startswith("list") else ".NAME" if "→" in kind.type else ""
        inners = [inner for inner in models_in(field.annotation) if inner.model_fields]
        for inner in inners:
            variant = f": {{{next(iter(inner.model_fields))}: …}}" if len(inners) > 1 else ""
            yield from _sections(inner, f"{path}.{name}{suffix}{variant}".lstrip("."))


def _first_paragraph(model: type[Section]) -> str:
    return (model.__doc__ or "").partition("\n\n")[0]


def _table(model: type[Section]) -> str:
    rows = [(f"`{name}`", *_row(name, field, model)) for name, field in model.model_fields.items()]
    return markdown_table(("key", "type", "default", "limits", "meaning"), rows)


def _row(name: str, field: FieldInfo, model: type[Section]) -> tuple[str, ...]:
    kind = kind_of(field)
    nested = kind.type == "mapping with"
    meaning = field.description or ""
    if model.__name__ == "ProbeConfig" and name in KEYS:
        meaning += f". Used by {', '.join(users_of(name))}"
    what = "mapping" if nested else kind.type
    default = "all" if name == "relays" and not field.is_required() else _default(field)
    return what, default, "" if nested else kind.limits, meaning


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    if field.default_factory is not None:
        if field.default_factory_takes_validated_data:
            return "see meaning"
        value: Any = field.default_factory()  # type: ignore[call-arg] # the other kind is dealt with above
        return "`{}`" if isinstance(value, Mapping) else "see below"
    marks = marks_of(field)
    if any(isinstance(mark, Duration) for mark in marks) and field.default is not None:
        return f"`{show_duration(field.default)}`"
    if any(isinstance(mark, Size) for mark in marks):
        return f"`{show_size(field.default)}`"
    return _written(field.default)


def _written(value: Any) -> str:
    if value is None:
        return "null"
    return "`[]`" if value == () else f"`{value}`"


def _produced() -> str:
    rows = [(f"`{name}`", *("yes" if sli in spec.slis else "" for sli in Sli)) for name, spec in SPECS.items()]
    intro = "What each scenario produces; `stability` also needs `schedule: continuous`:\n\n"
    return intro + markdown_table(("scenario", *(f"`{sli}`" for sli in Sli)), rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or only compare it with `--check`. Returns the exit status."""
    return write_or_check({TARGET: render()}, arguments)


if __name__ == "__main__":
    sys.exit(main())
