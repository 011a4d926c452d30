"""The configuration's JSON Schema, for editors."""

from __future__ import annotations

from typing import Any, Final

from monitor.config.model import Config

_FROM_ENVIRONMENT: Final = {"type": "string", "pattern": r"\$\{", "description": "from the environment"}
_SCALARS: Final = frozenset({"integer", "number"})


def schema() -> dict[str, Any]:
    """A JSON Schema (draft 2020-12) of the configuration as it is written: durations and ratios are text."""
    written: dict[str, Any] = _opened(Config.model_json_schema())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **written,
        "title": "relay-monitor configuration",
    }


def _opened(part: Any) -> Any:
    """`part` with `${NAME}` allowed wherever a value has a form of its own."""
    if isinstance(part, list):
        return [_opened(item) for item in part]
    if not isinstance(part, dict):
        return part
    opened = {key: _opened(value) for key, value in part.items() if key != "default" or _is_plain(value)}
    has_form = part.get("type") in _SCALARS or not part.keys().isdisjoint({"enum", "pattern"})
    if not has_form:
        return opened
    kept = {key: opened.pop(key) for key in ("title", "description", "default") if key in opened}
    return {**kept, "anyOf": [opened, _FROM_ENVIRONMENT]}


def _is_plain(value: object) -> bool:
    # Durations are seconds in the models, and text in the file.
    return value is None or isinstance(value, (str, int))
