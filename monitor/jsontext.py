"""Fast JSON parsing and encoding, and access to the unparsed members of an object.

Each message is parsed three times (frame, envelope, plaintext) and written once. `reader` uses msgspec, with `json` as
the fallback for input that only `json` accepts. `writer` is `json`'s encoder without its set-up for each value.
"""

from __future__ import annotations

import json
import json.encoder
from json import JSONDecoder, JSONEncoder
from json.decoder import scanstring  # type: ignore[attr-defined]  # missing in typeshed
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

_decode: Final = msgspec.json.Decoder().decode


def reader(parse_constant: Callable[[str], object] | None = None) -> Callable[[str], Any]:
    """Return a function like `json.loads`, with `parse_constant` applied to NaN and Infinity.

    It raises as `json.loads` does, and TypeError for anything but a `str`.
    """
    accurate = JSONDecoder(parse_constant=parse_constant).decode

    def read(text: str) -> Any:
        if not isinstance(text, str):
            raise TypeError(f"JSON text is a str, not {type(text).__name__}")
        try:
            return _decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError):
            # Not JSON, or accepted by json only: lone surrogates, numbers beyond a float, constants.
            return accurate(text)

    return read


def writer() -> Callable[[Any], str]:
    """Return a function like `json.dumps`, compact and not ASCII-only.

    It raises RecursionError for a circular value. msgspec would be four times faster, but formats floats differently
    and accepts sets and bytes.
    """
    encoder = JSONEncoder(separators=(",", ":"), ensure_ascii=False)
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # a Python without the accelerator
        return encoder.encode
    # As in JSONEncoder.iterencode, which creates it for each value.
    pieces = make(
        markers=None,
        default=encoder.default,
        encoder=json.encoder.encode_basestring,
        indent=None,
        key_separator=":",
        item_separator=",",
        sort_keys=False,
        skipkeys=False,
        allow_nan=True,
    )
    return lambda value: "".join(pieces(value, 0))


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_STRICT_DECODER: Final = json.JSONDecoder(parse_constant=_reject_constant)
_SPACE: Final = " \t\n\r"


def raw_members(text: str) -> dict[str, str]:
    """Return the members of a JSON object, each value as its unparsed text.

    A relay passes a publication's data on unchanged: `1.50` stays `1.50`, and huge numbers survive. Text after the
    object is ignored, as Centrifugo does. Raises ValueError for anything but an object.
    """
    at = _skip_space(text, 0)
    if text[at : at + 1] != "{":
        raise ValueError("not an object")
    found: dict[str, str] = {}
    at = _skip_space(text, at + 1)
    while text[at : at + 1] != "}":
        if found:
            at = _skip_space(text, _expect(text, at, ","))
        at = _expect(text, at, '"')
        name, at = scanstring(text, at, True)  # noqa: FBT003 - strict, positional only
        start = _skip_space(text, _expect(text, _skip_space(text, at), ":"))
        try:
            _, value_end = _STRICT_DECODER.raw_decode(text, start)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        found[name] = text[start:value_end]
        at = _skip_space(text, value_end)
    return found


def raw_string(value: str | None) -> str:
    """Return a raw member as a string, empty for None and null. Raises ValueError for another type."""
    if value is None or value == "null":
        return ""
    decoded = json.loads(value)
    if not isinstance(decoded, str):
        raise ValueError("not a string")  # noqa: TRY004 - invalid text, as json.loads raises
    return decoded


def raw_integer(value: str | None) -> int:
    """Return a raw member as an integer, 0 for None and null. Raises ValueError for another type."""
    return 0 if value is None or value == "null" else int(value)


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _expect(text: str, at: int, mark: str) -> int:
    if text[at : at + 1] != mark:
        raise ValueError(f"expected {mark}")
    return at + 1
