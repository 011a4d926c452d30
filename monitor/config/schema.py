"""The configuration's JSON Schema, for editors."""

from __future__ import annotations

from typing import Any, Final

from monitor.config.model import Config

_FROM_ENVIRONMENT: Final = {"type": "string", "pattern": r"\$\{", "description": "from the environment"}
_SCALARS: Final = frozenset({"integer", "number"})


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a configuration file, where durations and ratios are text."""
    written: dict[str, Any] = _with_variables(Config.model_json_schema())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **written,
        "title": "relay-monitor configuration",
    }


def _with_variables(part: Any) -> Any:
    """`part` with `${NAME}` allowed for every value that is not free text."""
    if isinstance(part, list):
        return [_with_variables(item) for item in part]
    if not isinstance(part, dict):
        return part
    changed = {key: _with_variables(value) for key, value in part.items() if key != "default" or _is_plain(value)}
    is_constrained = part.get("type") in _SCALARS or not part.keys().isdisjoint({"enum", "pattern"})
    if not is_constrained:
        return changed
    kept = {key: changed.pop(key) for key in ("title", "description", "default") if key in changed}
    return {**kept, "anyOf": [changed, _FROM_ENVIRONMENT]}


def _is_plain(value: object) -> bool:
    # Durations are seconds in the models but text in the file.
    return value is None or isinstance(value, (str, int))
