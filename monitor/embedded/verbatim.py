"""JSON objects taken apart without being changed: each member's value stays the very text that came.

A relay passes a publication's data on as it is: `1.50` stays `1.50`, and a number too large for any float survives.
"""

from __future__ import annotations

import json
from json.decoder import scanstring  # type: ignore[attr-defined]  # not in the stubs, and documented nowhere else
from typing import Final


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse)
_SPACE: Final = " \t\n\r"


def members(text: str) -> dict[str, str]:
    """The members of a JSON object, each value as its text. Raises ValueError for anything else."""
    at = _skip(text, 0)
    if text[at : at + 1] != "{":
        raise ValueError("not an object")
    found: dict[str, str] = {}
    at = _skip(text, at + 1)
    while text[at : at + 1] != "}":
        if found:
            at = _skip(text, _expect(text, at, ","))
        at = _expect(text, at, '"')
        name, at = scanstring(text, at, True)  # noqa: FBT003 - its own signature
        start = _skip(text, _expect(text, _skip(text, at), ":"))
        try:
            _, end = _DECODER.raw_decode(text, start)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        found[name] = text[start:end]
        at = _skip(text, end)
    if _skip(text, at + 1) != len(text):
        raise ValueError("something follows the object")
    return found


def text(value: str | None) -> str:
    """A member that is a string; empty where there is none. Raises ValueError for any other value."""
    if value is None or value == "null":
        return ""
    decoded = json.loads(value)
    if not isinstance(decoded, str):
        raise ValueError("not a string")  # noqa: TRY004 - wrong text, as json itself has it
    return decoded


def whole(value: str | None) -> int:
    """A member that is a whole number; 0 where there is none. Raises ValueError for any other value."""
    return 0 if value is None or value == "null" else int(value)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _expect(text: str, at: int, mark: str) -> int:
    if text[at : at + 1] != mark:
        raise ValueError(f"expected {mark}")
    return at + 1
