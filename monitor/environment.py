"""Environment variables in the texts of a configuration: `${NAME}`, `${NAME:-default}`, and `$$` for a dollar sign."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARIABLE: Final = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>(?:[^}$]|\$(?!\{))*))?\}|)"
)


def expand(text: str, environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return `text` with its variables replaced, and what is wrong with those that cannot be, which stay as written."""
    wrong: list[str] = []

    def replace(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        if match["name"] is None:
            wrong.append("has a single $; write $$ for a dollar sign, ${NAME} or ${NAME:-default} for a variable")
        elif value := environ.get(match["name"]) or match["default"]:
            return value
        elif match["default"] is not None:
            return ""
        else:
            why = "is empty" if match["name"] in environ else "is not set"
            name = match["name"]
            wrong.append(f"the environment variable {name} {why}; set it, or write ${{{name}:-default}}")
        return match[0]

    return _VARIABLE.sub(replace, text), wrong
